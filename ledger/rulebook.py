"""Earlier versions of the routing rules: each text that was in force, since when, and by whom.

The file on disk is what workers follow; this is its memory. A version is a line of the audit log,
which is only ever added to, is in every backup, and says who did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from ledger import audit
from ledger.columns import clean
from ledger.database import Database
from ledger.schema import audit as audit_table
from ledger.shelf import Shelf
from ledger.viewer import Viewer

ACTION = "rules changed"
SHELF = Shelf(audit_table, "version of the rules")

_ONE = SHELF.by_id(select(audit_table).where(audit_table.c.action == ACTION))


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One text of the rules; `note` says how it came to be (edited, rolled back, found)."""

    id: str
    version: str
    text: str
    note: str
    actor: str
    created_at: datetime


class Rulebook:
    """The rules belong to the installation: workers follow the same for every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, text: str, version: str, note: str, viewer: Viewer) -> Edition:
        """Keep a text as the newest version; an admin of the default workspace may."""
        viewer.require_operator()
        detail = {"version": version, "text": clean(text), "note": note}
        with self._database.writing() as connection:
            audit.record(connection, self._database.now(), viewer, ACTION, detail=detail)
        return self.list(viewer, limit=1)[0]

    def replace(
        self, text: str, version: str, note: str, viewer: Viewer, *, began_with: str | None
    ) -> Edition | None:
        """Keep a text as the newest version if the one that was edited still is; else None."""
        viewer.require_operator()
        with self._database.writing() as connection:
            self._database.lock_name(connection, "rules")
            newest = self.list(viewer, limit=1)
            if (newest[0].version if newest else None) != began_with:
                return None
            detail = {"version": version, "text": clean(text), "note": note}
            audit.record(connection, self._database.now(), viewer, ACTION, detail=detail)
        return self.list(viewer, limit=1)[0]

    def list(self, viewer: Viewer, *, limit: int = 50) -> Sequence[Edition]:
        """Return the versions there were, the newest first."""
        viewer.require("read")
        query = SHELF.newest(viewer, exact={"action": ACTION}, limit=limit, after=None)
        with self._database.reading() as connection:
            return [_edition(row) for row in connection.execute(query)]

    def get(self, edition_id: str, viewer: Viewer) -> Edition:
        """Return one version; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            return _edition(SHELF.find(connection, edition_id, viewer, _ONE))


def _edition(row: Row[Any]) -> Edition:
    detail = row.detail or {}
    return Edition(
        id=row.id,
        version=str(detail.get("version", "")),
        text=str(detail.get("text", "")),
        note=str(detail.get("note", "")),
        actor=row.actor,
        created_at=row.created_at,
    )
