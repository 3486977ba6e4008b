"""Scoring transactions one by one: pure, with each card's and terminal's state handed along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sequence import Padded
from timeseries.errors import BadRequest, BadTime, BadValue, DuplicateRow, SeriesError
from timeseries.fraud import detector as detectors
from timeseries.fraud import stateful
from timeseries.fraud.detector import Detector
from timeseries.fraud.features import DAY, NAMES
from timeseries.fraud.reasons import explain
from timeseries.fraud.sequences import KEPT, STEP_SIZE
from timeseries.fraud.stateful import REMEMBERED, State

SHIPPED = Path(__file__).parent.parent.parent / "weights" / "fraud"
Item = Mapping[str, Any]


def score(
    transactions: Sequence[Item],
    states: Mapping[str, Any] | None = None,
    *,
    detector: Detector | None = None,
) -> dict[str, Any]:
    """Return `{"scores": [...], "states": {...}}`: one answer an item, in order, and new states.

    A transaction is `{"transaction_id", "card", "terminal", "time", "amount"}`, time in ISO 8601
    local to the till. Its answer has `score` (the chance of fraud), `alert`, `reasons` for an
    alert, and `history`: how much attention each of the card's last transactions got.
    A label that has become known is `{"transaction_id", "card", "terminal", "time", "is_fraud"}`;
    it changes the states and is answered `{"learned": true}`. A bad item is answered
    `{"error": {"code", "message"}}` in its place and changes nothing.

    `states` is what an earlier call returned, or nothing: an unknown card starts fresh. It is not
    changed; running a call twice gives the same answer twice. Items must be in order of time
    within a card. The cost of an item does not grow with its card's history.
    """
    model = detector or shipped()
    known: Mapping[str, Any] = states or {}
    cards: dict[str, State] = dict(known.get("cards", {}))
    terminals: dict[str, State] = dict(known.get("terminals", {}))
    answers = [_answer(item, cards, terminals, model) for item in transactions]
    return {"scores": answers, "states": {"cards": cards, "terminals": terminals}}


@lru_cache(maxsize=1)
def shipped() -> Detector:
    """Return the detector that comes with Mailroom: demonstration weights."""
    return detectors.load(SHIPPED)


def _answer(
    item: Item, cards: dict[str, State], terminals: dict[str, State], model: Detector
) -> dict[str, Any]:
    try:
        if not isinstance(item, Mapping):
            raise BadRequest("a transaction is an object with its fields")
        number, card_id, terminal_id = (
            _text(item, name) for name in ("transaction_id", "card", "terminal")
        )
        seconds = _seconds(item.get("time"))
        card = cards.get(card_id) or stateful.new_card(model.usual_amount)
        terminal = terminals.get(terminal_id) or stateful.new_terminal()
        if item.get("is_fraud") is not None:
            if item["is_fraud"]:
                ratio = _ratio(card, number)
                cards[card_id], terminals[terminal_id] = stateful.learn(
                    card, terminal, seconds=seconds, ratio=ratio
                )
            return {"transaction_id": number, "learned": True}
        amount = _amount(item.get("amount"))
        _in_order(card, number, seconds)
        answer, card, terminal = _score(model, card, terminal, number, seconds, amount)
        cards[card_id], terminals[terminal_id] = card, terminal
        return answer
    except SeriesError as error:
        return {"error": error.to_json()}


def _text(item: Item, name: str) -> str:
    value = item.get(name)
    if value is None or isinstance(value, dict | list) or str(value).strip() == "":
        raise BadRequest(f"{name} is missing")
    return str(value)


def _seconds(value: object) -> int:
    """Return a moment on the till's clock in seconds; its zone, if any, is that clock's."""
    if not isinstance(value, str):
        raise BadTime("time is missing: write it like 2026-03-31T14:05:00")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadTime(f"{value!r} is no moment: write it like 2026-03-31T14:05:00") from error
    return int((moment.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds())


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadValue(f"amount is {value!r}, which is no number")
    if value < 0:
        raise BadValue(f"amount is {value}: a payment cannot be negative")
    return float(value)


def _in_order(card: State, number: str, seconds: int) -> None:
    if any(entry[0] == number for entry in card["recent"]):
        raise DuplicateRow(f"transaction {number} was scored before")
    if card["last"] is not None and seconds < card["last"]:
        raise BadTime("this transaction is before the card's last one: send them in order")


def _ratio(card: State, number: str) -> float:
    """Return how the amount stood to the usual one; of a transaction long gone, ordinary."""
    return next((entry[1] for entry in card["recent"] if entry[0] == number), 1.0)


def _score(
    model: Detector, card: State, terminal: State, number: str, seconds: int, amount: float
) -> tuple[dict[str, Any], State, State]:
    before, shown = _before(card, seconds)
    found, card, terminal = stateful.observe(
        card, terminal, seconds=seconds, amount=amount, delay=model.delay
    )
    row = np.array([found[name] for name in NAMES])
    odds, weights = model.log_odds(row[None], before)
    chance = 1 / (1 + math.exp(-min(max(float(odds[0]), -50.0), 50.0)))
    alert = chance >= model.threshold
    answer: dict[str, Any] = {
        "transaction_id": number,
        "score": round(chance, 6),
        "alert": alert,
        "ratio": round(found["ratio"], 4),
        "reasons": explain(model, row, before, float(odds[0])) if alert else [],
        "history": [
            {"transaction_id": past, "weight": round(float(weight), 4)}
            for past, weight in zip(shown, weights[0], strict=False)
        ],
        "model": {"name": model.name, "version": model.version},
    }
    step = [number, seconds, *stateful.step(found)]
    card["steps"] = [*card["steps"], step][-KEPT:]
    card["recent"] = [*card["recent"], [number, found["ratio"]]][-REMEMBERED:]
    return answer, card, terminal


def _before(card: State, seconds: int) -> tuple[Padded, list[str]]:
    """Return the card's last transactions as the network reads them, oldest first."""
    values = torch.zeros(1, KEPT, STEP_SIZE)
    for i, entry in enumerate(card["steps"]):
        values[0, i, :-1] = torch.tensor(entry[2:])
        values[0, i, -1] = math.log1p((seconds - entry[1]) / DAY)
    length = torch.tensor([len(card["steps"])])
    return Padded(values, length), [str(entry[0]) for entry in card["steps"]]
