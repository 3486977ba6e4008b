"""Owed work: claimed under a lease, finished by compare-and-set, in the order of ledger/rank.py.

A row is free when `free_at` has passed: at once, after a pause, or when a lease lapsed. A
lapsed row keeps its count of attempts, and one with any attempt behind it is claimed alone:
what killed a worker takes nobody with it. Transactions lock owed rows first, documents second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    select,
    type_coerce,
    update,
)

from ledger import leases, results
from ledger.columns import SECOND
from ledger.database import Database, chunks
from ledger.errors import BodyMissing
from ledger.originals import Originals
from ledger.results import BUCKET, Finished
from ledger.schema import batch_chunks, batches, documents, owed, tallies

CLAIM_TRIES = 5  # another claimer may hold the very rows we looked at, and take only some
OUTSTANDING_LIMIT = 10_000
BULK = "bulk"  # the queue on which batches are worked on
WORKER_LOST = {
    "code": "worker_lost",
    "message": "Reading it stopped the worker every time. Retry it, or look at the original.",
}


@dataclass(frozen=True, kw_only=True)
class Owed:
    """A claimed document: `attempts` counts this one, `size` is in bytes."""

    id: str
    document_id: str
    workspace: str
    kind_said: str | None
    queue: str
    priority: int
    attempts: int
    deadline: datetime | None
    name: str
    media_type: str
    source: str
    size: int
    envelope: dict[str, Any] | None
    sha256: str
    in_files: bool


class OwedWork:
    """What waits to be read. Workers call this: it knows no viewer and sees every workspace."""

    def __init__(self, database: Database, originals: Originals, *, attempts_allowed: int) -> None:
        self._database = database
        self._originals = originals
        self._attempts_allowed = attempts_allowed

    def claim(
        self,
        queue: str,
        *,
        holder: str,
        items: int,
        characters: int,
        lease_seconds: float,
        attempts_allowed: int | None = None,
    ) -> list[Owed]:
        """Take a lease on the next documents of `queue` and count an attempt for each.

        At most `items`, and as many as fit in `characters` (bytes stand for characters), but
        never none while any is free. One that was attempted before comes alone; one whose
        attempts are used up never comes.
        """
        cap = self._attempts_allowed if attempts_allowed is None else attempts_allowed
        for _ in range(CLAIM_TRIES):
            # An idle look takes no write lock
            if not self._is_any_free(queue, cap):
                return []
            with self._database.writing(durable=False) as connection:
                now = self._database.now()
                rows = connection.execute(_next(queue, now, cap, items)).all()
                chosen = _choose(rows, characters)
                if chosen:
                    return self._lease(connection, chosen, holder, now, lease_seconds)
        return []

    def bodies(self, claimed: Sequence[Owed]) -> list[bytes | BodyMissing]:
        """Return the original bytes in order; one that is missing is a BodyMissing in its place."""
        wanted = [(one.document_id, one.sha256, one.in_files) for one in claimed]
        return self._originals.read_many(wanted)

    def outstanding(self, queue: str, *, up_to: int = OUTSTANDING_LIMIT) -> int:
        """Return how many could be claimed right now; counting stops at `up_to`."""
        free = _is_free(self._database.now(), self._attempts_allowed)
        rows = select(owed.c.id).where(owed.c.queue == queue, free).limit(up_to).subquery()
        with self._database.reading() as connection:
            number: int = connection.execute(select(func.count()).select_from(rows)).scalar_one()
        return number

    def finish(self, finished: Sequence[Finished], *, holder: str) -> list[str]:
        """Commit results, all in one transaction, and return the ids of documents finished.

        A row that is no longer `holder`'s (lapsed and taken by another, cancelled, deleted) is
        left alone and not in the answer, so finishing twice is harmless.
        """
        ends = {one.owed_id: results.storable(one) for one in finished}
        if not ends:
            return []
        with self._database.writing() as connection:
            rows = self._take(connection, ends, holder)
            taken = [(row, ends[row.id]) for row in rows]
            results.commit(connection, self._database, taken, holder=holder)
        return [row.document_id for row in rows]

    def put_off(
        self,
        failures: Sequence[tuple[str, dict[str, Any]]],
        *,
        holder: str,
        attempts_allowed: int,
        delay_seconds: float,
    ) -> None:
        """Let (owed id, error) be tried again, not before `delay_seconds` from now.

        One whose attempts are used up has failed for good, with that error.
        """
        errors = dict(failures)
        with self._database.writing() as connection:
            rows = self._held(connection, errors, holder)
            final = [row for row in rows if row.attempts >= attempts_allowed]
            self._fail(connection, [(row, errors[row.id]) for row in final], holder)
            later = [row for row in rows if row.attempts < attempts_allowed]
            free_at = self._database.now() + int(delay_seconds * SECOND)
            for row in later:
                connection.execute(
                    update(owed)
                    .where(owed.c.id == row.id)
                    .values(holder=None, free_at=free_at, error=errors[row.id])
                )
            self._set_waiting(connection, [row.document_id for row in later], attempts=0)

    def give_back(self, ids: Iterable[str], *, holder: str) -> None:
        """Drop the leases; this attempt is not counted. For a worker that stops cleanly."""
        with self._database.writing() as connection:
            rows = self._held(connection, ids, holder)
            for some in chunks([row.id for row in rows]):
                connection.execute(
                    update(owed)
                    .where(owed.c.id.in_(some))
                    .values(holder=None, free_at=self._database.now(), attempts=owed.c.attempts - 1)
                )
            self._set_waiting(connection, [row.document_id for row in rows], attempts=-1)

    def extend(self, ids: Iterable[str], *, holder: str, lease_seconds: float) -> list[str]:
        """Renew leases from now on and return the ids that are still `holder`'s."""
        kept: list[str] = []
        with self._database.writing(durable=False) as connection:
            free_at = self._database.now() + int(lease_seconds * SECOND)
            for some in chunks(sorted(set(ids))):
                statement = (
                    update(owed)
                    .where(owed.c.id.in_(some), owed.c.holder == holder)
                    .values(free_at=free_at)
                    .returning(owed.c.id)
                )
                kept.extend(connection.execute(statement).scalars())
        return kept

    def holders(self) -> list[str]:
        """Return who holds a lease that has not lapsed."""
        return leases.holders(self._database, owed)

    def release(self, holders: Iterable[str]) -> int:
        """Let every lease of holders known to be dead lapse now; return how many they were."""
        return leases.release(self._database, owed, holders)

    def set_aside(self, attempts_allowed: int) -> list[str]:
        """Fail documents whose last lease lapsed with their attempts used up; return their ids.

        The error is `worker_lost`, or what the attempt before was put off with.
        """
        now = self._database.now()
        spent = and_(owed.c.free_at <= now, owed.c.attempts >= attempts_allowed)
        with self._database.reading() as connection:
            if connection.execute(select(owed.c.id).where(spent).limit(1)).one_or_none() is None:
                return []
        with self._database.writing() as connection:
            query = select(owed).where(spent).order_by(owed.c.id)
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            ends = [(row, WORKER_LOST if row.holder else row.error or WORKER_LOST) for row in rows]
            self._fail(connection, ends, "set_aside")
        return [row.document_id for row in rows]

    def status(self) -> dict[str, dict[str, Any]]:
        """Return for each queue how much is owed, claimable and leased, and the oldest's age.

        On `bulk` a chunk of a batch counts as one.
        """
        now = self._database.now()
        free = _is_free(now, self._attempts_allowed)
        leased = and_(owed.c.holder.is_not(None), owed.c.free_at > now)
        query = select(
            owed.c.queue,
            func.count(),
            func.sum(case((free, 1), else_=0)),
            func.sum(case((leased, 1), else_=0)),
            func.min(owed.c.created_at),
        ).group_by(owed.c.queue)
        with self._database.reading() as connection:
            rows = [*connection.execute(query), *connection.execute(_chunks(now))]
        found: dict[str, dict[str, Any]] = {}
        for queue, number, claimable, held, oldest in rows:
            if not number:
                continue
            age = max(0.0, (now - int(oldest)) / SECOND)
            before = found.get(queue, {"owed": 0, "claimable": 0, "leased": 0, "oldest_seconds": 0})
            found[queue] = {
                "owed": before["owed"] + int(number),
                "claimable": before["claimable"] + int(claimable),
                "leased": before["leased"] + int(held),
                "oldest_seconds": max(before["oldest_seconds"], age),
            }
        return found

    def throughput(self, queue: str, seconds: float = 60) -> float:
        """Return how many documents of `queue` were finished a second, over the last `seconds`.

        On `bulk` a row of a batch counts as a document.
        """
        since = (self._database.now() - int(seconds * SECOND)) // BUCKET
        query = select(func.sum(tallies.c.finished + tallies.c.failed)).where(
            tallies.c.queue == queue, tallies.c.bucket > since
        )
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar() or 0) / seconds

    def _is_any_free(self, queue: str, cap: int) -> bool:
        free = _is_free(self._database.now(), cap)
        query = select(owed.c.id).where(owed.c.queue == queue, free).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).one_or_none() is not None

    def _lease(
        self,
        connection: Connection,
        ids: Sequence[str],
        holder: str,
        now: int,
        lease_seconds: float,
    ) -> list[Owed]:
        free_at = now + int(lease_seconds * SECOND)
        claimed: dict[str, Owed] = {}
        for some in chunks(ids):
            connection.execute(
                update(owed)
                .where(owed.c.id.in_(some))
                .values(holder=holder, free_at=free_at, attempts=owed.c.attempts + 1)
            )
            rows = connection.execute(_whole(some)).all()
            claimed.update({row.id: Owed(**row._mapping) for row in rows})
            connection.execute(
                update(documents)
                .where(documents.c.id.in_([row.document_id for row in rows]))
                .values(state="running", attempts=documents.c.attempts + 1)
            )
        return [claimed[id_] for id_ in ids]

    def _held(self, connection: Connection, ids: Iterable[str], holder: str) -> list[Row[Any]]:
        rows: list[Row[Any]] = []
        for some in chunks(sorted(set(ids))):
            query = (
                select(owed)
                .where(owed.c.id.in_(some), owed.c.holder == holder)
                .order_by(owed.c.id)
                .with_for_update()
            )
            rows.extend(connection.execute(query).all())
        return rows

    def _take(self, connection: Connection, ids: Iterable[str], holder: str) -> list[Row[Any]]:
        rows = self._held(connection, ids, holder)
        for some in chunks([row.id for row in rows]):
            connection.execute(delete(owed).where(owed.c.id.in_(some)))
        return rows

    def _fail(
        self, connection: Connection, ends: Sequence[tuple[Row[Any], dict[str, Any]]], holder: str
    ) -> None:
        for some in chunks([row.id for row, _ in ends]):
            connection.execute(delete(owed).where(owed.c.id.in_(some)))
        taken = [(row, results.storable(Finished(row.id, error=error))) for row, error in ends]
        results.commit(connection, self._database, taken, holder=holder)

    def _set_waiting(
        self, connection: Connection, document_ids: Sequence[str], *, attempts: int
    ) -> None:
        for some in chunks(sorted(document_ids)):
            connection.execute(
                update(documents)
                .where(documents.c.id.in_(some))
                .values(state="waiting", attempts=documents.c.attempts + attempts)
            )


def _is_free(now: int, cap: int) -> ColumnElement[bool]:
    return and_(owed.c.free_at <= now, owed.c.attempts < cap)


def _next(queue: str, now: int, cap: int, items: int) -> Select[Any]:
    return (
        select(owed.c.id, owed.c.size, owed.c.attempts)
        # "+ 0" keeps planners from finding all that is free and sorting it: the index in the
        # order of rank has the next rows first
        .where(owed.c.queue == queue, owed.c.free_at + 0 <= now, owed.c.attempts < cap)
        .order_by(owed.c.rank, owed.c.id)
        .limit(max(1, items))
        .with_for_update(skip_locked=True)  # SQLite: the transaction is the lock
    )


def _chunks(now: int) -> Any:
    """Ask of the chunks of batches, neither paused nor over, what `status` asks of documents."""
    leased = and_(batch_chunks.c.holder.is_not(None), batch_chunks.c.free_at > now)
    return (
        select(
            literal(BULK),
            func.count(),
            func.sum(case((batch_chunks.c.free_at <= now, 1), else_=0)),
            func.sum(case((leased, 1), else_=0)),
            func.min(type_coerce(batches.c.created_at, BigInteger)),  # a number, not a moment
        )
        .join(batches, batches.c.id == batch_chunks.c.batch_id)
        .where(
            batches.c.finished_at.is_(None),
            batches.c.state.in_(("waiting", "running")),
            batch_chunks.c.free_at.is_not(None),
        )
    )


def _choose(rows: Sequence[Row[Any]], characters: int) -> list[str]:
    """Return the ids to take: the first if it was attempted before, else the first that fit."""
    if rows and rows[0].attempts:
        return [rows[0].id]
    chosen: list[str] = []
    left = characters
    for row in rows:
        if row.attempts:
            continue  # it comes alone, when it is the first
        left -= row.size
        if chosen and left < 0:
            break
        chosen.append(row.id)
    return chosen


def _whole(ids: Sequence[str]) -> Select[Any]:
    theirs = ("name", "media_type", "source", "envelope", "sha256", "in_files")
    ours = [name for name in Owed.__dataclass_fields__ if name not in theirs]
    return (
        select(*(owed.c[name] for name in ours), *(documents.c[name] for name in theirs))
        .join(documents, documents.c.id == owed.c.document_id)
        .where(owed.c.id.in_(ids))
    )
