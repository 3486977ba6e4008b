"""The same features as `timeseries.fraud.features`, one transaction at a time.

A card's and a terminal's state are plain JSON of bounded size, so that a transaction costs the
same whether it is a card's tenth or its ten thousandth: sums by day for as many days as the
longest window, and the last few transactions for the sequence model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from timeseries.fraud import features
from timeseries.fraud.features import (
    CLIP,
    DAY,
    FIRST_GAP,
    HIGH,
    NAMES,
    NEVER,
    PRIOR_COUNT,
    RUN_DAYS,
    SLOT,
    SLOTS,
    VERY_HIGH,
    WINDOWS,
)

State = dict[str, Any]
REMEMBERED = 64  # a card's last transactions by number: repeats are seen, labels find their ratio
LONGEST = max(*WINDOWS, RUN_DAYS)


def new_card(usual_amount: float) -> State:
    """Return the state of a card that was never seen."""
    return {
        "first": None,
        "last": None,
        "seen": 0,
        "mean": usual_amount,
        "square": (usual_amount / 2) ** 2,
        "days": [],  # [day, count, amount, high, very high, frauds known]
        "recent": [],  # [transaction id, ratio], for repeats and for labels that come late
        "steps": [],  # what the sequence model reads: [id, seconds, *STEP_NAMES]
    }


def new_terminal() -> State:
    """Return the state of a terminal that was never seen."""
    return {"slots": []}  # [slot of an hour, count, frauds known, quiet frauds known]


def observe(
    card: State, terminal: State, *, seconds: int, amount: float, delay: int
) -> tuple[dict[str, float], State, State]:
    """Return a transaction's features by name, and the two states with it counted in.

    The states given are not changed.
    """
    day = seconds // DAY
    card = card | {"days": [entry[:] for entry in card["days"]], "recent": card["recent"][:]}
    terminal = {"slots": [entry[:] for entry in terminal["slots"]]}
    found = _own(card, seconds, amount)
    _count_card(card, day, amount, found["ratio"])
    found |= _card_windows(card["days"], day, amount, found["ratio"], delay)
    slot = seconds // SLOT
    _entry(terminal["slots"], slot, 4)[1] += 1
    found |= _terminal_windows(terminal["slots"], slot, delay)
    card["days"] = [entry for entry in card["days"] if entry[0] >= day - delay - LONGEST - 1]
    oldest = slot - (delay + LONGEST + 1) * SLOTS
    terminal["slots"] = [entry for entry in terminal["slots"] if entry[0] >= oldest]
    _learn_amount(card, amount)
    card |= {
        "first": seconds if card["first"] is None else card["first"],
        "last": seconds,
        "seen": card["seen"] + 1,
    }
    return {name: found[name] for name in NAMES}, card, terminal


def learn(card: State, terminal: State, *, seconds: int, ratio: float) -> tuple[State, State]:
    """Return the states with a transaction of that moment now known to be a fraud."""
    day = seconds // DAY
    card = card | {"days": [entry[:] for entry in card["days"]]}
    terminal = {"slots": [entry[:] for entry in terminal["slots"]]}
    for entry in card["days"]:
        if entry[0] == day:
            entry[5] += 1
    for entry in terminal["slots"]:
        if entry[0] == seconds // SLOT:
            entry[2] += 1
            entry[3] += ratio < HIGH
    return card, terminal


def _own(card: State, seconds: int, amount: float) -> dict[str, float]:
    hour = (seconds % DAY) / 3600
    usual, spread = card["mean"], math.sqrt(card["square"])
    seen = card["seen"]
    return {
        "amount": amount,
        "ratio": amount / max(usual, 0.01),
        "deviation": (amount - usual) / max(spread, 0.01),
        "seen": float(seen),
        "hour": hour,
        "weekend": float((seconds // DAY + 3) % 7 >= 5),
        "night": float(hour < 6),
        "gap": float(seconds - card["last"]) if seen else FIRST_GAP,
        "gap_usual": (seconds - card["first"]) / seen if seen else FIRST_GAP,
    }


def _entry(days: list[list[float]], day: int, size: int) -> list[float]:
    """Return today's sums, which are last, and start them where there are none."""
    if not days or days[-1][0] != day:
        days.append([day, *[0] * (size - 1)])
    return days[-1]


def _count_card(card: State, day: int, amount: float, ratio: float) -> None:
    entry = _entry(card["days"], day, 6)
    entry[1] += 1
    entry[2] += amount
    entry[3] += ratio > HIGH
    entry[4] += ratio > VERY_HIGH


def _card_windows(
    days: list[list[float]], day: int, amount: float, ratio: float, delay: int
) -> dict[str, float]:
    found: dict[str, float] = {}
    for window in WINDOWS:
        inside = [entry for entry in days if entry[0] > day - window]
        count = sum(entry[1] for entry in inside)
        found[f"count_{window}"] = float(count)
        found[f"mean_{window}"] = sum(entry[2] for entry in inside) / count
    found["ratio_30"] = amount / max(found["mean_30"], 0.01)
    for place, name, limit in ((3, "high", HIGH), (4, "very_high", VERY_HIGH)):
        for window in (1, 7, 14):
            total = sum(entry[place] for entry in days if entry[0] > day - window)
            found[f"{name}_{window}"] = float(total - (ratio > limit))
    found["card_frauds_30"] = float(
        sum(entry[5] for entry in days if day - delay - 30 <= entry[0] < day - delay)
    )
    return found


def _terminal_windows(slots: list[list[float]], slot: int, delay: int) -> dict[str, float]:
    found: dict[str, float] = {}
    known_until = slot - delay * SLOTS
    for window in WINDOWS:
        count = sum(entry[1] for entry in slots if entry[0] > slot - window * SLOTS)
        since = known_until - window * SLOTS
        known = [entry for entry in slots if since <= entry[0] < known_until]
        seen = sum(entry[1] for entry in known)
        found[f"terminal_count_{window}"] = float(count)
        found[f"terminal_risk_{window}"] = sum(entry[2] for entry in known) / max(seen, 1)
    since = known_until - RUN_DAYS * SLOTS
    known = [entry for entry in slots if since <= entry[0] < known_until]
    for name, seen_slots in (
        ("since_known", known),
        ("since_good", [entry for entry in known if entry[1] > entry[3]]),
    ):
        found[name] = (slot - seen_slots[-1][0]) / SLOTS if seen_slots else NEVER
    frauds = [entry for entry in known if entry[3]]
    if not frauds:
        return found | {
            "quiet_frauds": 0.0,
            "since_first_fraud": NEVER,
            "since_last_fraud": NEVER,
            "run_share": 0.0,
            "good_since": 0.0,
        }
    first, last = frauds[0][0], frauds[-1][0]
    count = sum(entry[3] for entry in frauds)
    return found | {
        "quiet_frauds": float(count),
        "since_first_fraud": (slot - first) / SLOTS,
        "since_last_fraud": (slot - last) / SLOTS,
        "run_share": count / max(sum(entry[1] for entry in known if entry[0] >= first), 1),
        "good_since": float(sum(entry[1] for entry in known if entry[0] > last)),
    }


def _learn_amount(card: State, amount: float) -> None:
    clipped = min(amount, CLIP * card["mean"])
    weight = 1 / (card["seen"] + 1 + PRIOR_COUNT)
    difference = clipped - card["mean"]
    card["square"] = (1 - weight) * (card["square"] + weight * difference**2)
    card["mean"] += weight * difference


def step(found: dict[str, float]) -> list[float]:
    """Return what the sequence model keeps of a transaction with these features."""
    row = np.array([[found[name] for name in NAMES]])
    return [round(float(value), 5) for value in features.steps(row)[0]]
