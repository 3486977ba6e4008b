"""The tables a migration leaves are the tables the code expects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from ledger.schema import metadata
from tests.ledger.conftest import DATABASES, Place


@pytest.fixture(params=DATABASES)
def empty(request: pytest.FixtureRequest, new_place: Callable[[str], Place]) -> Place:
    """A database without tables."""
    return new_place(request.param)


def test_migrations_and_schema_agree(empty: Place) -> None:
    """Nobody changes one of them and forgets the other; and migrating twice is once."""
    ledger = empty.open()
    assert not ledger.is_current()
    ledger.migrate()
    ledger.migrate()
    assert ledger.is_current()
    with ledger.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        indexes = {
            index["name"]
            for table in metadata.tables
            for index in inspect(connection).get_indexes(table)
            if not index.get("duplicates_constraint")
        }
        partial = {
            str(index.name): str(index.dialect_options[connection.dialect.name]["where"])
            for table in metadata.tables.values()
            for index in table.indexes
        }
    assert indexes >= set(partial)
    ledger.close()


def test_starting_together(empty: Place) -> None:
    """Every process of a system may migrate when it starts."""
    program = (
        "import sys; from ledger import open_ledger; "
        "ledger = open_ledger(*sys.argv[1:]); ledger.migrate(); assert ledger.is_current()"
    )
    command = [sys.executable, "-c", program, empty.database_url, empty.files_url]
    started = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]


def test_a_failed_migration_leaves_nothing(empty: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a migration is none: the next start tries the whole again."""
    from alembic import op

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    ledger = empty.open()
    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", fail)
        with pytest.raises(RuntimeError, match="middle"):
            ledger.migrate()
    with ledger.database.reading() as connection:
        assert inspect(connection).get_table_names() == []
    ledger.migrate()
    assert ledger.is_current()
    ledger.close()


def test_one_step_down_and_up(empty: Place) -> None:
    """The way back works, for whoever has to take it."""
    from alembic import command

    from ledger.migration import _config

    ledger = empty.open()
    ledger.migrate()
    with ledger.database.writing() as connection:
        command.downgrade(_config(connection), "base")
    assert not ledger.is_current()
    with ledger.database.reading() as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    ledger.migrate()
    assert ledger.is_current()
    ledger.close()


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
def test_sqlite_is_set_to_keep_what_it_says(empty: Place) -> None:
    """A commit is on the disk when it returns, and foreign keys hold."""
    ledger = empty.open()
    with ledger.database.reading() as connection:
        values = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
    ledger.close()
