"""`mailroom.demand` and `mailroom.fraud`: histories of numbers for any Celery producer.

Both are pure: they read their arguments and write only their answer, so a second run is
harmless. The caller keeps the states of cards and terminals, and the order of a card's payments.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from workers.context import Context

MOST_ITEMS = 10_000  # of one call: its answer must fit into the results store


def register(app: Celery, context: Context) -> None:
    """Register the tasks."""

    @app.task(name="mailroom.demand", ignore_result=False)
    def demand(
        series: list[Any], horizon: int, quantiles: list[float] | None = None
    ) -> list[dict[str, Any]]:
        """Return one forecast a series, in order; `{"error": {"code", "message"}}` for a bad one.

        A series is `{"id", "values", "start", "step"}`, oldest first, null where nothing is known.
        """
        from timeseries.demand import forecast
        from timeseries.errors import BadRequest

        if not isinstance(series, list):
            raise TypeError("series is a list")
        try:
            _not_too_many(series)
            return forecast(series, horizon, quantiles or (0.025, 0.1, 0.5, 0.9, 0.975))
        except BadRequest as error:
            return [{"error": error.to_json()} for _ in series]

    @app.task(name="mailroom.fraud", ignore_result=False)
    def fraud(transactions: list[Any], states: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return `{"scores", "states"}`: an answer an item in order, and the new states.

        `states` is what the call before returned; an unknown card starts fresh.
        """
        from timeseries.errors import BadRequest
        from timeseries.fraud import score
        from timeseries.threads import one_thread

        if not isinstance(transactions, list):
            raise TypeError("transactions is a list")
        try:
            _not_too_many(transactions)
            with one_thread():
                return score(transactions, states)
        except BadRequest as error:
            return {"scores": [{"error": error.to_json()} for _ in transactions], "states": states}


def _not_too_many(items: list[Any]) -> None:
    from timeseries.errors import BadRequest

    if len(items) > MOST_ITEMS:
        raise BadRequest(f"at most {MOST_ITEMS:,} items a call: send more calls")
