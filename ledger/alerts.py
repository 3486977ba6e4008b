"""Alerts: payments that look like fraud, worked through by people, their verdicts kept.

An alert is a job's (of an uploaded table) or a payment's that was scored as it came. Verdicts are
only ever added; the newest is the alert's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from ledger import audit
from ledger.columns import clean, new_id, to_datetime
from ledger.database import Database
from ledger.errors import InvalidCursor
from ledger.schema import alert_decisions, alerts, payments
from ledger.shelf import Page, Shelf, bounded
from ledger.viewer import Viewer, visible

ALERT_STATES = ("open", "confirmed", "dismissed")
SHELF = Shelf(alerts, "alert")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A payment to look at; `paid_at` is the till's own time, `reasons` as the detector says."""

    id: str
    workspace: str
    job_id: str | None
    payment_id: str | None
    number: str
    card: str
    terminal: str
    paid_at: str
    amount: float
    score: float
    reasons: list[dict[str, Any]]
    state: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Who said what about an alert, and when."""

    id: str
    alert_id: str
    state: str
    note: str
    actor: str
    created_at: datetime


Verdicts = list[Verdict]


class Alerts:
    """Every method takes the viewer and sees their workspace only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, alert_id: str, viewer: Viewer) -> Alert:
        """Return an alert; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            return _from_row(SHELF.find(connection, alert_id, viewer))

    def list(
        self,
        viewer: Viewer,
        *,
        job_id: str | None = None,
        state: str | None = None,
        card: str | None = None,
        least: float | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Alert]:
        """Return alerts of a job (None: of payments scored as they came), highest score first.

        `least` leaves out lower scores; `after` is that of the page before.
        """
        viewer.require("read")
        limit = bounded(limit)
        query = select(alerts).where(visible(alerts, viewer), _of(job_id))
        if state is not None:
            query = query.where(alerts.c.state == clean(state))
        if card is not None:
            query = query.where(alerts.c.card == clean(card))
        if least is not None:
            query = query.where(alerts.c.score >= least)
        with self._database.reading() as connection:
            if after is not None:
                query = query.where(self._behind(connection, after, viewer))
            query = query.order_by(alerts.c.score.desc(), alerts.c.id).limit(limit + 1)
            rows = connection.execute(query).all()
        items = [_from_row(row) for row in rows[:limit]]
        return Page(items, items[-1].id if len(rows) > limit else None)

    def counts(
        self, viewer: Viewer, *, job_id: str | None = None, least: float | None = None
    ) -> dict[str, int]:
        """Return how many alerts there are in each state."""
        viewer.require("read")
        query = select(alerts.c.state, func.count()).where(visible(alerts, viewer), _of(job_id))
        if least is not None:
            query = query.where(alerts.c.score >= least)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(alerts.c.state)).all()
        found = {str(row[0]): int(row[1]) for row in rows}
        return {state: found.get(state, 0) for state in ALERT_STATES}

    def decide(self, alert_id: str, state: str, viewer: Viewer, *, note: str = "") -> Alert:
        """Keep a verdict: `confirmed` as fraud, `dismissed`, or `open` again.

        What is said of a payment scored as it came is told to its card's and its terminal's
        history by the next worker. Raises NotFound, ValueError for another state.
        """
        viewer.require("write")
        if state not in ALERT_STATES:
            raise ValueError(f"{state!r} is none of {', '.join(ALERT_STATES)}")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, alert_id, viewer)
            now = self._database.now()
            connection.execute(
                insert(alert_decisions),
                {
                    "id": new_id(),
                    "alert_id": row.id,
                    "workspace": viewer.workspace,
                    "state": state,
                    "note": clean(note),
                    "actor": clean(viewer.actor),
                    "created_at": to_datetime(now),
                },
            )
            change = update(alerts).where(alerts.c.id == row.id)
            connection.execute(change.values(state=state))
            if row.payment_id is not None:
                label = {"confirmed": True, "dismissed": False}.get(state)
                told = update(payments).where(payments.c.id == row.payment_id)
                connection.execute(told.values(is_fraud=label, is_owed=True))
            detail = {"alert": row.id}
            audit.record(connection, now, viewer, f"alert {state}", detail=detail)
        return self.get(alert_id, viewer)

    def verdicts(self, alert_id: str, viewer: Viewer) -> Verdicts:
        """Return what was said of an alert, newest first; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            row = SHELF.find(connection, alert_id, viewer)
            query = select(alert_decisions).where(
                alert_decisions.c.alert_id == row.id, visible(alert_decisions, viewer)
            )
            rows = connection.execute(query.order_by(alert_decisions.c.id.desc())).all()
        wanted = Verdict.__dataclass_fields__
        return [Verdict(**{name: getattr(one, name) for name in wanted}) for one in rows]

    def _behind(self, connection: Connection, after: str, viewer: Viewer) -> ColumnElement[bool]:
        query = select(alerts.c.score).where(SHELF.one(SHELF.checked(after), viewer))
        score = connection.execute(query).scalar_one_or_none()
        if score is None:
            raise InvalidCursor("`after` is not from a page of this list")
        return or_(alerts.c.score < score, and_(alerts.c.score == score, alerts.c.id > after))


def alert_row(
    workspace: str,
    said: Mapping[str, Any],
    now: datetime,
    *,
    job_id: str | None = None,
    payment_id: str | None = None,
) -> dict[str, Any]:
    """Return the row of a new, open alert."""
    return {
        "id": new_id(),
        "workspace": workspace,
        "job_id": job_id,
        "payment_id": payment_id,
        "number": clean(str(said["number"])),
        "card": clean(str(said["card"])),
        "terminal": clean(str(said["terminal"])),
        "paid_at": clean(str(said["paid_at"])),
        "amount": float(said["amount"]),
        "score": float(said["score"]),
        "reasons": said["reasons"],
        "state": "open",
        "created_at": now,
    }


def _of(job_id: str | None) -> ColumnElement[bool]:
    return alerts.c.job_id.is_(None) if job_id is None else alerts.c.job_id == clean(job_id)


def _from_row(row: Row[Any]) -> Alert:
    return Alert(**row._mapping)
