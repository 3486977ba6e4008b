"""Scoring transactions one by one: pure, with each card's and terminal's state handed along."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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

BATCH = 1024  # transactions that the network reads at once
SHIPPED = Path(__file__).parent.parent.parent / "weights" / "fraud-demonstration"
Item = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


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
    taken = [_take(item, cards, terminals, model) for item in transactions]
    asked = [one for one in taken if isinstance(one, _Asked)]
    # no state depends on a score: the model reads all of them at once
    scored = iter(_score(model, asked))
    answers = [next(scored) if isinstance(one, _Asked) else one for one in taken]
    return {"scores": answers, "states": {"cards": cards, "terminals": terminals}}


@dataclass(frozen=True)
class _Asked:
    """A transaction whose features are known and whose score is not yet."""

    number: str
    row: Floats  # its features
    before: torch.Tensor  # KEPT x STEP_SIZE
    shown: list[str]  # the transactions before, oldest first

    @property
    def found(self) -> dict[str, float]:
        """The features by name."""
        return dict(zip(NAMES, self.row.tolist(), strict=True))


@lru_cache(maxsize=1)
def shipped() -> Detector:
    """Return the detector that comes with Mailroom: demonstration weights."""
    return detectors.load(SHIPPED)


def _take(
    item: Item, cards: dict[str, State], terminals: dict[str, State], model: Detector
) -> dict[str, Any] | _Asked:
    """Count an item into the states; return what to ask the model, or the answer itself."""
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
        asked, cards[card_id], terminals[terminal_id] = _observe(
            model, card, terminal, number, seconds, amount
        )
        return asked
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


def _observe(
    model: Detector, card: State, terminal: State, number: str, seconds: int, amount: float
) -> tuple[_Asked, State, State]:
    before = _before(card, seconds)
    shown = [str(entry[0]) for entry in card["steps"]]
    found, card, terminal = stateful.observe(
        card, terminal, seconds=seconds, amount=amount, delay=model.delay
    )
    step = [number, seconds, *stateful.step(found)]
    card["steps"] = [*card["steps"], step][-KEPT:]
    card["recent"] = [*card["recent"], [number, found["ratio"]]][-REMEMBERED:]
    row = np.array([found[name] for name in NAMES])
    return _Asked(number, row, before, shown), card, terminal


def _before(card: State, seconds: int) -> torch.Tensor:
    """Return the card's last transactions as the network reads them, oldest first."""
    values = np.zeros((KEPT, STEP_SIZE), dtype=np.float32)
    for i, entry in enumerate(card["steps"]):
        values[i, :-1] = entry[2:]
        values[i, -1] = math.log1p((seconds - entry[1]) / DAY)
    return torch.from_numpy(values)


def _score(model: Detector, asked: list[_Asked]) -> Iterator[dict[str, Any]]:
    """Yield an answer each, in order."""
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        lengths = torch.tensor([len(one.shown) for one in batch])
        before = Padded(torch.stack([one.before for one in batch]), lengths)
        odds, weights = model.log_odds(np.stack([one.row for one in batch]), before)
        for one, odd, paid in zip(batch, odds.tolist(), weights, strict=True):
            yield _answer(model, one, odd, paid)


def _answer(model: Detector, one: _Asked, odds: float, paid: Floats) -> dict[str, Any]:
    chance = 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))
    alert = chance >= model.threshold
    reasons = []
    if alert:
        before = Padded(one.before.unsqueeze(0), torch.tensor([len(one.shown)]))
        reasons = explain(model, one.row, before, odds)
    return {
        "transaction_id": one.number,
        "score": round(chance, 6),
        "alert": alert,
        "ratio": round(one.found["ratio"], 4),
        "reasons": reasons,
        "history": [
            {"transaction_id": past, "weight": round(float(weight), 4)}
            for past, weight in zip(one.shown, paid, strict=False)
        ],
        "model": {"name": model.name, "version": model.version},
    }
