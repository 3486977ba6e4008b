"""What is known about a card transaction at the moment it happens, all transactions at once.

The windows are those of the fraud handbook (Le Borgne et al., ULB 2022, chapter 3: a card's
count and mean amount, a terminal's count and risk over 1, 7 and 30 days, the risk moved back by
the label delay), with more: deviation from the card's own past, gaps, and a terminal's run of
frauds. A card's windows are calendar days, today and the days before it; a terminal's are slots
of an hour, so that a label counts soon after it is known.

A label counts only once it is older than the delay: a transaction in slot s sees labels of the
slots up to s - delay - 1. `timeseries.fraud.stateful` computes the same, one by one.

Shapes: N transactions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY = 86_400
SLOTS = 24  # of a day, at a terminal
SLOT = DAY // SLOTS
WINDOWS = (1, 7, 30)  # days
RUN_DAYS = 28  # how far back, before the delay, a terminal's run of frauds is looked for
NEVER = 99.0  # days since something that has not happened
HIGH, VERY_HIGH = 2.0, 3.0  # amounts over the card's usual amount
CLIP = 2.5  # an amount adds at most this times the usual one to what is usual
PRIOR_COUNT = 3.0  # how many usual amounts a new card starts with
FIRST_GAP = 30.0 * DAY  # seconds since the transaction before, for a card's first

NAMES = (
    "amount", "ratio", "deviation", "seen", "hour", "weekend", "night", "gap", "gap_usual",
    "count_1", "count_7", "count_30", "mean_1", "mean_7", "mean_30", "ratio_30",
    "high_1", "high_7", "high_14", "very_high_1", "very_high_7", "very_high_14",
    "card_frauds_30", "terminal_count_1", "terminal_count_7", "terminal_count_30",
    "terminal_risk_1", "terminal_risk_7", "terminal_risk_30", "quiet_frauds",
    "since_first_fraud", "since_last_fraud", "run_share", "good_since", "since_known", "since_good",
)  # fmt: skip

STEP_NAMES = (
    "log_amount", "log_ratio", "deviation", "log_gap", "hour_sin", "hour_cos", "weekend",
    "terminal_risk_30", "quiet_frauds", "new_fraud_run",
)  # fmt: skip


@dataclass(frozen=True)
class Transactions:
    """Transactions in order of time; `fraud` is 1, 0, or -1 where no label is known.

    `seconds` count from 1970-01-01 in the transactions' own local time, so that an hour is the
    hour on the clock at the till. `card` and `terminal` are whole numbers from 0.
    """

    seconds: Ints
    card: Ints
    terminal: Ints
    amount: Floats
    fraud: Ints

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Transactions:
        """Return the chosen rows, in the order given."""
        return Transactions(
            self.seconds[rows],
            self.card[rows],
            self.terminal[rows],
            self.amount[rows],
            self.fraud[rows],
        )

    @property
    def day(self) -> Ints:
        """The day of each transaction, counted from 1970-01-01."""
        return self.seconds // DAY


def build(transactions: Transactions, delay: int, usual_amount: float) -> Floats:
    """Return the N x F features in the order of `NAMES`.

    `delay` is in days; `usual_amount` stands for a card's usual amount until it has its own.
    Rows must be in order of time; a row's features use nothing after it.
    """
    order = np.lexsort((np.arange(len(transactions)), transactions.card))
    by_card = transactions.take(order)
    found = np.empty((len(transactions), len(NAMES)))
    own = _card_features(by_card, usual_amount)
    own["card_frauds_30"] = _known_frauds(by_card.card, by_card.day, by_card.fraud == 1, delay)
    quiet = (by_card.fraud == 1) & (own["ratio"] < HIGH)
    columns = {name: np.empty(len(transactions)) for name in own}
    for name, values in own.items():
        columns[name][order] = values
    was_quiet = np.empty(len(transactions), dtype=bool)
    was_quiet[order] = quiet
    columns |= _terminal_features(transactions, was_quiet, delay)
    for i, name in enumerate(NAMES):
        found[:, i] = columns[name]
    return found


def steps(features: Floats) -> npt.NDArray[np.float32]:
    """Return what the sequence model keeps of each transaction, in the order of `STEP_NAMES`."""
    column = {name: features[:, i] for i, name in enumerate(NAMES)}
    angle = column["hour"] * (2 * np.pi / 24)
    fresh = column["since_last_fraud"] <= RUN_DAYS
    return np.stack(
        [
            np.log1p(column["amount"]) / 4,
            np.log(column["ratio"] + 0.05),
            np.clip(column["deviation"], -5, 10) / 3,
            np.log1p(column["gap"]) / 10 - 1,
            np.sin(angle),
            np.cos(angle),
            column["weekend"],
            column["terminal_risk_30"],
            np.minimum(column["quiet_frauds"], 10) / 5,
            fresh.astype(float),
        ],
        axis=1,
    ).astype(np.float32)


def _card_features(card: Transactions, usual_amount: float) -> dict[str, Floats]:
    """Return what a card's own past says; rows sorted by card, then time."""
    n, day = len(card), card.day
    first, position = group_starts(card.card)
    usual, spread = _usual_amounts(card.amount, first, position, usual_amount)
    ratio = card.amount / np.maximum(usual, 0.01)
    hour = (card.seconds % DAY) / 3600
    gap = np.full(n, FIRST_GAP)
    later = position > 0
    gap[later] = np.diff(card.seconds, prepend=0)[later]
    age = card.seconds - card.seconds[first]
    found = {
        "amount": card.amount,
        "ratio": ratio,
        "deviation": (card.amount - usual) / np.maximum(spread, 0.01),
        "seen": position.astype(float),
        "hour": hour,
        "weekend": ((day + 3) % 7 >= 5).astype(float),  # 1970-01-01 was a Thursday
        "night": (hour < 6).astype(float),
        "gap": gap,
        "gap_usual": np.where(position > 0, age / np.maximum(position, 1), FIRST_GAP),
    }
    for window in WINDOWS:
        count, total = _in_window(card.card, day, window, np.ones(n), card.amount)
        found[f"count_{window}"], found[f"mean_{window}"] = count, total / count
    found["ratio_30"] = card.amount / np.maximum(found["mean_30"], 0.01)
    for name, limit in (("high", HIGH), ("very_high", VERY_HIGH)):
        odd = (ratio > limit).astype(float)
        for window in (1, 7, 14):
            (total,) = _in_window(card.card, day, window, odd)
            found[f"{name}_{window}"] = total - odd  # before this one
    return found


def group_starts(key: Ints) -> tuple[Ints, Ints]:
    """Return, for sorted keys, where each row's group starts and the row's place within it."""
    n = len(key)
    new = np.ones(n, dtype=bool)
    new[1:] = key[1:] != key[:-1]
    first = np.maximum.accumulate(np.where(new, np.arange(n), 0))
    return first, np.arange(n) - first


def _usual_amounts(
    amount: Floats, first: Ints, position: Ints, usual_amount: float
) -> tuple[Floats, Floats]:
    """Return the card's usual amount and spread before each transaction.

    A running mean whose newcomers are clipped: a thief's first large payment must not become
    usual. It is sequential within a card, so all cards take their next step together.
    """
    n = len(amount)
    usual, spread = np.empty(n), np.empty(n)
    by_position = np.argsort(position, kind="stable")
    bounds = np.searchsorted(position[by_position], np.arange(position.max(initial=0) + 2))
    mean = np.full(n, usual_amount)  # of a card, kept at its first row
    square = np.full(n, (usual_amount / 2) ** 2)
    for step in range(len(bounds) - 1):
        rows = by_position[bounds[step] : bounds[step + 1]]
        home = first[rows]
        usual[rows], spread[rows] = mean[home], np.sqrt(square[home])
        clipped = np.minimum(amount[rows], CLIP * mean[home])
        weight = 1 / (step + 1 + PRIOR_COUNT)
        difference = clipped - mean[home]
        mean[home] += weight * difference
        square[home] = (1 - weight) * (square[home] + weight * difference**2)
    return usual, spread


def _in_window(key: Ints, day: Ints, window: int, *values: Floats) -> list[Floats]:
    """Return sums over today, up to and with this row, and the `window` - 1 days before."""
    place = _places(key, day)
    start = np.searchsorted(place, _places(key, day - window + 1, day), side="left")
    sums = []
    for value in values:
        running = np.concatenate(([0.0], np.cumsum(value)))
        sums.append(running[1:] - running[start])
    return sums


def _places(key: Ints, day: Ints, base: Ints | None = None) -> Ints:
    """Return one ascending number for a key and a day; days may lie before the first."""
    origin = (day if base is None else base).min(initial=0) - 1000
    return key * 1_000_000 + (day - origin)


def _known_frauds(key: Ints, day: Ints, fraud: npt.NDArray[np.bool_], delay: int) -> Floats:
    """Return the frauds of the 30 days before the delay; rows sorted by key, then time."""
    place = _places(key, day)
    running = np.concatenate(([0], np.cumsum(fraud)))
    until = np.searchsorted(place, _places(key, day - delay, day), side="left")
    since = np.searchsorted(place, _places(key, day - delay - 30, day), side="left")
    return (running[until] - running[since]).astype(float)


def _terminal_features(
    transactions: Transactions, quiet: npt.NDArray[np.bool_], delay: int
) -> dict[str, Floats]:
    """Return what the terminal's history says, its labels only as far as they are known.

    A quiet fraud is one whose amount was usual for its card: it speaks against the terminal.
    """
    order = np.lexsort((np.arange(len(transactions)), transactions.terminal))
    rows = transactions.take(order)
    key, slot, late = rows.terminal, rows.seconds // SLOT, delay * SLOTS
    place = _places(key, slot)
    fraud = np.concatenate(([0], np.cumsum(rows.fraud == 1)))
    silent = np.concatenate(([0], np.cumsum(quiet[order])))
    until = np.searchsorted(place, _places(key, slot - late, slot), side="left")
    found: dict[str, Floats] = {}
    for window in WINDOWS:
        (count,) = _in_window(key, slot, window * SLOTS, np.ones(len(rows)))
        back = slot - late - window * SLOTS
        since = np.searchsorted(place, _places(key, back, slot), side="left")
        known = np.maximum(until - since, 1)
        found[f"terminal_count_{window}"] = count
        found[f"terminal_risk_{window}"] = (fraud[until] - fraud[since]) / known
    back = slot - late - RUN_DAYS * SLOTS
    since = np.searchsorted(place, _places(key, back, slot), side="left")
    found |= _run_features(key, slot, quiet[order], silent, since, until)
    found["since_known"] = _since(slot, np.ones(len(rows), dtype=bool), since, until)
    found["since_good"] = _since(slot, ~quiet[order], since, until)
    columns = {name: np.empty(len(rows)) for name in found}
    for name, values in found.items():
        columns[name][order] = values
    return columns


def _since(slot: Ints, happened: npt.NDArray[np.bool_], since: Ints, until: Ints) -> Floats:
    """Return the days since the latest known row, of rows `since` to `until`, where it happened.

    The longer nothing is known of a terminal, the likelier it has gone bad meanwhile.
    """
    index = np.arange(len(slot))
    latest = np.concatenate(([-1], np.maximum.accumulate(np.where(happened, index, -1))))[until]
    told = latest >= since
    return np.where(told, (slot - slot[np.maximum(latest, 0)]) / SLOTS, NEVER)


def _run_features(
    key: Ints, slot: Ints, quiet: npt.NDArray[np.bool_], silent: Ints, since: Ints, until: Ints
) -> dict[str, Floats]:
    """Return how the quiet frauds of the known slots, rows `since` to `until`, lie.

    A slot counts as a whole: the run starts with its first slot and ends with its last.
    """
    n, place = len(slot), _places(key, slot)
    index = np.arange(n)
    following = np.minimum.accumulate(np.where(quiet, index, n)[::-1])[::-1]
    following = np.append(following, n)
    preceding = np.concatenate(([-1], np.maximum.accumulate(np.where(quiet, index, -1))))
    count = silent[until] - silent[since]
    some = count > 0
    first = slot[np.where(some, following[since], 0)]
    last = slot[np.where(some, preceding[until], 0)]
    start = np.searchsorted(place, _places(key, first, slot), side="left")
    stop = np.searchsorted(place, _places(key, last + 1, slot), side="left")
    return {
        "quiet_frauds": count.astype(float),
        "since_first_fraud": np.where(some, (slot - first) / SLOTS, NEVER),
        "since_last_fraud": np.where(some, (slot - last) / SLOTS, NEVER),
        "run_share": np.where(some, count / np.maximum(until - start, 1), 0.0),
        "good_since": np.where(some, until - stop, 0).astype(float),
    }
