"""Documents: handed in, looked at, owed again, cancelled, deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from ledger import audit
from ledger.admission import Admission
from ledger.arrivals import Arrival, Arrivals
from ledger.columns import clean, is_id, new_id, to_datetime
from ledger.database import Database, chunks
from ledger.document import (
    OWED_STATES,
    STATES,
    Document,
    Whole,
    from_row,
    select_documents,
    select_whole_document,
)
from ledger.errors import NotCancellable, NotRead, NotRetryable
from ledger.originals import Originals
from ledger.rank import clamp, rank
from ledger.results import Result, from_result_row
from ledger.schema import documents, owed, readings, results
from ledger.shelf import Key, Page, Shelf
from ledger.viewer import Viewer, visible, visible_to_whom

SHELF = Shelf(documents, "document")
CHILDREN = 500  # a mail has no more attachments than intake's limit

_WHOLE = SHELF.by_id(select_whole_document())
_TEXT = SHELF.by_id(
    select(readings.c.text).select_from(
        documents.outerjoin(readings, readings.c.document_id == documents.c.id)
    )
)
_RESULTS = (
    select(results)
    .where(results.c.document_id == bindparam("of_id"), visible_to_whom(results))
    .order_by(results.c.id.desc())
)
_CHILDREN = (
    select_documents()
    .where(documents.c.parent_id == bindparam("of_id"), visible_to_whom(documents))
    .order_by(documents.c.id)
    .limit(CHILDREN)
)


class Documents:
    """What was handed in. Every method takes the viewer and sees their workspace only."""

    def __init__(self, database: Database, originals: Originals, admission: Admission) -> None:
        self._database = database
        self._originals = originals
        self._admission = admission
        self._arrivals = Arrivals(database, originals)

    def accept(
        self,
        body: bytes,
        *,
        viewer: Viewer,
        source: str,
        kind: str | None = None,
        name: str = "",
        media_type: str = "",
        queue: str = "interactive",
        priority: int = 5,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        parent_id: str | None = None,
        envelope: dict[str, Any] | None = None,
        any_body: bool = False,
    ) -> Document:
        """Keep a document and owe its reading, in one transaction; durable when it returns.

        `priority` is 0 (soonest) to 9; `deadline` can only bring it forward. The same
        idempotency key with the same body and kind returns the same document, `repeated`;
        raises IdempotencyConflict for another body or kind, TooMuchOwed past the limit,
        StorageFull, and NotFound for an unknown parent. With `any_body` the key alone says
        what is the same: of a mail two servers keep copies whose bytes differ.
        """
        viewer.require("write")
        said = {
            "kind": None if kind is None else clean(kind),
            "kind_said": None if kind is None else clean(kind),
            "name": clean(name),
            "media_type": clean(media_type),
            "source": source,
            "size": len(body),
            "parent_id": parent_id,
            "envelope": envelope,
        }
        asked = b""
        if idempotency_key is not None:
            asked = b"" if any_body else hashlib.sha256(body).digest()
            asked += (kind or "").encode("utf-8", "surrogatepass")
        key = Key.of(idempotency_key, asked)

        def add() -> Document:
            self._admission.admit(queue)
            sha256, in_files = self._originals.store(body)
            row = self._new_row(viewer, queue, priority) | said | key.columns()
            row |= {"sha256": sha256, "in_files": in_files}
            wanted = _owed_row(row, self._database.now(), deadline)
            self._arrivals.commit(Arrival(row, wanted, body, viewer))
            return self._from_new_row(row)

        document, is_repeated = SHELF.once(
            self._database,
            key,
            viewer,
            add=add,
            find=lambda earlier: self._again(earlier, viewer),
            differs="another body or kind",
        )
        return replace(document, repeated=True) if is_repeated else document

    def get(self, document_id: str, viewer: Viewer) -> Document:
        """Return the document; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            return from_row(SHELF.find(connection, document_id, viewer, _WHOLE))

    def whole(self, document_id: str, viewer: Viewer) -> Whole:
        """Return the document with all its results and what came with it; raises NotFound."""
        viewer.require("read")
        sought = SHELF.sought(document_id, viewer)
        with self._database.reading() as connection:
            document = from_row(SHELF.find(connection, document_id, viewer, _WHOLE))
            found = [from_result_row(row) for row in connection.execute(_RESULTS, sought)]
            children = [from_row(row) for row in connection.execute(_CHILDREN, sought)]
        return Whole(document, found, children)

    def list(
        self,
        viewer: Viewer,
        *,
        kind: str | None = None,
        state: str | None = None,
        needs_review: bool | None = None,
        source: str | None = None,
        parent_id: str | None = None,
        name: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Document]:
        """Return documents, newest first, without their mails' texts.

        `name` is a part of the name in any case; `limit` is 1 to 200; `after` is that of the
        page before; raises InvalidCursor.
        """
        viewer.require("read")
        query = select_documents()
        exact = {"kind": kind, "state": state, "source": source, "parent_id": parent_id}
        if needs_review is not None:
            doubt = documents.c.needs_review
            query = query.where(doubt if needs_review else ~doubt)
        if name is not None:
            query = query.where(documents.c.name.icontains(clean(name), autoescape=True))
        with self._database.reading() as connection:
            return SHELF.page(
                connection, viewer, from_row, query=query, exact=exact, limit=limit, after=after
            )

    def text(self, document_id: str, viewer: Viewer) -> str:
        """Return what a reader was given; raises NotRead when there is none (yet), NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            row = SHELF.find(connection, document_id, viewer, _TEXT)
        if row.text is None:
            raise NotRead("the document has no text (yet)")
        text: str = row.text
        return text

    def texts(self, document_ids: Sequence[str], viewer: Viewer) -> dict[str, str]:
        """Return what a reader was given, by document; one without a text is left out."""
        viewer.require("read")
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for some in chunks(document_ids):
                query = (
                    select(documents.c.id, readings.c.text)
                    .join(readings, readings.c.document_id == documents.c.id)
                    .where(documents.c.id.in_(some), readings.c.text.is_not(None))
                )
                rows = connection.execute(query.where(visible(documents, viewer)))
                found.update({row.id: row.text for row in rows})
        return found

    def original(self, document_id: str, viewer: Viewer) -> tuple[Document, bytes]:
        """Return the document and its bytes as they came; raises NotFound, BodyMissing."""
        document = self.get(document_id, viewer)
        query = select(documents.c.in_files).where(SHELF.one(document_id, viewer))
        with self._database.reading() as connection:
            in_files = connection.execute(query).scalar()
        return document, self._originals.read(document.id, document.sha256, bool(in_files))

    def results(self, document_id: str, viewer: Viewer) -> Sequence[Result]:
        """Return every result there was, the newest first; raises NotFound."""
        return self.whole(document_id, viewer).results

    def counts(self, viewer: Viewer) -> dict[str, int]:
        """Return how many documents are in each state; every state is named."""
        viewer.require("read")
        query = (
            select(documents.c.state, func.count().label("number"))
            .where(visible(documents, viewer))
            .group_by(documents.c.state)
        )
        with self._database.reading() as connection:
            found = {row.state: int(row.number) for row in connection.execute(query)}
        return dict.fromkeys(STATES, 0) | found

    def retry(self, document_id: str, viewer: Viewer) -> Document:
        """Owe a finished document again, its attempts at 0; earlier results are kept.

        Raises NotRetryable while it is waiting or running, and NotFound.
        """
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, document_id, viewer)
            if row.state in OWED_STATES:
                raise NotRetryable("the document is already owed")
            now = self._database.now()
            changes = {
                "state": "waiting",
                "attempts": 0,
                "result_id": None,
                "finished_at": None,
                "needs_review": None,
            }
            connection.execute(update(documents).where(documents.c.id == row.id).values(changes))
            connection.execute(insert(owed), _owed_row(row._mapping, now, None))
            audit.record(connection, now, viewer, "retried", [row.id])
        return self._again(document_id, viewer)

    def cancel(self, document_id: str, viewer: Viewer) -> Document:
        """Stop owing a document; what a worker makes of it after that is not kept.

        Cancelling twice is one cancelling; raises NotCancellable when it is done or failed.
        """
        viewer.require("write")
        with self._database.writing() as connection:
            self._drop_owed(connection, document_id, viewer)
            row = SHELF.lock(connection, document_id, viewer)
            if row.state in {"done", "failed"}:
                raise NotCancellable("the document is finished already")
            if row.state in OWED_STATES:
                now = self._database.now()
                connection.execute(
                    update(documents)
                    .where(documents.c.id == row.id)
                    .values(state="cancelled", finished_at=to_datetime(now))
                )
                audit.record(connection, now, viewer, "cancelled", [row.id])
        return self._again(document_id, viewer)

    def delete(self, document_id: str, viewer: Viewer) -> None:
        """Erase the original, text, results, corrections, deliveries and idempotency key.

        What came with it (attachments) stays, without its parent. A line of the audit log
        stays too, and says nothing of the content. Raises NotFound.
        """
        viewer.require("write")
        with self._database.writing() as connection:
            if self._database.is_sqlite:  # erased means overwritten, not only unlinked
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            self._drop_owed(connection, document_id, viewer)
            row = SHELF.lock(connection, document_id, viewer)
            connection.execute(delete(documents).where(documents.c.id == row.id))
            audit.record(connection, self._database.now(), viewer, "deleted", [row.id])
        if row.in_files:
            self._originals.discard(row.sha256)

    def _new_row(self, viewer: Viewer, queue: str, priority: int) -> dict[str, Any]:
        return {
            "id": new_id(),
            "workspace": viewer.workspace,
            "state": "waiting",
            "queue": queue,
            "priority": clamp(priority),
            "created_at": to_datetime(self._database.now()),
            "attempts": 0,
        }

    def _from_new_row(self, row: dict[str, Any]) -> Document:
        values: dict[str, Any] = {name: row.get(name) for name in Document.__dataclass_fields__}
        return Document(**values | {"repeated": False})

    def _drop_owed(self, connection: Connection, document_id: str, viewer: Viewer) -> None:
        # First owed, then documents: the order in which every transaction takes its locks
        if not is_id(document_id):
            raise SHELF.missing()
        connection.execute(
            delete(owed).where(owed.c.document_id == document_id, visible(owed, viewer))
        )

    def _again(self, document_id: str, viewer: Viewer) -> Document:
        # Somebody who may write and not read still sees what their own call did
        return self.get(document_id, Viewer(viewer.workspace, viewer.actor, frozenset({"read"})))


def _owed_row(document: Any, now: int, deadline: datetime | None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "document_id": document["id"],
        "workspace": document["workspace"],
        "queue": document["queue"],
        "kind_said": document["kind_said"],
        "priority": document["priority"],
        "size": document["size"],
        "deadline": deadline,
        "rank": rank(now, document["priority"], deadline),
        "attempts": 0,
        "free_at": now,
        "created_at": now,
    }
