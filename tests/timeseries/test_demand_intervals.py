"""Intervals: they follow the season, the rows' own noise, and what earlier rounds missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from timeseries import intervals
from timeseries.demand import backtest, boosted
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.fitting import DemandSettings, Forecaster, fit, refit
from timeseries.demand.rows import Ask, rows_at
from timeseries.demand.scale import Prepared
from timeseries.moments import Grid
from timeseries.panel import Panel

TREES: dict[str, Any] = {
    "row_limit": 4000,
    "network": False,
    "statistics": False,
    "rounds": 2,
    "tree": TreeSettings(rounds=40, learning_rate=0.1, smallest_leaf=30, width_rounds=20),
}


@pytest.fixture(scope="module")
def fitted(sales_panel: Panel) -> Forecaster:
    """A forecaster of a week, trees alone."""
    return fit(sales_panel.until(sales_panel.last - 21), DemandSettings(horizon=7, **TREES))


def daily(moments: int) -> Panel:
    """Return one series of so many days."""
    y = np.ones((1, moments))
    return Panel(Grid("day", 0, 7, 364), (("a",),), ("id",), y, np.isfinite(y))


def test_the_same_season_is_asked_where_the_history_has_it() -> None:
    """Errors before Christmas say little of May: a round of a year ago says more."""
    settings = DemandSettings(horizon=28)
    assert backtest.season_origin(daily(800), settings) == [799 - 364]
    assert backtest.season_origin(daily(500), settings) == []
    assert backtest.season_origin(daily(800), DemandSettings(horizon=365)) == []


def test_a_season_too_poor_for_every_method_is_left_out() -> None:
    """Forty months of three shops: enough now, too little a year ago."""
    generator = np.random.default_rng(4)
    y = generator.poisson(80.0, (3, 40)).astype(float)
    keys = (("a",), ("b",), ("c",))
    whole = Panel(Grid("month", 500, 12, 12), keys, ("shop",), y, np.isfinite(y))
    settings = DemandSettings(horizon=3, **TREES)
    assert backtest.season_origin(whole, settings) == [27]

    found = fit(whole, settings)

    assert {"boosted", "answer"} <= {line["method"] for line in found.table}


def test_what_was_missed_is_made_up_for() -> None:
    """Too little covered makes wider, too much narrower, and neither runs away."""
    wider = intervals.adapted([[0.1, 0.05], [0.05, 0.0]])
    narrower = intervals.adapted([[-0.1, -0.03]])

    assert wider[0] > 0.8 > narrower[0]
    assert wider[1] > 0.95 > narrower[1]
    assert intervals.adapted([]) == intervals.LEVELS
    assert max(intervals.adapted([[0.8, 0.95]] * 20)) <= intervals.WIDEST


def test_coverage_holds_while_errors_grow() -> None:
    """A process that gets noisier each round is covered as said, on the whole."""
    generator = np.random.default_rng(0)
    n, ones = 400, np.ones(400, dtype=int)

    def noisy(round_number: int) -> np.ndarray:
        return np.maximum(50 + generator.normal(0, 3 * 1.12**round_number, n), 0)

    point, spread = np.full(n, 50.0), np.ones(n)
    pool, covered = noisy(0), []
    missed: list[list[float]] = []
    for number in range(1, 25):
        aims = intervals.adapted(missed)
        conformal = intervals.fit(pool, point, spread, ones, logarithm=False, aims=aims)
        truth = noisy(number)
        shares = []
        for level in intervals.LEVELS:
            low, high = conformal.interval(point, spread, ones, level)
            shares.append(float(((truth >= low) & (truth <= high)).mean()))
        missed.append([level - s for level, s in zip(intervals.LEVELS, shares, strict=True)])
        covered.append(shares[0])
        pool = truth
    assert np.mean(covered) == pytest.approx(0.8, abs=0.02)


def test_rows_that_are_noisier_are_told_so() -> None:
    """A feature that says how far off rows are makes their intervals wider than others'."""
    generator = np.random.default_rng(3)
    n = 6000
    wild = generator.integers(0, 2, n).astype(float)
    sales = np.exp(4 + generator.normal(0, np.where(wild == 1, 0.6, 0.1)))
    matrix = np.stack([wild, generator.normal(0, 1, n)], axis=1).astype(np.float32)
    prepared = Prepared(
        matrix, ["wild", "other"], (), np.full(n, np.log1p(np.exp(4))), np.ones(n), "percentage"
    )
    trees = boosted.fit(prepared, sales, None, TREES["tree"], lambda point: np.full(n, 0.3))

    widths = trees.widths(prepared)
    again = boosted.from_texts(trees.texts(), trees.names, trees.width_text())

    assert widths[wild == 1].mean() > 2 * widths[wild == 0].mean()
    np.testing.assert_allclose(again.widths(prepared), widths)


def test_a_refit_learns_what_came_and_nothing_after(fitted: Forecaster, sales_panel: Panel) -> None:
    """Each round may learn all that is over by then: the blend stays, the trees are new."""
    origin = sales_panel.last - 14
    rows = rows_at(sales_panel, [origin], Ask(7))
    y = sales_panel.y.copy()
    y[:, origin + 1 :] *= 5
    changed = replace(sales_panel, y=y)

    now = refit(fitted, sales_panel.until(origin))
    blind = refit(fitted, changed.until(origin))

    asked = origin, rows.series, rows.moment, (0.5,)
    before = fitted.forecast(sales_panel, *asked)
    assert not np.array_equal(now.forecast(sales_panel, *asked).point, before.point)
    np.testing.assert_array_equal(
        now.forecast(sales_panel, *asked).point, blind.forecast(changed, *asked).point
    )
    assert now.weights == fitted.weights


def test_intervals_learn_from_rounds_that_are_over(fitted: Forecaster, sales_panel: Panel) -> None:
    """What earlier rounds missed widens the next; a target that is not told yet does not."""
    origin = sales_panel.last - 21
    rows = rows_at(sales_panel, [origin], Ask(7))
    answer = fitted.forecast(sales_panel, origin, rows.series, rows.moment, (0.5,))
    y = sales_panel.y.copy()
    y[rows.series, rows.moment] = 20 * (answer.point + 10)
    wild = replace(sales_panel, y=y)

    unknown = fitted.recalibrated(wild.until(origin), [(rows, answer)])
    known = fitted.recalibrated(wild.until(origin + 7), [(rows, answer)])

    def width(model: Forecaster) -> float:
        found = model.forecast(sales_panel, origin, rows.series, rows.moment, (0.5,))
        low, high = found.intervals[0.8]
        return float((high - low).mean())

    assert width(known) > 1.2 * width(unknown)
    assert width(unknown) == pytest.approx(width(fitted), rel=1e-6)
