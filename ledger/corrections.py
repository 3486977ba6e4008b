"""What people said instead of a reader: one row a correction, the newest counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ledger import audit
from ledger.columns import clean, new_id, to_datetime
from ledger.database import Database
from ledger.schema import corrections, documents, results
from ledger.shelf import Shelf
from ledger.viewer import Viewer

LIST_LIMIT = 1_000
DOCUMENTS = Shelf(documents, "document")
SHELF = Shelf(corrections, "correction")
DECISION = "decision"  # the head under which people say the queue, whatever labels there are


@dataclass(frozen=True, kw_only=True)
class Correction:
    """For a document's `head` (or `entities`), the right `value` as `actor` said it."""

    id: str
    document_id: str
    workspace: str
    kind: str | None
    head: str
    value: Any
    actor: str
    created_at: datetime


class Corrections:
    """Added by people, read by pages and by training."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, document_id: str, head: str, value: Any, viewer: Viewer) -> Correction:
        """Keep a correction; `value` is JSON. Raises NotFound, and ValueError for None.

        The same value as the reader's is a confirmation. A document whose doubtful heads are all
        corrected, or whose queue a person chose, needs no review any more.
        """
        viewer.require("write")
        if value is None:
            raise ValueError("a correction needs a value")
        mine = (
            select(documents.c.kind, documents.c.needs_review, results.c.outcome)
            .outerjoin(results, results.c.id == documents.c.result_id)
            .with_for_update(of=documents)
        )
        with self._database.writing() as connection:
            document = DOCUMENTS.find(connection, document_id, viewer, DOCUMENTS.by_id(mine))
            now = self._database.now()
            row: dict[str, Any] = {
                "id": new_id(),
                "document_id": document_id,
                "workspace": viewer.workspace,
                "kind": document.kind,
                "head": clean(head),
                "value": value,
                "actor": clean(viewer.actor),
                "created_at": to_datetime(now),
            }
            connection.execute(insert(corrections), row)
            detail = {"correction": row["id"]}
            audit.record(connection, now, viewer, "corrected", [document_id], detail)
            if document.needs_review and not self._doubts(connection, document_id, document):
                settled = update(documents).where(documents.c.id == document_id)
                connection.execute(settled.values(needs_review=False))
        return Correction(**row)

    def _doubts(self, connection: Connection, document_id: str, document: Any) -> bool:
        """Say whether something doubtful is left that no person has spoken of."""
        spoken = select(corrections.c.head).where(corrections.c.document_id == document_id)
        heads = set(connection.execute(spoken).scalars())
        labels = (document.outcome or {}).get("labels") or {}
        doubtful = {head for head, label in labels.items() if label.get("needs_review")}
        return DECISION not in heads and bool(doubtful - heads)

    def list(
        self,
        viewer: Viewer,
        *,
        document_id: str | None = None,
        kind: str | None = None,
        head: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Correction]:
        """Return corrections, newest first; `after` is the id of the last one already seen."""
        viewer.require("read")
        exact = {"document_id": document_id, "kind": kind, "head": head}
        query = SHELF.newest(viewer, exact=exact, limit=limit, after=after, at_most=LIST_LIMIT)
        with self._database.reading() as connection:
            return [Correction(**row._mapping) for row in connection.execute(query)]
