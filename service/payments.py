"""Card payments over the API: scored at once, each once, in the order of their card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ledger import Payment
from service import access, openapi
from service.access import viewer
from service.parts import parts
from service.schemas import Parameters

QUEUE = "interactive"
MOST = 1_000  # payments of one request
WAIT_SECONDS = 10.0  # the longest that an answer is held back for its scores
LOOK_SECONDS = 0.004
NAME = Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")

bp = APIBlueprint(
    "payments",
    __name__,
    url_prefix="/api/v1/series/fraud",
    abp_tags=[Tag(name="series")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class Transaction(BaseModel):
    """A card payment as its till knows it."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: str = NAME
    card: str = NAME
    terminal: str = NAME
    time: str = Field(
        max_length=40, description="ISO 8601, the till's own clock: 2026-03-31T14:05:00"
    )
    amount: float = Field(ge=0, le=1e12, allow_inf_nan=False)

    @field_validator("time")
    @classmethod
    def is_moment(cls, said: str) -> str:
        """Refuse what is no moment."""
        datetime.fromisoformat(said)
        return said


class Transactions(BaseModel):
    """Payments in the order in which they were made."""

    model_config = ConfigDict(extra="forbid")

    transactions: list[Transaction] = Field(min_length=1, max_length=MOST)
    wait: float = Field(
        default=5.0, ge=0, le=WAIT_SECONDS, description="Seconds to wait for the scores."
    )


class Label(BaseModel):
    """What became known of a payment."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: str = NAME
    is_fraud: bool


class Labels(BaseModel):
    """What became known of payments, days later."""

    model_config = ConfigDict(extra="forbid")

    labels: list[Label] = Field(min_length=1, max_length=MOST)


class ScoredTransaction(BaseModel):
    """A payment and what was found of it; `state` is waiting until it is scored."""

    id: str
    transaction_id: str
    card: str
    terminal: str
    time: str
    amount: float
    state: str
    score: float | None = Field(description="The chance of fraud.")
    alert: bool | None
    reasons: list[dict[str, Any]] | None
    history: list[dict[str, Any]] | None = Field(
        description="How much each earlier payment weighed."
    )
    late_seconds: int = Field(
        description="By how much it came after a later payment of its card; it counts there."
    )
    error: dict[str, Any] | None
    is_fraud: bool | None
    repeated: bool = Field(description="This transaction_id was handed in before.")


class ScoredTransactions(BaseModel):
    """Payments in the order of the request."""

    transactions: list[ScoredTransaction]


class Labelled(BaseModel):
    """How many labels were taken, and which payments are not known here."""

    taken: int
    unknown: list[str]


class TransactionPath(Parameters):
    """Which payment."""

    id: str = Field(description="A payment's id.")


class CardQuery(Parameters):
    """Whose payments, and how many."""

    model_config = ConfigDict(extra="forbid")

    card: str = Field(min_length=1, max_length=200)
    limit: int = Field(default=100, ge=1, le=200)


@bp.post(
    "/transactions",
    responses=openapi.answers(
        {200: ScoredTransactions, 202: openapi.accepted(ScoredTransactions)}, 400, 415, 422
    ),
)
def hand_in(body: Transactions) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Score card payments now. A transaction_id that came before gets the same answer again.

    The answer waits for the scores, for so many seconds as are said; 202 is answered where some
    are still missing then, and they are found at `Location`.
    """
    sent = [
        {
            "number": each.transaction_id,
            "card": each.card,
            "terminal": each.terminal,
            "paid_at": each.time,
            "amount": each.amount,
        }
        for each in body.transactions
    ]
    kept = parts().ledger.payments.accept(sent, viewer())
    if any(payment.answer is None for payment in kept):
        parts().client.ring(QUEUE)
    scored = _scored(kept, body.wait)
    status = 200 if all(payment.answer is not None for payment in scored) else 202
    where = url_for("payments.show", id=scored[0].id)
    headers = {"Location": where} if status == 202 else {}
    return {"transactions": [summary(payment) for payment in scored]}, status, headers


@bp.get("/transactions", responses=openapi.answers({200: ScoredTransactions}))
def of_card(query: CardQuery) -> dict[str, Any]:
    """Return a card's latest payments, oldest first."""
    found = parts().ledger.payments.of_card(query.card, viewer(), limit=query.limit)
    return {"transactions": [summary(payment) for payment in found]}


@bp.get("/transactions/<id>", responses=openapi.answers({200: ScoredTransaction}, 404))
def show(path: TransactionPath) -> dict[str, Any]:
    """Return a payment and what was found of it."""
    return summary(parts().ledger.payments.get(path.id, viewer()))


@bp.post("/labels", responses=openapi.answers({202: Labelled}, 400, 415, 422))
def label(body: Labels) -> tuple[dict[str, Any], int]:
    """Say which payments turned out to be fraud: their terminals' histories learn it."""
    told = {each.transaction_id: each.is_fraud for each in body.labels}
    unknown = parts().ledger.payments.label(told, viewer())
    parts().client.ring(QUEUE)
    return {"taken": len(told) - len(unknown), "unknown": unknown}, 202


def _scored(kept: Sequence[Payment], wait: float) -> list[Payment]:
    """Return payments once all have an answer, or as they are when the time is up."""
    until = time.monotonic() + wait
    found = {payment.id: payment for payment in kept}
    while True:
        missing = [each.id for each in found.values() if each.answer is None]
        if not missing or time.monotonic() > until:
            break
        time.sleep(LOOK_SECONDS)
        for payment in parts().ledger.payments.get_many(missing, viewer()):
            found[payment.id] = payment
    return [replace(found[payment.id], repeated=payment.repeated) for payment in kept]


def summary(payment: Payment) -> dict[str, Any]:
    """Return a payment as JSON."""
    answer = payment.answer or {}
    return {
        "id": payment.id,
        "transaction_id": payment.number,
        "card": payment.card,
        "terminal": payment.terminal,
        "time": payment.paid_at,
        "amount": payment.amount,
        "state": "waiting" if payment.answer is None else "done",
        "score": None if "error" in answer else payment.score,
        "alert": answer.get("alert"),
        "reasons": answer.get("reasons"),
        "history": answer.get("history"),
        "late_seconds": int(answer.get("late_seconds") or 0),
        "error": answer.get("error"),
        "is_fraud": payment.is_fraud,
        "repeated": payment.repeated,
    }
