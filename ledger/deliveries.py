"""Owed deliveries: what a result asks another system to do, under the same leases as documents.

A delivery is written in the transaction of its result, carried out by its own task, tried again
on its own, and logs every attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, select, update

from ledger import audit
from ledger.columns import SECOND, clean, new_id, to_datetime
from ledger.database import Database
from ledger.errors import NotCancellable, NotRetryable
from ledger.schema import deliveries, documents
from ledger.shelf import Shelf
from ledger.viewer import Viewer, visible

ATTEMPTS_ALLOWED = 8
DOCUMENTS = Shelf(documents, "document")
SHELF = Shelf(deliveries, "delivery")
STATES = ("waiting", "running", "done", "failed", "held", "cancelled")
WORKER_LOST = {"code": "worker_lost", "message": "Carrying it out stopped the worker every time."}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery; `log` has an entry `{"at", "attempt", ...}` for each attempt that ended.

    `state` is waiting, running, done or failed, or what a person made of one that had not begun:
    held or cancelled. What people did is in the log too, under `action` and `by`.
    """

    id: str
    document_id: str
    workspace: str
    connector: str
    payload: Any
    state: str
    attempts: int
    not_before: datetime | None
    log: list[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None


class Deliveries:
    """Claimed and ended by workers, seen and replayed by people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        *,
        holder: str,
        lease_seconds: float,
        items: int = 1,
        connector: str | None = None,
        attempts_allowed: int = ATTEMPTS_ALLOWED,
    ) -> list[Delivery]:
        """Take a lease on up to `items` deliveries, oldest due first, and count an attempt each.

        One that was attempted before comes alone. One whose lease lapsed with its attempts
        used up is failed here, and never comes.
        """
        due = [deliveries.c.free_at <= self._database.now()]
        if connector is not None:
            due.append(deliveries.c.connector == connector)
        query = select(deliveries.c.id).where(*due).limit(1)
        with self._database.reading() as connection:
            if connection.execute(query).one_or_none() is None:
                return []
        with self._database.writing() as connection:
            now = self._database.now()
            rows = connection.execute(_next(now, connector, items)).all()
            for row in rows:
                if row.attempts >= attempts_allowed:
                    self._end(connection, row, "failed", WORKER_LOST)
            able = [row for row in rows if row.attempts < attempts_allowed]
            chosen = able[:1] if able and able[0].attempts else [r for r in able if not r.attempts]
            ids = [row.id for row in chosen]
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_(ids))
                .values(
                    state="running",
                    holder=holder,
                    free_at=now + int(lease_seconds * SECOND),
                    attempts=deliveries.c.attempts + 1,
                )
            )
            again = select(deliveries).where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id)
            return [_from_row(row) for row in connection.execute(again)]

    def finish(self, delivery_id: str, *, holder: str, entry: dict[str, Any] | None = None) -> bool:
        """Say that it was carried out; False when the lease was lost, and nothing changes then."""
        with self._database.writing() as connection:
            row = self._held(connection, delivery_id, holder)
            if row is None:
                return False
            self._end(connection, row, "done", entry or {})
        return True

    def put_off(
        self,
        delivery_id: str,
        error: dict[str, Any],
        *,
        holder: str,
        delay_seconds: float,
        attempts_allowed: int = ATTEMPTS_ALLOWED,
    ) -> bool:
        """Let it be tried again after a pause, or fail it for good when attempts are used up.

        False when the lease was lost; nothing changes then. With `attempts_allowed=0` it is
        failed now: for what trying again does not cure.
        """
        with self._database.writing() as connection:
            row = self._held(connection, delivery_id, holder)
            if row is None:
                return False
            if row.attempts >= attempts_allowed:
                self._end(connection, row, "failed", error)
                return True
            free_at = self._database.now() + int(delay_seconds * SECOND)
            values = {"state": "waiting", "free_at": free_at, "holder": None}
            self._update(connection, row, values, error)
        return True

    def owe(
        self, document_id: str, connectors: Sequence[str], payload: dict[str, Any], viewer: Viewer
    ) -> Sequence[Delivery]:
        """Owe what a person asks for: one delivery to each connector that has none under way.

        Raises NotFound. Asking twice while the first is not ended owes nothing more.
        """
        viewer.require("write")
        mine = DOCUMENTS.by_id(select(documents.c.id).with_for_update(read=True))
        with self._database.writing() as connection:
            DOCUMENTS.find(connection, document_id, viewer, mine)
            under_way = select(deliveries.c.connector).where(
                deliveries.c.document_id == document_id,
                deliveries.c.state.in_(("waiting", "running", "held")),
            )
            busy = set(connection.execute(under_way).scalars())
            now = self._database.now()
            entry = {"at": to_datetime(now).isoformat(), "action": "asked for"}
            rows: list[dict[str, Any]] = [
                {
                    "id": new_id(),
                    "document_id": document_id,
                    "workspace": viewer.workspace,
                    "connector": clean(name),
                    "payload": payload,
                    "state": "waiting",
                    "attempts": 0,
                    "free_at": now,
                    "log": [{**entry, "attempt": 0, "by": clean(viewer.actor)}],
                    "created_at": to_datetime(now),
                }
                for name in dict.fromkeys(connectors)
                if name not in busy
            ]
            if rows:
                connection.execute(insert(deliveries), rows)
                audit.record(connection, now, viewer, "delivery asked for", [document_id])
            made = select(deliveries).where(deliveries.c.id.in_([row["id"] for row in rows]))
            return [_from_row(row) for row in connection.execute(made)]

    def hold_back(self, delivery_id: str, entry: dict[str, Any], *, holder: str) -> bool:
        """Hold a delivery that a worker has and must not make now; this attempt is not counted.

        False when the lease was lost; nothing changes then.
        """
        with self._database.writing() as connection:
            row = self._held(connection, delivery_id, holder)
            if row is None:
                return False
            values = {"state": "held", "free_at": None, "holder": None}
            self._update(connection, row, values | {"attempts": row.attempts - 1}, entry)
        return True

    def get(self, delivery_id: str, viewer: Viewer) -> Delivery:
        """Return one delivery; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            return _from_row(SHELF.find(connection, delivery_id, viewer))

    def list(
        self,
        viewer: Viewer,
        *,
        document_id: str | None = None,
        state: str | None = None,
        connector: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Delivery]:
        """Return deliveries, newest first; `after` is the id of the last one already seen."""
        viewer.require("read")
        exact = {"document_id": document_id, "state": state, "connector": connector}
        query = SHELF.newest(viewer, exact=exact, limit=limit, after=after)
        with self._database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query)]

    def replay(self, delivery_id: str, viewer: Viewer) -> Delivery:
        """Owe a finished delivery again, its attempts at 0; raises NotRetryable, NotFound."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, delivery_id, viewer)
            if row.free_at is not None:
                raise NotRetryable("the delivery is already owed")
            now = self._database.now()
            values = {"state": "waiting", "attempts": 0, "free_at": now, "finished_at": None}
            self._by_hand(connection, row, values, viewer, "replayed")
            return _from_row(SHELF.find(connection, delivery_id, viewer))

    def hold(self, delivery_id: str, viewer: Viewer) -> Delivery:
        """Keep a waiting delivery from being made until it is released.

        Raises NotCancellable when it is not waiting any more, and NotFound.
        """
        return self._stop(delivery_id, viewer, "held", ("waiting",))

    def cancel(self, delivery_id: str, viewer: Viewer) -> Delivery:
        """Give up a waiting, held or failed delivery; it can be replayed later.

        Raises NotCancellable when a worker has it, or had it, and NotFound.
        """
        return self._stop(delivery_id, viewer, "cancelled", ("waiting", "held", "failed"))

    def release(self, delivery_id: str, viewer: Viewer) -> Delivery:
        """Let a held delivery be made; raises NotRetryable when it is not held, and NotFound."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, delivery_id, viewer)
            if row.state != "held":
                raise NotRetryable("the delivery is not held")
            now = self._database.now()
            values = {"state": "waiting", "free_at": now, "finished_at": None}
            self._by_hand(connection, row, values, viewer, "released")
            return _from_row(SHELF.find(connection, delivery_id, viewer))

    def counts(self, viewer: Viewer) -> dict[str, int]:
        """Return how many deliveries are in each state; every state is named."""
        viewer.require("read")
        query = (
            select(deliveries.c.state, func.count().label("number"))
            .where(visible(deliveries, viewer))
            .group_by(deliveries.c.state)
        )
        with self._database.reading() as connection:
            found = {row.state: int(row.number) for row in connection.execute(query)}
        return dict.fromkeys(STATES, 0) | found

    def outstanding(self) -> int:
        """Return how many deliveries could be claimed right now."""
        due = deliveries.c.free_at <= self._database.now()
        with self._database.reading() as connection:
            query = select(func.count()).select_from(deliveries).where(due)
            return int(connection.execute(query).scalar_one())

    def _stop(
        self, delivery_id: str, viewer: Viewer, state: str, possible: tuple[str, ...]
    ) -> Delivery:
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, delivery_id, viewer)
            if row.state == state:
                return _from_row(row)
            if row.state not in possible:
                raise NotCancellable(f"the delivery is {row.state} already")
            finished_at = to_datetime(self._database.now()) if state == "cancelled" else None
            values = {"state": state, "free_at": None, "finished_at": finished_at}
            self._by_hand(connection, row, values, viewer, state)
            return _from_row(SHELF.find(connection, delivery_id, viewer))

    def _by_hand(
        self,
        connection: Connection,
        row: Row[Any],
        values: dict[str, Any],
        viewer: Viewer,
        action: str,
    ) -> None:
        """Change a delivery for a person, and say so in its log and in the audit's."""
        entry = {"action": action, "by": clean(viewer.actor)}
        self._update(connection, row, values, entry)
        now, detail = self._database.now(), {"delivery": row.id}
        audit.record(connection, now, viewer, f"delivery {action}", [row.document_id], detail)

    def _held(self, connection: Connection, delivery_id: str, holder: str) -> Row[Any] | None:
        query = select(deliveries).where(
            deliveries.c.id == delivery_id,
            deliveries.c.holder == holder,
            deliveries.c.free_at.is_not(None),
        )
        return connection.execute(query.with_for_update()).one_or_none()

    def _end(
        self, connection: Connection, row: Row[Any], state: str, entry: dict[str, Any]
    ) -> None:
        finished_at = to_datetime(self._database.now())
        values = {"state": state, "free_at": None, "holder": None, "finished_at": finished_at}
        self._update(connection, row, values, entry)

    def _update(
        self, connection: Connection, row: Row[Any], values: dict[str, Any], entry: dict[str, Any]
    ) -> None:
        at = to_datetime(self._database.now()).isoformat()
        log: Sequence[Any] = [*row.log, {"at": at, "attempt": row.attempts, **entry}]
        connection.execute(
            update(deliveries).where(deliveries.c.id == row.id).values(**values, log=log)
        )


def _next(now: int, connector: str | None, items: int) -> Select[Any]:
    due = deliveries.c.free_at <= now
    if connector is not None:
        due = and_(due, deliveries.c.connector == connector)
    return (
        select(deliveries)
        .where(due)
        .order_by(deliveries.c.free_at, deliveries.c.id)
        .limit(max(1, items))
        .with_for_update(skip_locked=True)
    )


def _from_row(row: Row[Any]) -> Delivery:
    values = dict(row._mapping)
    del values["holder"]
    free_at = values.pop("free_at")
    return Delivery(**values, not_before=None if free_at is None else to_datetime(free_at))
