"""`mailroom.fraud`: states in, scores and new states out, and a bad item harms no other."""

from __future__ import annotations

import copy
import json

import numpy as np
import polars as pl
import pytest

from timeseries.fraud import detector
from timeseries.fraud.evaluation import score_rows
from timeseries.fraud.features import Transactions
from timeseries.fraud.fitting import Fitted
from timeseries.fraud.scoring import score


def items(payments: pl.DataFrame) -> list[dict[str, object]]:
    """Return payments as a caller would send them."""
    return [
        {
            "transaction_id": row["transaction_id"],
            "card": row["card"],
            "terminal": row["terminal"],
            "time": row["time"].isoformat(),
            "amount": row["amount"],
        }
        for row in payments.iter_rows(named=True)
    ]


def test_the_worker_scores_what_was_evaluated(
    payments: pl.DataFrame, transactions: Transactions, fitted_fraud: Fitted
) -> None:
    """Scores one by one must be those of the evaluation, or its figures say nothing."""
    model = fitted_fraud.detector
    few = 600
    blind = Transactions(
        transactions.seconds,
        transactions.card,
        transactions.terminal,
        transactions.amount,
        np.full(len(transactions), -1),
    ).take(np.arange(few))
    expected = score_rows(model, blind, np.arange(few))

    found = score(items(payments.head(few)), {}, detector=model)

    np.testing.assert_allclose([answer["score"] for answer in found["scores"]], expected, atol=2e-4)


def test_states_carry_everything(payments: pl.DataFrame, fitted_fraud: Fitted) -> None:
    """One call or many, and by way of JSON: the scores are the same."""
    sent, model = items(payments.head(60)), fitted_fraud.detector
    at_once = score(sent, {}, detector=model)
    states: dict[str, object] = {}
    one_by_one = []
    for item in sent:
        answer = json.loads(json.dumps(score([item], states, detector=model)))
        one_by_one += answer["scores"]
        states = answer["states"]

    assert one_by_one == json.loads(json.dumps(at_once["scores"]))
    assert states == json.loads(json.dumps(at_once["states"]))


def test_running_twice_is_harmless(payments: pl.DataFrame, fitted_fraud: Fitted) -> None:
    """A task that is delivered twice must not count a payment twice."""
    sent, model = items(payments.head(30)), fitted_fraud.detector
    states = score(sent[:20], {}, detector=model)["states"]
    kept = copy.deepcopy(states)

    first = score(sent[20:], states, detector=model)
    again = score(sent[20:], states, detector=model)

    assert first == again
    assert states == kept
    repeated = score(sent[20:21], first["states"], detector=model)
    assert repeated["scores"][0]["error"]["code"] == "duplicate_row"
    assert repeated["states"] == first["states"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": -1}, "bad_value"),
        ({"amount": "ten"}, "bad_value"),
        ({"amount": float("nan")}, "bad_value"),
        ({"time": "yesterday"}, "bad_time"),
        ({"time": None}, "bad_time"),
        ({"card": ""}, "bad_request"),
        ({"terminal": None}, "bad_request"),
        ({"time": "2020-01-01T00:00:00"}, "bad_time"),
    ],
)
def test_a_bad_item_is_an_answer(
    payments: pl.DataFrame, fitted_fraud: Fitted, change: dict[str, object], code: str
) -> None:
    """One bad item never takes its batch with it, nor leaves a trace in the states."""
    good = items(payments.filter(pl.col("card") == payments["card"][0]).head(3))
    bad = good[2] | change
    model = fitted_fraud.detector

    found = score([good[0], good[1], bad, "nonsense"], {}, detector=model)  # type: ignore[list-item]

    assert [("error" in answer) for answer in found["scores"]] == [False, False, True, True]
    assert found["scores"][2]["error"]["code"] == code
    assert found["states"] == score(good[:2], {}, detector=model)["states"]


def test_an_unknown_card_starts_fresh(fitted_fraud: Fitted) -> None:
    """A bank's new card is no error."""
    item = {
        "transaction_id": 1,
        "card": "new",
        "terminal": 7,
        "time": "2026-02-01T10:00:00",
        "amount": 12,
    }
    answer = score([item], None, detector=fitted_fraud.detector)["scores"][0]
    assert 0 <= answer["score"] <= 1
    assert answer["history"] == []


def test_a_label_raises_the_terminal(payments: pl.DataFrame, fitted_fraud: Fitted) -> None:
    """Feedback that changes nothing once it is old enough would be thrown away."""
    model = fitted_fraud.detector
    first = [
        {
            "transaction_id": f"x{i}",
            "card": f"c{i}",
            "terminal": "t",
            "time": f"2026-02-01T1{i}:00:00",
            "amount": 30,
        }
        for i in range(4)
    ]
    states = score(first, {}, detector=model)["states"]
    labels = [item | {"is_fraud": 1} for item in first]
    told = score(labels, states, detector=model)
    assert all(
        answer == {"transaction_id": item["transaction_id"], "learned": True}
        for answer, item in zip(told["scores"], first, strict=True)
    )

    later = [first[0] | {"transaction_id": "y", "card": "z", "time": "2026-02-10T12:00:00"}]
    early = [first[0] | {"transaction_id": "y", "card": "z", "time": "2026-02-05T12:00:00"}]
    without = score(later, states, detector=model)["scores"][0]["score"]
    assert score(later, told["states"], detector=model)["scores"][0]["score"] > without
    same = score(early, states, detector=model)["scores"][0]["score"]
    assert score(early, told["states"], detector=model)["scores"][0]["score"] == same


def test_an_alert_has_reasons(payments: pl.DataFrame, fitted_fraud: Fitted) -> None:
    """An alert that does not say why is one that nobody can work on."""
    card = payments.filter(pl.col("card") == payments["card"][0]).head(8)
    sent = items(card)
    sent[-1]["amount"] = 5000
    answer = score(sent, {}, detector=fitted_fraud.detector)["scores"][-1]
    assert answer["alert"]
    assert answer["reasons"][0]["reason"] == "amount"
    assert "times the card's usual" in answer["reasons"][0]["text"]
    assert len(answer["history"]) == min(len(sent) - 1, 12)


def test_a_saved_detector_scores_alike(
    tmp_path, payments: pl.DataFrame, fitted_fraud: Fitted
) -> None:
    """What is kept on disk must be the model that was measured."""
    folder = tmp_path / "fraud"
    fitted_fraud.detector.save(folder, card="# card", name="f", version="1", facts={})
    sent = items(payments.head(20))
    loaded = detector.load(folder)

    assert [a["score"] for a in score(sent, {}, detector=loaded)["scores"]] == [
        a["score"] for a in score(sent, {}, detector=fitted_fraud.detector)["scores"]
    ]
