"""The till: card payments are scored as they come, in the order of each card, each once.

States are read with their versions, the detector runs outside of any transaction, and the commit
takes place only if nobody wrote those states meanwhile; else it is done again. So any number of
workers may stand here, and one that dies in the middle leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import Celery

from ledger import Payment
from ledger.errors import LedgerError
from ledger.payments import Scored, StateKey, Taken
from workers.claiming import Desk
from workers.context import Context

log = structlog.get_logger(__name__)

QUEUE = "interactive"  # somebody stands at a terminal and waits
MOST = 256  # payments of one commit
TURN_SECONDS = 2.0
EPOCH = datetime(1970, 1, 1)


class SwiftDesk:
    """The work of queue `interactive`: payments first, they take milliseconds; then documents."""

    def __init__(self, app: Celery, context: Context) -> None:
        self._desk = Desk(app, context, QUEUE)
        self._till = Till(app, context)

    def work(self) -> None:
        """Do what is owed until nothing is, the turn is over, or the worker is to stop."""
        self._till.take_turn()
        self._desk.work()


class Till:
    """Payments in one worker process."""

    def __init__(self, app: Celery, context: Context) -> None:
        self._app = app
        self._context = context

    def take_turn(self) -> None:
        """Score payments until none waits, the turn is over, or the worker is to stop."""
        until = time.monotonic() + TURN_SECONDS
        try:
            # before the look: what is committed behind it rings again
            if self._context.ledger.payments.outstanding() is None:
                return
            self._context.heard(self._app, QUEUE)
            while not self._context.stopping and self._step():
                if time.monotonic() > until:
                    self._context.ring(self._app, QUEUE)
                    return
        except LedgerError as error:
            log.error("ledger_unavailable", queue=QUEUE, reason=error.code)

    def _step(self) -> bool:
        """Take some payments to their end; False when none waits."""
        payments = self._context.ledger.payments
        workspace = payments.outstanding()
        if workspace is None:
            return False
        began = time.monotonic()
        taken = payments.take(workspace, most=MOST)
        scored, states = score(taken)
        if payments.commit(taken, scored, states):
            seconds = round(time.monotonic() - began, 4)
            log.info("payments", payments=len(scored), seconds=seconds)
        return True


def score(taken: Taken) -> tuple[list[Scored], dict[StateKey, dict[str, Any]]]:
    """Return what the detector says of payments, and the states after them.

    A payment that comes after a later one of its card counts at the moment of that one; its
    answer says by how many seconds it was late.
    """
    from timeseries import fraud
    from timeseries.threads import one_thread

    payments = sorted(taken.payments, key=lambda payment: (_moment(payment), payment.id))
    items: list[dict[str, Any]] = []
    new: list[tuple[Payment, int, int]] = []  # with its place among the items, and how late
    learnt: set[str] = set()
    latest: dict[str, datetime] = {}
    for payment in payments:
        moment, late = _counted(payment, taken.states, latest)
        said = {
            "transaction_id": payment.number,
            "card": payment.card,
            "terminal": payment.terminal,
            "time": moment.isoformat(),
        }
        if payment.answer is None:
            new.append((payment, len(items), late))
            items.append(said | {"amount": payment.amount})
        if payment.is_fraud and not payment.is_learned:
            learnt.add(payment.id)
            items.append(said | {"is_fraud": True})
    before: dict[str, dict[str, Any]] = {"cards": {}, "terminals": {}}
    for (kind, name), state in taken.states.items():
        before[f"{kind}s"][name] = state
    with one_thread():
        found = fraud.score(items, before)
    answers = {
        payment.id: _answer(found["scores"][place], items[place]["time"], late)
        for payment, place, late in new
    }
    states: dict[StateKey, dict[str, Any]] = {}
    for kind in ("card", "terminal"):
        for name, state in found["states"][f"{kind}s"].items():
            if state != taken.states.get((kind, name)):
                states[kind, name] = state
    return [_scored(payment, answers.get(payment.id), learnt) for payment in payments], states


def _moment(payment: Payment) -> datetime:
    return datetime.fromisoformat(payment.paid_at).replace(tzinfo=None)


def _counted(
    payment: Payment, states: Mapping[StateKey, dict[str, Any]], latest: dict[str, datetime]
) -> tuple[datetime, int]:
    """Return the moment at which a payment counts, and by how many seconds it came late."""
    if payment.answer is not None:  # its label finds the day on which it was counted
        return datetime.fromisoformat(payment.answer.get("counted_at") or payment.paid_at), 0
    moment = _moment(payment)
    last = latest.get(payment.card)
    if last is None and (state := states.get(("card", payment.card))) and state.get("last"):
        last = EPOCH + timedelta(seconds=state["last"])
    late = 0 if last is None else max(0, int((last - moment).total_seconds()))
    moment = moment if last is None else max(moment, last)
    latest[payment.card] = moment
    return moment, late


def _answer(found: dict[str, Any], counted_at: str, late: int) -> dict[str, Any]:
    """Return what is kept of an answer."""
    if "error" in found:
        return {"error": found["error"]}
    kept = {name: found[name] for name in ("alert", "reasons", "history", "model", "score")}
    kept["counted_at"] = counted_at
    return kept | ({"late_seconds": late} if late else {})


def _scored(payment: Payment, answer: dict[str, Any] | None, learnt: set[str]) -> Scored:
    return Scored(
        payment=payment,
        answer=answer,
        score=None if answer is None else answer.get("score", 0.0),
        is_alert=bool(answer and answer.get("alert")),
        is_learned=payment.is_learned or payment.id in learnt,
    )
