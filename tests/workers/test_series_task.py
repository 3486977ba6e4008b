"""Direct calls with histories of numbers: any Celery producer, plain JSON, one answer an item."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from tests.workers.installation import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celery]:
    """Somebody else's Celery application beside a real worker for direct calls."""
    installation = Installation(tmp_path_factory.mktemp("series"))
    installation.worker("celery")
    app = Celery(broker=installation.broker.url, backend=installation.results.url)
    yield app
    app.close()
    installation.close()


def test_demand_answers_each_series(producer: Celery) -> None:
    """A bad series is an error in its place; a senseless horizon is one for all."""
    series = [
        {"id": "a", "values": [10, 12, 9, 14, 20, 25, 5] * 6, "start": "2026-01-05"},
        {"id": "b", "values": [1]},
    ]
    sent = producer.send_task(
        "mailroom.demand", kwargs={"series": series, "horizon": 7, "quantiles": [0.1, 0.9]}
    )
    good, bad = sent.get(timeout=100)
    assert len(good["forecast"]) == 7
    assert good["forecast"][0]["moment"] == "2026-02-16"
    assert bad["error"]["code"] == "too_short"
    none = producer.send_task("mailroom.demand", kwargs={"series": series, "horizon": 0})
    assert [answer["error"]["code"] for answer in none.get(timeout=100)] == ["bad_request"] * 2


def test_fraud_hands_the_states_along(producer: Celery) -> None:
    """What one call returns the next one takes, whichever worker it reaches."""
    payments = [
        {
            "transaction_id": str(i),
            "card": "c",
            "terminal": "t",
            "time": f"2026-01-{i + 1:02d}T12:00:00",
            "amount": 20.0 if i < 9 else 400.0,
        }
        for i in range(10)
    ]
    first = producer.send_task("mailroom.fraud", kwargs={"transactions": payments[:9]})
    answer = first.get(timeout=100)
    second = producer.send_task(
        "mailroom.fraud", kwargs={"transactions": [payments[9], {}], "states": answer["states"]}
    )
    odd, bad = second.get(timeout=100)["scores"]
    assert odd["score"] > max(score["score"] for score in answer["scores"])
    assert len(odd["history"]) == 9
    assert bad["error"]["code"] == "bad_request"
