"""Card payments that are scored as they come, each once, and the states of cards and terminals.

A payment is kept with its sender's number, which says it apart from a repetition. Whoever scores
payments reads states with their versions and writes the next ones only if nobody else did
meanwhile: a card's order holds however many workers there are, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, tuple_, update

from ledger.alerts import alert_row
from ledger.columns import clean, is_id, new_id, to_datetime
from ledger.database import Database, chunks
from ledger.errors import IdempotencyConflict, NotFound
from ledger.schema import alerts, payment_states, payments
from ledger.shelf import bounded
from ledger.viewer import Viewer, visible

_OUTSTANDING = select(payments.c.workspace).where(payments.c.is_owed).limit(1)

StateKey = tuple[str, str]  # "card" or "terminal", and its name


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment; `paid_at` is the till's own time as it was sent, `answer` None until scored.

    `is_fraud` is what became known of it later; `is_learned` says that the histories count it.
    """

    id: str
    workspace: str
    number: str
    card: str
    terminal: str
    paid_at: str
    amount: float
    score: float | None
    answer: dict[str, Any] | None
    is_fraud: bool | None
    is_learned: bool
    created_at: datetime
    scored_at: datetime | None
    repeated: bool = False


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Payments to score or to learn from, in the order they came, and the states they touch.

    A state that is not there yet has no entry in `states`, and version 0.
    """

    workspace: str
    payments: list[Payment]
    states: dict[StateKey, dict[str, Any]]
    versions: dict[StateKey, int]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a worker found of a payment; `answer` None where it was only learnt from."""

    payment: Payment
    answer: dict[str, Any] | None
    score: float | None
    is_alert: bool
    is_learned: bool


class Payments:
    """What takes a viewer sees their workspace only; the rest is the workers'."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, sent: Sequence[Mapping[str, Any]], viewer: Viewer) -> list[Payment]:
        """Keep payments (`number`, `card`, `terminal`, `paid_at`, `amount`) and owe their scores.

        In one transaction, durable when it returns, in order. A number that came before is the
        payment kept then, `repeated`; raises IdempotencyConflict when it was another payment.
        """
        viewer.require("write")
        wanted = [{name: _clean(each[name]) for name in _SENT} for each in sent]
        with self._database.writing() as connection:
            now = to_datetime(self._database.now())
            rows = [
                {
                    "id": new_id(),
                    "workspace": viewer.workspace,
                    "is_owed": True,
                    "is_learned": False,
                    "created_at": now,
                    **each,
                }
                for each in wanted
            ]
            statement = self._database.insert(payments).on_conflict_do_nothing(
                index_elements=["workspace", "number"]
            )
            if rows:
                connection.execute(statement, rows)
            new = {row["id"] for row in rows}
            kept = self._numbered(connection, [each["number"] for each in wanted], viewer)
        answers, seen = [], set()
        for each in wanted:
            payment = kept[each["number"]]
            if any(getattr(payment, name) != each[name] for name in _SENT):
                raise IdempotencyConflict(f"{each['number']!r} was the number of another payment")
            repeated = payment.id not in new or payment.id in seen
            seen.add(payment.id)
            answers.append(replace(payment, repeated=repeated))
        return answers

    def label(self, told: Mapping[str, bool], viewer: Viewer) -> list[str]:
        """Say which payments, by number, were fraud; return the numbers that are not known here.

        A worker tells it to the histories of the card and the terminal. Saying it twice is once;
        a fraud taken back is kept as such, but the histories no longer forget it.
        """
        viewer.require("write")
        with self._database.writing() as connection:
            kept = self._numbered(connection, [clean(number) for number in told], viewer)
            for number, is_fraud in told.items():
                if (payment := kept.get(clean(number))) is None:
                    continue
                change = update(payments).where(payments.c.id == payment.id)
                connection.execute(change.values(is_fraud=is_fraud, is_owed=True))
        return [number for number in told if clean(number) not in kept]

    def get(self, payment_id: str, viewer: Viewer) -> Payment:
        """Return a payment; raises NotFound."""
        found = self.get_many([payment_id], viewer)
        if not found:
            raise NotFound("there is no such payment")
        return found[0]

    def get_many(self, ids: Sequence[str], viewer: Viewer) -> list[Payment]:
        """Return payments that are there, in the order of their ids."""
        viewer.require("read")
        wanted = [each for each in ids if is_id(each)]
        found: list[Payment] = []
        with self._database.reading() as connection:
            for some in chunks(wanted):
                query = select(payments).where(payments.c.id.in_(some), visible(payments, viewer))
                found += [_from_row(row) for row in connection.execute(query)]
        return sorted(found, key=lambda payment: payment.id)

    def of_card(self, card: str, viewer: Viewer, *, limit: int = 100) -> list[Payment]:
        """Return a card's latest payments, oldest first."""
        viewer.require("read")
        limit = bounded(limit)
        query = select(payments).where(visible(payments, viewer), payments.c.card == clean(card))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(payments.c.id.desc()).limit(limit)).all()
        return [_from_row(row) for row in reversed(rows)]

    # What follows is the workers': it knows no viewer and sees every workspace.

    def outstanding(self) -> str | None:
        """Return a workspace in which payments wait, None where nothing does."""
        with self._database.reading() as connection:
            workspace = connection.execute(_OUTSTANDING).scalar_one_or_none()
        return None if workspace is None else str(workspace)

    def take(self, workspace: str, *, most: int) -> Taken:
        """Return the payments of a workspace that have waited longest, with what they touch."""
        query = (
            select(payments)
            .where(payments.c.workspace == workspace, payments.c.is_owed)
            .order_by(payments.c.id)
            .limit(most)
        )
        with self._database.reading() as connection:
            found = [_from_row(row) for row in connection.execute(query)]
            keys = {("card", each.card) for each in found}
            keys |= {("terminal", each.terminal) for each in found}
            rows = self._states(connection, workspace, sorted(keys))
        return Taken(
            workspace=workspace,
            payments=found,
            states={(row.kind, row.name): row.state for row in rows},
            versions=dict.fromkeys(keys, 0) | {(row.kind, row.name): row.version for row in rows},
        )

    def commit(
        self, taken: Taken, scored: Sequence[Scored], states: Mapping[StateKey, dict[str, Any]]
    ) -> bool:
        """Keep scores, alerts and the next states, all or nothing.

        False when somebody else scored one of these payments, wrote one of these states, or said
        something new of a payment meanwhile: take again then.
        """
        with self._database.writing() as connection:
            self._database.lock_name(connection, f"payments {taken.workspace}")
            if not self._is_as_taken(connection, taken):
                return False
            now = to_datetime(self._database.now())
            rows = [
                {
                    "workspace": taken.workspace,
                    "kind": kind,
                    "name": name,
                    "version": taken.versions[kind, name] + 1,
                    "state": state,
                    "changed_at": now,
                }
                for (kind, name), state in sorted(states.items())
            ]
            self._database.upsert(connection, payment_states, rows)
            for one in scored:
                self._keep(connection, one, now)
        return True

    def _keep(self, connection: Connection, one: Scored, now: datetime) -> None:
        values: dict[str, Any] = {"is_owed": False, "is_learned": one.is_learned}
        if one.answer is not None:
            values |= {"answer": one.answer, "score": one.score, "scored_at": now}
        connection.execute(update(payments).where(payments.c.id == one.payment.id).values(values))
        if one.is_alert and one.answer is not None:
            said = {name: getattr(one.payment, name) for name in _SENT}
            said |= {"score": one.score, "reasons": one.answer.get("reasons") or []}
            row = alert_row(one.payment.workspace, said, now, payment_id=one.payment.id)
            connection.execute(insert(alerts), row)

    def _is_as_taken(self, connection: Connection, taken: Taken) -> bool:
        before = {each.id: (each.score is None, each.is_fraud) for each in taken.payments}
        for some in chunks(list(before)):
            query = select(payments.c.id, payments.c.is_owed, payments.c.score, payments.c.is_fraud)
            rows = connection.execute(query.where(payments.c.id.in_(some))).all()
            if len(rows) < len(some):
                return False
            for row in rows:
                if not row.is_owed or (row.score is None, row.is_fraud) != before[row.id]:
                    return False
        found = self._states(connection, taken.workspace, sorted(taken.versions))
        now = dict.fromkeys(taken.versions, 0) | {
            (row.kind, row.name): row.version for row in found
        }
        return now == taken.versions

    def _states(
        self, connection: Connection, workspace: str, keys: Sequence[StateKey]
    ) -> list[Row[Any]]:
        found: list[Row[Any]] = []
        for some in chunks(keys):
            is_one = tuple_(payment_states.c.kind, payment_states.c.name).in_(some)
            query = select(payment_states).where(payment_states.c.workspace == workspace, is_one)
            found += connection.execute(query).all()
        return found

    def _numbered(
        self, connection: Connection, numbers: Sequence[str], viewer: Viewer
    ) -> dict[str, Payment]:
        found: dict[str, Payment] = {}
        for some in chunks(numbers):
            query = select(payments).where(visible(payments, viewer), payments.c.number.in_(some))
            found |= {row.number: _from_row(row) for row in connection.execute(query)}
        return found


_SENT = ("number", "card", "terminal", "paid_at", "amount")


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else float(value)


def _from_row(row: Row[Any]) -> Payment:
    wanted = set(Payment.__dataclass_fields__) - {"repeated"}
    return Payment(**{name: value for name, value in row._mapping.items() if name in wanted})
