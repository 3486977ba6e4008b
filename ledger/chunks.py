"""The chunks of batches: claimed by workers under leases, finished by compare-and-set.

A batch is one `split` chunk, which cuts the input into `read` chunks of some hundred rows, and
then one `merge` chunk. A chunk that was lost with its worker is divided when it is claimed
again, and so on until the row that kills workers is alone; that one is set aside as an error in
its place. Transactions lock chunks first, their batch second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select, update

from ledger import leases, quotas, results
from ledger.batches import CLAIMABLE, new_chunk
from ledger.columns import SECOND, to_datetime
from ledger.database import Database
from ledger.originals import Originals
from ledger.owed import BULK
from ledger.schema import batch_chunks, batches

PIECES = 8  # that a lost chunk is divided into
PAGE = 500
WORKER_LOST = {
    "code": "worker_lost",
    "message": "Reading this row stopped the worker every time.",
}
BATCH_LOST = {
    "code": "worker_lost",
    "message": "Cutting up or merging this file stopped the worker every time. Resume it to try "
    "again.",
}


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A claimed chunk and what is needed of its batch. `rows` from `skip` on of its input file
    are its own; a split has its `cursor`, None before its first step."""

    id: str
    batch_id: str
    workspace: str
    stage: str
    first_row: int
    rows: int
    skip: int
    input_sha256: str | None
    attempts: int
    cursor: dict[str, Any] | None
    kind: str
    name: str
    format: str
    text_column: str | None
    layout: dict[str, Any] | None
    batch_input: str


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A chunk that is there for the merge: its output, or the `error` of all its rows."""

    first_row: int
    rows: int
    skip: int
    input_sha256: str
    output_sha256: str | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Cut:
    """A run of rows that the split found, and the file that holds them."""

    first_row: int
    rows: int
    sha256: str


class Chunks:
    """Workers call this: it knows no viewer and sees every workspace."""

    def __init__(self, database: Database, originals: Originals, *, attempts_allowed: int) -> None:
        self._database = database
        self._originals = originals
        self._attempts_allowed = attempts_allowed

    def claim(self, *, holder: str, lease_seconds: float) -> Chunk | None:
        """Take a lease on the next chunk and count an attempt; batches take turns."""
        if not self.outstanding():  # an idle look takes no write lock
            return None
        with self._database.writing(durable=False) as connection:
            now = self._database.now()
            unfinished = select(batches.c.id).where(
                batches.c.finished_at.is_(None), batches.c.state.in_(CLAIMABLE)
            )
            for batch_id in connection.execute(unfinished.order_by(batches.c.turn_at)).scalars():
                row = connection.execute(self._next(batch_id, now)).one_or_none()
                if row is None:
                    continue
                if self._is_divided(row):
                    row = self._divide(connection, row, now)
                return self._lease(connection, row, holder, now, lease_seconds)
        return None

    def outstanding(self) -> int:
        """Return how many chunks could be claimed right now; counting stops at one."""
        query = (
            select(batch_chunks.c.id)
            .join(batches, batches.c.id == batch_chunks.c.batch_id)
            .where(
                batches.c.finished_at.is_(None),
                batches.c.state.in_(CLAIMABLE),
                self._is_free(self._database.now()),
            )
            .limit(1)
        )
        with self._database.reading() as connection:
            return len(connection.execute(query).all())

    def begin(self, split: Chunk, layout: dict[str, Any], *, holder: str) -> bool:
        """Keep what a split's first look found; False when the lease was lost."""
        with self._database.writing() as connection:
            if self._held(connection, split.id, holder) is None:
                return False
            change = update(batches).where(batches.c.id == split.batch_id)
            connection.execute(change.values(layout=layout))
        return True

    def cut(
        self,
        split: Chunk,
        cuts: Sequence[Cut],
        cursor: dict[str, Any],
        *,
        holder: str,
        rows_total: int | None = None,
    ) -> bool:
        """Add what a split cut off, and how far it is; `rows_total` says that it is at the end.

        In one transaction, so a split that dies goes on behind the last rows that it added.
        False when the lease was lost, and nothing changes then.
        """
        with self._database.writing() as connection:
            row = self._held(connection, split.id, holder)
            if row is None:
                return False
            now = self._database.now()
            for each in cuts:
                self._originals.name(connection, each.sha256)
            rows = [
                new_chunk(
                    row.batch_id,
                    row.workspace,
                    "read",
                    now=now,
                    first_row=each.first_row,
                    rows=each.rows,
                    input_sha256=each.sha256,
                )
                for each in cuts
            ]
            if rows:
                connection.execute(insert(batch_chunks), rows)
                self._charge(connection, row.batch_id, sum(each.rows for each in cuts))
            # what was done counts: only attempts without progress are used up
            values: dict[str, Any] = {"cursor": cursor, "attempts": 0}
            if rows_total is not None:
                values |= {"state": "done", "free_at": None, "holder": None}
            connection.execute(
                update(batch_chunks).where(batch_chunks.c.id == row.id).values(values)
            )
            if rows_total is not None:
                change = update(batches).where(batches.c.id == row.batch_id)
                connection.execute(change.values(rows_total=rows_total))
                self._advance(connection, row.batch_id, row.workspace)
        return True

    def finish(self, chunk: Chunk, *, holder: str, output: str, rows_failed: int) -> bool:
        """Say where a read chunk's output is. False when the lease was lost or the batch was
        cancelled: nothing changes then, so finishing twice is harmless."""
        with self._database.writing() as connection:
            row = self._held(connection, chunk.id, holder)
            if row is None:
                return False
            self._originals.name(connection, output)
            values = {"output_sha256": output, "rows_failed": rows_failed}
            self._end(connection, row, "done", values)
        return True

    def finish_merge(self, merge: Chunk, *, holder: str, output: str, size: int) -> bool:
        """Say where the result is: the batch is done. False when the lease was lost."""
        with self._database.writing() as connection:
            row = self._held(connection, merge.id, holder)
            if row is None:
                return False
            self._originals.name(connection, output)
            now = to_datetime(self._database.now())
            connection.execute(
                update(batch_chunks)
                .where(batch_chunks.c.id == row.id)
                .values(state="done", free_at=None, holder=None, finished_at=now)
            )
            connection.execute(
                update(batches)
                .where(batches.c.id == row.batch_id)
                .values(state="done", finished_at=now, output_sha256=output, output_size=size)
            )
        return True

    def fail_batch(self, chunk: Chunk, error: dict[str, Any], *, holder: str) -> bool:
        """Fail a whole batch for what no other chunk of it would escape; it can be resumed."""
        with self._database.writing() as connection:
            row = self._held(connection, chunk.id, holder)
            if row is None:
                return False
            self._free(connection, [row.id], self._database.now())
            self._fail_batch(connection, row.batch_id, error)
        return True

    def put_off(
        self, chunk: Chunk, error: dict[str, Any], *, holder: str, delay_seconds: float
    ) -> None:
        """Let a chunk be tried again after a pause; once its attempts are used up, it failed."""
        with self._database.writing() as connection:
            row = self._held(connection, chunk.id, holder)
            if row is None:
                return
            if row.attempts >= self._attempts_allowed:
                self._fail(connection, row, error)
                return
            free_at = self._database.now() + int(delay_seconds * SECOND)
            self._free(connection, [row.id], free_at)

    def give_back(self, chunk: Chunk, *, holder: str) -> None:
        """Drop the lease; this attempt is not counted. For a worker that stops cleanly."""
        with self._database.writing() as connection:
            row = self._held(connection, chunk.id, holder)
            if row is not None:
                attempts = max(0, row.attempts - 1)
                self._free(connection, [row.id], self._database.now(), attempts=attempts)

    def extend(self, ids: Iterable[str], *, holder: str, lease_seconds: float) -> list[str]:
        """Renew leases from now on and return the ids that are still `holder`'s."""
        with self._database.writing(durable=False) as connection:
            free_at = self._database.now() + int(lease_seconds * SECOND)
            statement = (
                update(batch_chunks)
                .where(batch_chunks.c.id.in_(list(ids)), _is_held(holder))
                .values(free_at=free_at)
                .returning(batch_chunks.c.id)
            )
            return list(connection.execute(statement).scalars())

    def holders(self) -> list[str]:
        """Return who holds a lease that has not lapsed."""
        return leases.holders(self._database, batch_chunks)

    def release(self, holders: Iterable[str]) -> int:
        """Let every lease of holders known to be dead lapse now; return how many they were."""
        return leases.release(self._database, batch_chunks, holders)

    def set_aside(self) -> int:
        """Make errors of rows that cost too many workers; return how many chunks they were."""
        spent = and_(
            batch_chunks.c.free_at <= self._database.now(),
            batch_chunks.c.attempts >= self._attempts_allowed,
            ~_is_divisible(),
        )
        with self._database.reading() as connection:
            if connection.execute(select(batch_chunks.c.id).where(spent).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            query = select(batch_chunks).where(spent).order_by(batch_chunks.c.id)
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            for row in rows:
                self._fail(connection, row, WORKER_LOST if row.stage == "read" else BATCH_LOST)
        return len(rows)

    def pieces(self, batch_id: str) -> Iterator[Piece]:
        """Yield a batch's read chunks in the order of their rows, for its merge."""
        after = -1
        while True:
            query = (
                select(*(batch_chunks.c[name] for name in Piece.__dataclass_fields__))
                .where(
                    batch_chunks.c.batch_id == batch_id,
                    batch_chunks.c.stage == "read",
                    batch_chunks.c.first_row > after,
                )
                .order_by(batch_chunks.c.first_row)
                .limit(PAGE)
            )
            with self._database.reading() as connection:
                rows = [Piece(**row._mapping) for row in connection.execute(query)]
            yield from rows
            if len(rows) < PAGE:
                return
            after = rows[-1].first_row

    def _is_free(self, now: int) -> ColumnElement[bool]:
        able = or_(batch_chunks.c.attempts < self._attempts_allowed, _is_divisible())
        return and_(batch_chunks.c.free_at <= now, able)

    def _next(self, batch_id: str, now: int) -> Any:
        return (
            select(batch_chunks)
            .where(
                batch_chunks.c.batch_id == batch_id,
                batch_chunks.c.free_at.is_not(None),
                self._is_free(now),
            )
            # "split" first: with the number of rows known, the time left is too
            .order_by(batch_chunks.c.stage.desc(), batch_chunks.c.first_row)
            .limit(1)
            .with_for_update(skip_locked=True)
        )

    def _is_divided(self, row: Row[Any]) -> bool:
        return row.stage == "read" and row.holder is not None and row.rows > 1

    def _divide(self, connection: Connection, row: Row[Any], now: int) -> Row[Any]:
        """Put smaller chunks in the place of a lost one and return the first of them."""
        size = -(-row.rows // PIECES)
        smaller = [
            new_chunk(
                row.batch_id,
                row.workspace,
                "read",
                now=now,
                first_row=row.first_row + start,
                rows=min(size, row.rows - start),
                skip=row.skip + start,
                input_sha256=row.input_sha256,
            )
            for start in range(0, row.rows, size)
        ]
        connection.execute(delete(batch_chunks).where(batch_chunks.c.id == row.id))
        connection.execute(insert(batch_chunks), smaller)
        first = select(batch_chunks).where(batch_chunks.c.id == smaller[0]["id"])
        return connection.execute(first).one()

    def _lease(
        self, connection: Connection, row: Row[Any], holder: str, now: int, lease_seconds: float
    ) -> Chunk:
        free_at = now + int(lease_seconds * SECOND)
        connection.execute(
            update(batch_chunks)
            .where(batch_chunks.c.id == row.id)
            .values(holder=holder, free_at=free_at, attempts=row.attempts + 1, state="running")
        )
        of_batch = select(batches).where(batches.c.id == row.batch_id)
        batch = connection.execute(of_batch).one()
        values: dict[str, Any] = {"turn_at": now}
        if batch.state == "waiting":
            values["state"] = "running"
        if batch.started_at is None:
            values["started_at"] = to_datetime(now)
        connection.execute(
            # pausing may have been quicker
            update(batches)
            .where(batches.c.id == batch.id, batches.c.state == batch.state)
            .values(values)
        )
        ours = (
            "id", "batch_id", "workspace", "stage", "first_row", "rows", "skip", "input_sha256",
            "cursor",
        )  # fmt: skip
        theirs = ("kind", "name", "format", "text_column", "layout")
        return Chunk(
            **{name: getattr(row, name) for name in ours},
            **{name: getattr(batch, name) for name in theirs},
            attempts=row.attempts + 1,
            batch_input=batch.input_sha256,
        )

    def _charge(self, connection: Connection, batch_id: str, rows: int) -> None:
        """Count rows on the quota of the token that handed the batch in."""
        query = select(batches.c.token_id).where(batches.c.id == batch_id)
        token_id = connection.execute(query).scalar_one()
        if token_id is not None:
            quotas.charge(connection, self._database, token_id, documents=rows)

    def _held(self, connection: Connection, chunk_id: str, holder: str) -> Row[Any] | None:
        query = select(batch_chunks).where(batch_chunks.c.id == chunk_id, _is_held(holder))
        return connection.execute(query.with_for_update()).one_or_none()

    def _free(
        self, connection: Connection, ids: Sequence[str], free_at: int, **values: Any
    ) -> None:
        connection.execute(
            update(batch_chunks)
            .where(batch_chunks.c.id.in_(ids))
            .values(state="waiting", holder=None, free_at=free_at, **values)
        )

    def _end(
        self, connection: Connection, row: Row[Any], state: str, values: dict[str, Any]
    ) -> None:
        """End a read chunk, count its rows, and begin the merge when it was the last."""
        instant = self._database.now()
        now = to_datetime(instant)
        values = {"state": state, "free_at": None, "holder": None, "finished_at": now, **values}
        connection.execute(update(batch_chunks).where(batch_chunks.c.id == row.id).values(values))
        failed = values["rows_failed"]
        counts = {BULK: (row.rows - failed, failed)}
        results.tally(connection, self._database, counts, row.holder or "", instant)
        connection.execute(
            update(batches)
            .where(batches.c.id == row.batch_id)
            .values(
                rows_done=batches.c.rows_done + row.rows,
                rows_failed=batches.c.rows_failed + values["rows_failed"],
            )
        )
        self._advance(connection, row.batch_id, row.workspace)

    def _advance(self, connection: Connection, batch_id: str, workspace: str) -> None:
        """Owe the merge once nothing else is; the caller has changed, so locked, the batch."""
        left = select(batch_chunks.c.id).where(
            batch_chunks.c.batch_id == batch_id, batch_chunks.c.free_at.is_not(None)
        )
        if connection.execute(left.limit(1)).first() is None:
            row = new_chunk(batch_id, workspace, "merge", now=self._database.now())
            statement = self._database.insert(batch_chunks).on_conflict_do_nothing()
            connection.execute(statement, row)

    def _fail(self, connection: Connection, row: Row[Any], error: dict[str, Any]) -> None:
        if row.stage == "read":
            self._end(connection, row, "failed", {"error": error, "rows_failed": row.rows})
        else:
            self._free(connection, [row.id], self._database.now(), attempts=0)
            self._fail_batch(connection, row.batch_id, error)

    def _fail_batch(self, connection: Connection, batch_id: str, error: dict[str, Any]) -> None:
        connection.execute(
            update(batches)
            .where(batches.c.id == batch_id)
            .values(state="failed", error=error, finished_at=to_datetime(self._database.now()))
        )


def _is_held(holder: str) -> ColumnElement[bool]:
    return and_(batch_chunks.c.holder == holder, batch_chunks.c.free_at.is_not(None))


def _is_divisible() -> ColumnElement[bool]:
    """A lease that lapsed on more than one row: `_is_divided` in SQL."""
    return and_(
        batch_chunks.c.stage == "read",
        batch_chunks.c.holder.is_not(None),
        batch_chunks.c.rows > 1,
    )
