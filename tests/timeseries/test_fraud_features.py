"""Fraud's features: one at a time equals all at once, and nobody knows a label too early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from timeseries.fraud import features, stateful
from timeseries.fraud.features import DAY, NAMES, SLOT, Transactions

DELAY, USUAL = 7, 30.0


def one_by_one(transactions: Transactions, *, late: int) -> np.ndarray:
    """Return the features computed with states, each label told `late` days after its slot."""
    cards: dict[int, stateful.State] = {}
    terminals: dict[int, stateful.State] = {}
    owed: list[tuple[int, int, int, int, float]] = []
    rows = []
    for i in range(len(transactions)):
        seconds = int(transactions.seconds[i])
        due = [label for label in owed if label[0] <= seconds]
        owed = [label for label in owed if label[0] > seconds]
        for _, card, terminal, when, ratio in due:
            cards[card], terminals[terminal] = stateful.learn(
                cards[card], terminals[terminal], seconds=when, ratio=ratio
            )
        card, terminal = int(transactions.card[i]), int(transactions.terminal[i])
        found, cards[card], terminals[terminal] = stateful.observe(
            cards.get(card) or stateful.new_card(USUAL),
            terminals.get(terminal) or stateful.new_terminal(),
            seconds=seconds,
            amount=float(transactions.amount[i]),
            delay=DELAY,
        )
        rows.append([found[name] for name in NAMES])
        if transactions.fraud[i] == 1:
            told = (seconds // SLOT + 1) * SLOT + late * DAY
            owed.append((told, card, terminal, seconds, found["ratio"]))
    return np.array(rows)


@pytest.mark.parametrize("late", [1, DELAY])
def test_one_by_one_equals_all_at_once(transactions: Transactions, late: int) -> None:
    """A detector that is trained on other numbers than it is asked with is a coin toss.

    Whether a label comes early or on the last possible day changes nothing.
    """
    some = transactions.take(np.arange(6000))
    together = features.build(some, DELAY, USUAL)
    alone = one_by_one(some, late=late)

    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(alone[:, i], together[:, i], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_future_moves_no_feature(transactions: Transactions, name: str) -> None:
    """A feature that read a later payment, or a label within the delay, would be a lie."""
    at = 5000
    generator = np.random.default_rng(0)
    later = np.arange(len(transactions)) > at
    young = transactions.seconds >= transactions.seconds[at] - DELAY * DAY
    changed = replace(
        transactions,
        amount=np.where(later, generator.uniform(1, 900, len(later)), transactions.amount),
        terminal=np.where(later, 3, transactions.terminal),
        fraud=np.where(young, 1 - transactions.fraud, transactions.fraud),
    )
    column = NAMES.index(name)

    before = _built(transactions)[: at + 1, column]
    now = features.build(changed, DELAY, USUAL)[: at + 1, column]

    # rows of earlier days see labels older than their own delay, none of which changed
    # running sums go over all cards: other amounts round them differently
    np.testing.assert_allclose(now, before, rtol=1e-8, atol=1e-8)


_cache: dict[int, np.ndarray] = {}


def _built(transactions: Transactions) -> np.ndarray:
    if id(transactions) not in _cache:
        _cache[id(transactions)] = features.build(transactions, DELAY, USUAL)
    return _cache[id(transactions)]


def test_old_labels_do_move_features(transactions: Transactions) -> None:
    """The test above would pass on features that never look at a label."""
    blind = replace(transactions, fraud=np.zeros_like(transactions.fraud))
    found, without = _built(transactions), features.build(blind, DELAY, USUAL)
    for name in ("quiet_frauds", "terminal_risk_30", "card_frauds_30", "run_share"):
        assert (found[:, NAMES.index(name)] != without[:, NAMES.index(name)]).any(), name


def test_a_state_does_not_grow(transactions: Transactions) -> None:
    """Constant time per payment needs a state of bounded size, however long the card lives."""
    card, terminal = stateful.new_card(USUAL), stateful.new_terminal()
    sizes = []
    for i in range(3000):
        _, card, terminal = stateful.observe(
            card, terminal, seconds=i * DAY // 4, amount=20.0, delay=DELAY
        )
        sizes.append((len(card["days"]), len(terminal["slots"])))
    assert sizes[-1] == sizes[1000]
    assert max(sizes[-1]) < 160


def test_a_terminal_nothing_is_known_of_lately_stands_out() -> None:
    """The longer no label is known, the likelier a terminal has gone bad: days, or never."""
    seconds = np.array([0, 1, 20]) * DAY + 3600
    whole = Transactions(
        seconds,
        card=np.array([0, 1, 2]),
        terminal=np.zeros(3, dtype=np.int64),
        amount=np.full(3, 50.0),
        fraud=np.array([0, 1, 0]),
    )

    found = features.build(whole, 7, 50.0)[
        :, [NAMES.index("since_known"), NAMES.index("since_good")]
    ]

    np.testing.assert_allclose(found[:2], features.NEVER)
    np.testing.assert_allclose(found[2], [19, 20])
