"""Bring a database's tables to what this version of Mailroom expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ledger.database import Database

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = "mailroom migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Apply what is missing, all in one transaction; two at once do it one after the other."""
    with database.writing() as connection:
        database.take_time(connection)
        database.lock_name(connection, LOCK)
        command.upgrade(_config(connection), revision)


def current(database: Database) -> str | None:
    """Return the revision the database is at, or None for an empty one."""
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """Return the newest revision this version of Mailroom knows."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def is_known(revision: str) -> bool:
    """Say whether this version of Mailroom has that revision."""
    revisions = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return any(script.revision == revision for script in revisions)


def is_current(database: Database) -> bool:
    """Say whether the database is at the newest revision this version knows."""
    return current(database) == newest()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
