"""Who did what and when: lines that are only ever added, and hold no content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from ledger.columns import clean, new_id, to_datetime
from ledger.database import Database
from ledger.schema import audit
from ledger.shelf import Shelf
from ledger.viewer import Viewer

SHELF = Shelf(audit, "line")
_LINES = insert(audit)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the log."""

    id: str
    workspace: str
    actor: str
    action: str
    document_id: str | None
    detail: dict[str, Any] | None
    created_at: datetime


def record(
    connection: Connection,
    now: int,
    viewer: Viewer,
    action: str,
    document_ids: Iterable[str | None] = (None,),
    detail: dict[str, Any] | None = None,
) -> None:
    """Add a line for each document, in the transaction of what it tells of."""
    write(connection, [line(now, viewer, action, each, detail) for each in document_ids])


def line(
    now: int, viewer: Viewer, action: str, document_id: str | None, detail: dict[str, Any] | None
) -> dict[str, Any]:
    """Return a line for `write`."""
    return {
        "id": new_id(),
        "workspace": viewer.workspace,
        "actor": clean(viewer.actor),
        "action": action,
        "document_id": document_id,
        "detail": detail,
        "created_at": to_datetime(now),
    }


def write(connection: Connection, lines: Sequence[dict[str, Any]]) -> None:
    """Add lines, in the transaction of what they tell of."""
    if lines:
        connection.execute(_LINES, list(lines))


class Audit:
    """The log, to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        viewer: Viewer,
        *,
        document_id: str | None = None,
        action: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Entry]:
        """Return the newest lines; `after` is the id of the last one already seen.

        One document's lines need the scope `read`, everything else `admin`.
        """
        viewer.require("read" if document_id is not None else "admin")
        exact = {"document_id": document_id, "action": action}
        query = SHELF.newest(viewer, exact=exact, limit=limit, after=after)
        with self._database.reading() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]
