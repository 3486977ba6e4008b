"""A ledger on each database, fresh for each test, and who looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from ledger import Ledger, Owed, Viewer, open_ledger
from ledger.schema import metadata

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))
SMALL = 1_000  # bytes: larger bodies go to the file store in these tests


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Place:
    """Where a test's ledger is kept."""

    database_url: str
    files_url: str

    def open(self, **options: Any) -> Ledger:
        """Return one more ledger on the same database and files."""
        usual = {"small_body_bytes": SMALL}
        return open_ledger(self.database_url, self.files_url, **usual | options)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and no rows, to copy."""
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite3"
    ledger = open_ledger(f"sqlite:///{path}", str(path.parent / "files"))
    ledger.migrate()
    ledger.close()
    return path


@pytest.fixture
def new_place(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Place]:
    """Return a function that makes an empty place, no tables yet, on a kind of database."""
    count = 0

    def make(kind: str) -> Place:
        nonlocal count
        count += 1
        folder = tmp_path / f"place-{count}"
        folder.mkdir()
        if kind == "sqlite":
            return Place(f"sqlite:///{folder}/ledger.sqlite3", str(folder / "files"))
        new_database = request.getfixturevalue("new_postgresql_database")
        return Place(new_database(), str(folder / "files"))

    return make


@pytest.fixture(scope="session")
def migrated_postgresql(new_postgresql_database: Callable[[], str], tmp_path_factory: Any) -> str:
    """The address of a database with all tables, emptied before each test that uses it."""
    url = new_postgresql_database()
    ledger = open_ledger(url, str(tmp_path_factory.mktemp("files")))
    ledger.migrate()
    ledger.close()
    return url


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A migrated, empty ledger's addresses, on each database in turn."""
    files_url = str(tmp_path / "files")
    if request.param == "sqlite":
        path = tmp_path / "ledger.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return Place(f"sqlite:///{path}", files_url)
    url = request.getfixturevalue("migrated_postgresql")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))
    engine.dispose()
    return Place(url, files_url)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(place: Place, clock: Clock) -> Iterator[Ledger]:
    """A ledger whose time stands still until the test moves it."""
    ledger = place.open(clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def viewer() -> Viewer:
    return Viewer(workspace="ours", actor="anna")


@pytest.fixture
def stranger() -> Viewer:
    return Viewer(workspace="theirs", actor="eve")


def claim(
    ledger: Ledger, holder: str = "worker", items: int = 100, **options: object
) -> list[Owed]:
    """Claim from `interactive` with a minute's lease."""
    values = {"characters": 1_000_000, "lease_seconds": 60, **options}
    return ledger.owed.claim("interactive", holder=holder, items=items, **values)  # type: ignore[arg-type]


OUTCOME = {
    "kind": "review",
    "labels": {"sentiment": {"value": "positive", "confidence": 0.9, "needs_review": False}},
    "model": {"name": "review-1", "version": "1"},
}
