"""Card payments scored as they come: each once, in its card's order, however many workers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger, Payment
from tests.workers.installation import VIEWER, Installation
from tests.workers.waiting import eventually
from timeseries import fraud
from workers.payments import score

CARDS, EACH = 6, 25
BEGIN = datetime(2026, 3, 2, 8)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def till(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """An installation on each database."""
    settings: dict[str, object] = {}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("new_postgresql_database")()
    installation = Installation(tmp_path, **settings)
    yield installation
    installation.close()


@pytest.fixture
def ledger(till: Installation) -> Ledger:
    return till.ledger


def payment(card: int, i: int, **other: Any) -> dict[str, Any]:
    """Return the i-th payment of a card, at one of three terminals that all cards use."""
    said = {
        "number": f"T{card}-{i}",
        "card": f"C{card}",
        "terminal": f"shop {i % 3}",
        "paid_at": (BEGIN + timedelta(hours=i, minutes=card)).isoformat(),
        "amount": 10.0 + i % 7 + (300 if i == EACH - 1 else 0),
    }
    return said | other


def work(ledger: Ledger) -> None:
    """Do what a worker does, here."""
    while (workspace := ledger.payments.outstanding()) is not None:
        taken = ledger.payments.take(workspace, most=100)
        assert ledger.payments.commit(taken, *score(taken))


def states(ledger: Ledger) -> dict[Any, Any]:
    """Return the states of every card and terminal there is."""
    for card in range(CARDS):  # so that all are touched
        ledger.payments.label({f"T{card}-{i}": False for i in range(3)}, VIEWER)
    return ledger.payments.take("default", most=1000).states


def test_two_workers_keep_the_order_and_count_nothing_twice(till: Installation) -> None:
    """Scores and states are those of one worker that got every payment once, in order."""
    for _ in range(2):
        till.worker("interactive")
    for i in range(EACH):
        till.ledger.payments.accept([payment(card, i) for card in range(CARDS)], VIEWER)
        # a sender who heard no answer sends again
        again = till.ledger.payments.accept([payment(i % CARDS, i)], VIEWER)
        assert again[0].repeated
        till.client.ring("interactive")

    def waiting() -> bool:
        till.client.ring("interactive")
        return till.ledger.payments.outstanding() is not None

    eventually(lambda: not waiting(), what="payments still wait")
    for card in range(CARDS):
        found = till.ledger.payments.of_card(f"C{card}", VIEWER)
        assert [one.number for one in found] == [f"T{card}-{i}" for i in range(EACH)]
        items = [
            {
                "transaction_id": one.number,
                "card": one.card,
                "terminal": f"{one.terminal} of {card}",  # shared ones depend on who was first
                "time": one.paid_at,
                "amount": one.amount,
            }
            for one in found
        ]
        alone = fraud.score(items)
        for one, expected in zip(found, alone["scores"], strict=True):
            assert one.answer is not None
            assert [past["transaction_id"] for past in one.answer["history"]] == [
                past["transaction_id"] for past in expected["history"]
            ]
    kept = states(till.ledger)
    assert all(kept["card", f"C{card}"]["seen"] == EACH for card in range(CARDS))
    counted = [
        sum(slot[1] for slot in kept["terminal", f"shop {shop}"]["slots"]) for shop in range(3)
    ]
    assert sum(counted) == CARDS * EACH


def test_a_repetition_gets_the_same_answer_and_a_late_one_is_said(ledger: Ledger) -> None:
    """A number is scored once; what comes out of order counts where its card is now."""
    first = ledger.payments.accept([payment(0, i) for i in range(5)], VIEWER)
    work(ledger)
    scored = ledger.payments.get_many([one.id for one in first], VIEWER)
    again = ledger.payments.accept([payment(0, i) for i in range(5)], VIEWER)
    assert [one.answer for one in again] == [one.answer for one in scored]
    assert all(one.repeated for one in again)
    assert ledger.payments.outstanding() is None

    early = (BEGIN + timedelta(hours=3)).isoformat()
    (late,) = ledger.payments.accept([payment(0, 99, paid_at=early)], VIEWER)
    work(ledger)
    answer = ledger.payments.get(late.id, VIEWER).answer
    assert answer is not None
    assert answer["late_seconds"] == 3600
    assert states(ledger)["card", "C0"]["seen"] == 6


def test_a_label_that_comes_late_reaches_the_terminal(ledger: Ledger) -> None:
    """A fraud that becomes known is counted once, whoever says it and how often."""
    ledger.payments.accept([payment(0, i) for i in range(3)], VIEWER)
    work(ledger)
    assert ledger.payments.label({"T0-1": True, "nobody": True}, VIEWER) == ["nobody"]
    work(ledger)
    ledger.payments.label({"T0-1": True}, VIEWER)
    work(ledger)
    slots = states(ledger)["terminal", "shop 1"]["slots"]
    assert sum(slot[2] for slot in slots) == 1


def test_who_was_slower_does_it_again(ledger: Ledger) -> None:
    """Of two workers that read the same states only one may write the next ones."""
    ledger.payments.accept([payment(0, 0)], VIEWER)
    one = ledger.payments.take("default", most=10)
    other = ledger.payments.take("default", most=10)
    assert ledger.payments.commit(one, *score(one))
    assert not ledger.payments.commit(other, *score(other))

    ledger.payments.accept([payment(0, 1)], VIEWER)
    taken = ledger.payments.take("default", most=10)
    ledger.payments.label({"T0-1": True}, VIEWER)  # said while it is being scored
    assert not ledger.payments.commit(taken, *score(taken))
    work(ledger)
    (last,) = [one for one in ledger.payments.of_card("C0", VIEWER) if one.number == "T0-1"]
    assert last.is_learned


def test_an_alert_waits_for_people_and_their_word_is_learnt(ledger: Ledger) -> None:
    """What somebody confirms is a label: the histories learn it, and the ledger who said it."""
    ledger.payments.accept([payment(0, i) for i in range(20)], VIEWER)
    work(ledger)
    huge = [payment(0, 30 + i, amount=900.0) for i in range(4)]
    ledger.payments.accept(huge, VIEWER)
    work(ledger)
    found = ledger.alerts.list(VIEWER).items
    assert found, "several payments of ninety times the usual are no alert"
    alert = ledger.alerts.decide(found[0].id, "confirmed", VIEWER, note="the owner called")
    work(ledger)
    (verdict,) = ledger.alerts.verdicts(alert.id, VIEWER)
    assert (verdict.state, verdict.actor, verdict.note) == (
        "confirmed",
        VIEWER.actor,
        "the owner called",
    )
    told: Payment = ledger.payments.get(str(alert.payment_id), VIEWER)
    assert told.is_fraud
    assert told.is_learned
