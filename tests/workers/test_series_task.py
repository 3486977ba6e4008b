"""Direct calls with histories of numbers: any Celery producer, plain JSON, one answer an item."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.installation import Installation
from tests.workers.producer import call

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mailroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with one worker for direct calls, shared by the tests here."""
    installation = Installation(tmp_path_factory.mktemp("series"))
    installation.worker("celery")
    yield installation
    installation.close()


def test_demand_answers_each_series(mailroom: Installation) -> None:
    """A bad series is an error in its place; a senseless horizon is one for all."""
    series = [
        {"id": "a", "values": [10, 12, 9, 14, 20, 25, 5] * 6, "start": "2026-01-05"},
        {"id": "b", "values": [1]},
    ]
    asked = {"series": series, "horizon": 7, "quantiles": [0.1, 0.9]}
    (good, bad), none = call(
        mailroom, ("mailroom.demand", asked), ("mailroom.demand", asked | {"horizon": 0})
    )
    assert len(good["forecast"]) == 7
    assert good["forecast"][0]["moment"] == "2026-02-16"
    assert bad["error"]["code"] == "too_short"
    assert [answer["error"]["code"] for answer in none] == ["bad_request"] * 2


def test_fraud_hands_the_states_along(mailroom: Installation) -> None:
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
    (first,) = call(mailroom, ("mailroom.fraud", {"transactions": payments[:9]}))
    second = {"transactions": [payments[9], {}], "states": first["states"]}
    (answer,) = call(mailroom, ("mailroom.fraud", second))
    odd, bad = answer["scores"]
    assert odd["score"] > max(score["score"] for score in first["scores"])
    assert len(odd["history"]) == 9
    assert bad["error"]["code"] == "bad_request"
