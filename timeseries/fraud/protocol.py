"""How a fraud detector is measured, by the book.

The protocol of the fraud handbook (Le Borgne et al., ULB 2022, chapters 4 and 5): scores of a
test week, cards whose fraud is known by then left out from then on, and card precision@k.

Shapes: N transactions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

TRAINING_DAYS = 7  # the book's training week: frauds known since its start leave a card out


def eligible(day: Ints, card: Ints, fraud: Mask, test: Mask, *, delay: int) -> Mask:
    """Return which test rows count: those of cards not known as compromised on their day.

    A fraud is known on day d when it is of day d - delay - 1 or before; frauds count from the
    start of the training week, which ends `delay` days before the test's first day.
    """
    first = int(day[test].min())
    since = first - delay - TRAINING_DAYS
    frauds = fraud & (day >= since)
    known_from = np.full(int(card.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(known_from, card[frauds], day[frauds] + delay + 1)
    return test & (day < known_from[card])


def auroc(fraud: Mask, score: Floats) -> float:
    """Return the area under the ROC curve; ties count half. NaN without both classes."""
    positive, negative = int(fraud.sum()), int((~fraud).sum())
    if not positive or not negative:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[fraud].sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(fraud: Mask, score: Floats) -> float:
    """Return the mean precision at each fraud found, rows of equal score taken together."""
    if not fraud.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(fraud[order]), score[order]
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    found = hits[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])


def daily_alerts(
    day: Ints, card: Ints, fraud: Mask, score: Floats, *, budget: int = 100
) -> tuple[float, list[tuple[int, Ints]]]:
    """Return card precision@budget, and each day's alerted cards.

    The mean over days of the share of truly compromised cards among the `budget` with the
    highest score of the day; a card found compromised on an earlier day is left out.
    """
    found: set[int] = set()
    shares, alerts = [], []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(card, list(found)))
        cards, place = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, place, score[rows])
        compromised = np.zeros(len(cards), dtype=bool)
        np.logical_or.at(compromised, place, fraud[rows])
        top = np.argsort(-highest, kind="stable")[:budget]
        shares.append(compromised[top].sum() / budget)
        alerts.append((int(today), cards[top]))
        found |= set(cards[top][compromised[top]].tolist())
    return float(np.mean(shares)), alerts


def measure(
    day: Ints, card: Ints, fraud: Mask, amount: Floats, score: Floats, *, budget: int = 100
) -> dict[str, float]:
    """Return the book's three measures, and what a bank asks, at `budget` cards a day.

    `cards_found_within_3`: of the cards with a fraud, the share alerted by their third fraud
    (on the day of one of their first three). `value_share`: the share of the fraudulent amount
    that an alert stops: the frauds of a card from the first alerting transaction on, for alerted
    cards are blocked. Rows must be in order of time.
    """
    precision, alerts = daily_alerts(day, card, fraud, score, budget=budget)
    alerted = {(today, int(number)) for today, cards in alerts for number in cards}
    peak: dict[tuple[int, int], int] = {}  # the row that raised each alert
    for row in range(len(day)):
        place = int(day[row]), int(card[row])
        if place in alerted and (place not in peak or score[row] > score[peak[place]]):
            peak[place] = row
    stopped_from: dict[int, int] = {}
    for (_, number), first in peak.items():
        stopped_from[number] = min(first, stopped_from.get(number, first))
    frauds = np.flatnonzero(fraud)
    by_card: dict[int, list[int]] = {}
    for place_of in frauds.tolist():
        by_card.setdefault(int(card[place_of]), []).append(place_of)
    within = sum(
        any((int(day[row]), number) in alerted for row in rows[:3])
        for number, rows in by_card.items()
    )
    saved = sum(amount[row] for row in frauds if row >= stopped_from.get(int(card[row]), len(day)))
    return {
        "auroc": auroc(fraud, score),
        "average_precision": average_precision(fraud, score),
        f"card_precision_at_{budget}": precision,
        "cards_found_within_3": within / max(1, len(by_card)),
        "value_share": float(saved / max(amount[frauds].sum(), 1e-9)),
        "cards_compromised": float(len(by_card)),
    }


def threshold_for_budget(day: Ints, card: Ints, score: Floats, budget: int) -> float:
    """Return the score above which about `budget` cards a day would be alerted."""
    cut = []
    for today in np.unique(day):
        rows = day == today
        cards, place = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, place, score[rows])
        ranked = np.sort(highest)[::-1]
        cut.append(ranked[min(budget, len(ranked)) - 1])
    return float(np.median(cut))
