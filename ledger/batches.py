"""Batches: large files read row by row, as those who hand them in see them.

Workers take a batch chunk by chunk (ledger/chunks.py). Input and result are files of the file
store, so any host's worker can read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO, Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy import delete as sql_delete

from ledger import audit, quotas
from ledger.columns import SECOND, clean, new_id, to_datetime, to_microseconds
from ledger.database import Database
from ledger.errors import NotCancellable, NotPausable, NotRead, NotResumable, TooMuchOwed
from ledger.files import Files
from ledger.originals import Originals
from ledger.schema import batch_chunks, batches
from ledger.shelf import Key, Page, Shelf
from ledger.viewer import Viewer, visible

SHELF = Shelf(batches, "batch")
BATCH_STATES = ("waiting", "running", "paused", "done", "failed", "cancelled")
UNFINISHED = ("waiting", "running", "paused")
CLAIMABLE = ("waiting", "running")
RATE_SECONDS = 60  # the rate is that of the last minute
FULL_SECONDS = 60  # until a client asks again when too many batches wait and none moves


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A file to read row by row; times are aware and in UTC.

    `rows_total` is None until the input was cut up to its end. `rate` is in rows a second over
    the last minute, `seconds_left` what that leaves; None where nothing moves or no end is known.
    """

    id: str
    workspace: str
    actor: str
    kind: str
    name: str
    format: str
    text_column: str | None
    state: str
    error: dict[str, Any] | None
    layout: dict[str, Any] | None
    input_sha256: str
    input_size: int
    rows_total: int | None
    rows_done: int
    rows_failed: int
    output_sha256: str | None
    output_size: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rate: float | None = None
    seconds_left: float | None = None
    repeated: bool = False


class Batches:
    """Every method takes the viewer and sees their workspace only."""

    def __init__(
        self, database: Database, files: Files, originals: Originals, *, limit: int
    ) -> None:
        self._database = database
        self._files = files
        self._originals = originals
        self._limit = limit

    def accept(
        self,
        pieces: Iterable[bytes],
        *,
        viewer: Viewer,
        kind: str,
        name: str,
        file_format: str,
        text_column: str | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """Keep an input that comes in pieces and owe its reading; durable when it returns.

        The same idempotency key with the same bytes and options returns the same batch,
        `repeated`. Raises IdempotencyConflict, StorageFull, and TooMuchOwed when so many of the
        workspace's batches are unfinished that no more are taken.
        """
        viewer.require("write")
        if not SHELF.is_known(self._database, Key.of(idempotency_key, b""), viewer):
            self._admit(viewer)  # before a large body is stored for nothing
        kept = self._files.put_pieces(pieces)
        asked = "\0".join((kept.sha256, kind, file_format, text_column or ""))
        key = Key.of(idempotency_key, asked)
        said = {
            "kind": clean(kind),
            "name": clean(name),
            "format": file_format,
            "text_column": None if text_column is None else clean(text_column),
            "input_sha256": kept.sha256,
            "input_size": kept.size,
        }

        def add() -> Batch:
            row = self._new_row(viewer) | said | key.columns()
            self._insert(row, viewer)
            return self._get(row["id"], viewer)

        batch, is_repeated = SHELF.once(
            self._database,
            key,
            viewer,
            add=add,
            find=lambda earlier: self._get(earlier, viewer),
            differs="another batch",
        )
        return replace(batch, repeated=True) if is_repeated else batch

    def get(self, batch_id: str, viewer: Viewer) -> Batch:
        """Return a batch and how far it is; raises NotFound."""
        viewer.require("read")
        return self._get(batch_id, viewer)

    def list(
        self,
        viewer: Viewer,
        *,
        state: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Batch]:
        """Return batches, newest first; `after` is that of the page before."""
        viewer.require("read")
        with self._database.reading() as connection:
            return SHELF.page(
                connection,
                viewer,
                lambda row: self._with_rate(connection, self._from_row(row)),
                exact={"state": state},
                limit=limit,
                after=after,
            )

    def result(self, batch_id: str, viewer: Viewer) -> tuple[Batch, IO[bytes]]:
        """Return the batch and a stream of its result; raises NotRead until it is done."""
        batch = self.get(batch_id, viewer)
        if batch.output_sha256 is None:
            raise NotRead("the batch has no result (yet)")
        return batch, self._files.open(batch.output_sha256)

    def pause(self, batch_id: str, viewer: Viewer) -> Batch:
        """Let no more chunks be taken; those in hand are finished. Twice is once."""
        return self._move(batch_id, viewer, "paused", CLAIMABLE, NotPausable)

    def resume(self, batch_id: str, viewer: Viewer) -> Batch:
        """Go on with a paused batch, or with one that failed, from where it stopped."""
        return self._move(batch_id, viewer, "waiting", ("paused", "failed"), NotResumable)

    def cancel(self, batch_id: str, viewer: Viewer) -> Batch:
        """Stop for good; what was read so far is forgotten. Twice is once."""
        return self._move(batch_id, viewer, "cancelled", (*UNFINISHED, "failed"), NotCancellable)

    def delete(self, batch_id: str, viewer: Viewer) -> None:
        """Erase a batch: its input, its chunks and its result; an audit line stays."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, batch_id, viewer)
            query = select(batch_chunks.c.input_sha256, batch_chunks.c.output_sha256)
            chunks = connection.execute(query.where(batch_chunks.c.batch_id == row.id)).all()
            connection.execute(sql_delete(batches).where(batches.c.id == row.id))
            self._record(connection, viewer, "batch deleted", row.id)
        wanted = {row.input_sha256, row.output_sha256, *(one for pair in chunks for one in pair)}
        for sha256 in sorted(one for one in wanted if one is not None):
            self._originals.discard(sha256)

    def _move(
        self,
        batch_id: str,
        viewer: Viewer,
        state: str,
        sources: Sequence[str],
        refusal: type[NotPausable | NotResumable | NotCancellable],
    ) -> Batch:
        viewer.require("write")
        with self._database.writing() as connection:
            # chunks before their batch, as workers lock them
            row = SHELF.find(connection, batch_id, viewer)
            if row.state in sources and state == "cancelled":
                self._close_chunks(connection, row.id)
            if row.state in sources and row.state == "failed" and state == "waiting":
                self._reopen_chunks(connection, row.id)
            row = SHELF.lock(connection, batch_id, viewer)
            if row.state in sources:
                now = to_datetime(self._database.now())
                values: dict[str, Any] = {"state": state, "error": None, "finished_at": None}
                if state == "cancelled":
                    values["finished_at"] = now
                connection.execute(update(batches).where(batches.c.id == row.id).values(values))
                self._record(connection, viewer, f"batch {_WORDS[state]}", row.id)
            elif row.state != state and not (state == "waiting" and row.state == "running"):
                raise refusal(f"the batch is {row.state}")
        return self._get(batch_id, viewer)

    def _close_chunks(self, connection: Connection, batch_id: str) -> None:
        connection.execute(
            update(batch_chunks)
            .where(batch_chunks.c.batch_id == batch_id, batch_chunks.c.free_at.is_not(None))
            .values(state="cancelled", free_at=None, holder=None)
        )

    def _reopen_chunks(self, connection: Connection, batch_id: str) -> None:
        connection.execute(
            update(batch_chunks)
            .where(batch_chunks.c.batch_id == batch_id, batch_chunks.c.free_at.is_not(None))
            .values(state="waiting", attempts=0, free_at=self._database.now(), holder=None)
        )

    def _admit(self, viewer: Viewer) -> None:
        query = select(func.count()).where(
            visible(batches, viewer), batches.c.state.in_(UNFINISHED)
        )
        with self._database.reading() as connection:
            number = connection.execute(query).scalar_one()
            if number < self._limit:
                return
            first = select(batches).where(visible(batches, viewer), batches.c.state.in_(CLAIMABLE))
            row = connection.execute(first.order_by(batches.c.id).limit(1)).one_or_none()
            left = None
            if row is not None:
                left = self._with_rate(connection, self._from_row(row)).seconds_left
        raise TooMuchOwed(
            f"{self._limit} batches are unfinished already; wait for one, or cancel one",
            retry_after=FULL_SECONDS if left is None else max(1, min(3600, int(left) + 1)),
        )

    def _new_row(self, viewer: Viewer) -> dict[str, Any]:
        now = self._database.now()
        return {
            "id": new_id(),
            "workspace": viewer.workspace,
            "actor": clean(viewer.actor),
            "token_id": viewer.token_id,
            "state": "waiting",
            "rows_done": 0,
            "rows_failed": 0,
            "created_at": to_datetime(now),
            "turn_at": 0,  # a new one is served at once
        }

    def _insert(self, row: dict[str, Any], viewer: Viewer) -> None:
        with self._database.writing() as connection:
            size = row["input_size"]
            quotas.take(connection, self._database, viewer, documents=1, size=size)
            self._originals.name(connection, row["input_sha256"])
            connection.execute(insert(batches), row)
            connection.execute(
                insert(batch_chunks),
                new_chunk(row["id"], viewer.workspace, "split", now=self._database.now()),
            )
            detail = {"kind": row["kind"], "size": row["input_size"]}
            self._record(connection, viewer, "batch accepted", row["id"], **detail)

    def _record(
        self, connection: Connection, viewer: Viewer, action: str, batch_id: str, **detail: Any
    ) -> None:
        detail = {"batch": batch_id, **detail}
        audit.record(connection, self._database.now(), viewer, action, detail=detail)

    def _get(self, batch_id: str, viewer: Viewer) -> Batch:
        # Somebody who may write and not read still sees what their own call did
        with self._database.reading() as connection:
            row = SHELF.find(connection, batch_id, viewer)
            return self._with_rate(connection, self._from_row(row))

    def _with_rate(self, connection: Connection, batch: Batch) -> Batch:
        """Return the batch with its speed of the last minute, while it runs."""
        if batch.state != "running" or batch.started_at is None:
            return batch
        now = self._database.now()
        since = max(now - RATE_SECONDS * SECOND, to_microseconds(batch.started_at))
        query = select(func.sum(batch_chunks.c.rows), func.min(batch_chunks.c.finished_at)).where(
            batch_chunks.c.batch_id == batch.id,
            batch_chunks.c.stage == "read",
            batch_chunks.c.finished_at > to_datetime(since),
        )
        rows, _ = connection.execute(query).one()
        rate = int(rows or 0) / max((now - since) / SECOND, 0.001)
        if not rate:
            return batch
        left = None
        if batch.rows_total is not None:
            left = (batch.rows_total - batch.rows_done) / rate
        return replace(batch, rate=rate, seconds_left=left)

    def _from_row(self, row: Row[Any]) -> Batch:
        values = dict(row._mapping)
        for name in ("turn_at", "idempotency_key", "request_hash", "token_id"):
            del values[name]
        return Batch(**values)


_WORDS = {"paused": "paused", "waiting": "resumed", "cancelled": "cancelled"}


def new_chunk(
    batch_id: str, workspace: str, stage: str, *, now: int, **said: Any
) -> dict[str, Any]:
    """Return a chunk's row that may be claimed at once."""
    return {
        "id": new_id(),
        "batch_id": batch_id,
        "workspace": workspace,
        "stage": stage,
        "first_row": 0,
        "rows": 0,
        "skip": 0,
        "input_sha256": None,
        "state": "waiting",
        "rows_failed": 0,
        "attempts": 0,
        "free_at": now,
    } | said
