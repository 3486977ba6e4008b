"""Connections: made late, made again, never shared with a child, and errors said in our words."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger import Viewer, open_ledger
from ledger.errors import LedgerBusy, LedgerUnreachable
from tests.ledger.conftest import Place

FORKS = """
import os, sys, time
from ledger import Viewer, open_ledger
ledger = open_ledger(sys.argv[1], sys.argv[2], small_body_bytes=10)
viewer = Viewer()
ledger.documents.accept(b"before", viewer=viewer, source="api")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(10):
            ledger.documents.accept(b"x" * 20 * (i % 2), viewer=viewer, source="api")
        os._exit(0)
    children.append(pid)
for i in range(10):
    ledger.documents.accept(b"y" * 20, viewer=viewer, source="api")
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
assert sum(ledger.documents.counts(viewer).values()) == 41
ledger.close()
"""


def test_forked_children_have_connections_of_their_own(place: Place) -> None:
    """A ledger used before a fork works on both sides of it at once."""
    command = [sys.executable, "-c", FORKS, place.database_url, place.files_url]
    subprocess.run(command, check=True, timeout=100, cwd=Path(__file__).parents[2])


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    """Building a ledger touches neither disk nor network."""
    open_ledger(f"sqlite:///{tmp_path}/a/ledger.sqlite3", str(tmp_path / "b")).close()
    open_ledger("postgresql+psycopg://x@127.0.0.1:1/x", "s3://nowhere").close()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_is_said_plainly(tmp_path: Path) -> None:
    """No driver's error reaches who asks."""
    (tmp_path / "file").write_bytes(b"")
    for url in (
        "postgresql+psycopg://x@127.0.0.1:1/x",
        f"sqlite:///{tmp_path}/file/ledger.sqlite3",
    ):
        ledger = open_ledger(url, str(tmp_path))
        with pytest.raises(LedgerUnreachable):
            ledger.documents.counts(Viewer())
        with pytest.raises(LedgerUnreachable):
            ledger.documents.accept(b"x", viewer=Viewer(), source="api")
        ledger.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_server_that_came_back_is_used_again(place: Place, viewer: Viewer) -> None:
    """After PostgreSQL dropped its connections the next call has a new one."""
    ledger, other = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    with other.database.reading() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert ledger.documents.counts(viewer)["waiting"] == 1
    ledger.close()
    other.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_writer_that_never_ends_is_said(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the lock in vain is told so, and readers do not wait at all."""
    monkeypatch.setattr("ledger.database.BUSY_SECONDS", 0)
    ledger, other = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    with other.database.writing():
        assert ledger.documents.counts(viewer)["waiting"] == 1
        with pytest.raises(LedgerBusy):
            ledger.documents.accept(b"x", viewer=viewer, source="api")
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    ledger.close()
    other.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_hosts_whose_clocks_differ_agree_on_leases(place: Place, viewer: Viewer) -> None:
    """With PostgreSQL the server's clock counts: a host an hour ahead steals no lease."""
    ledger, ahead = place.open(), place.open()
    system = ahead.database._clock
    ahead.database._clock = lambda: system() + 3600
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    options = {"items": 1, "characters": 1, "lease_seconds": 60.0}
    assert len(ledger.owed.claim("interactive", holder="one", **options)) == 1  # type: ignore[arg-type]

    assert ahead.owed.claim("interactive", holder="two", **options) == []  # type: ignore[arg-type]
    made = ahead.documents.accept(b"x", viewer=viewer, source="api").created_at
    assert abs((made - datetime.now(UTC)).total_seconds()) < 600
    ledger.close()
    ahead.close()


def test_many_threads_share_a_ledger(place: Place, viewer: Viewer) -> None:
    """A web server's threads use one ledger at once, more of them than connections."""
    ledger = place.open()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                ledger.documents.accept(b"x", viewer=viewer, source="api")
                ledger.documents.list(viewer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.documents.counts(viewer)["waiting"] == 90
    ledger.close()


def test_the_package_loads_quickly(tmp_path: Path) -> None:
    """The web side pays neither for Alembic nor for object stores it does not use."""
    program = (
        "import sys, ledger; heavy = {'alembic', 'obstore', 'psycopg', 'torch', 'celery', 'flask'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
