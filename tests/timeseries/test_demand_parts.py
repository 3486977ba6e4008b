"""The parts of a forecast: baselines, blends, intervals, cold starts, plans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeseries import calendars, intervals, measures
from timeseries.demand import assurance, baselines, blend, coldstart, fitting, forecast
from timeseries.demand.plan import Costs, compare, simulate
from timeseries.demand.rows import Rows
from timeseries.demand.scale import Scale
from timeseries.errors import BadRequest
from timeseries.moments import Grid
from timeseries.panel import Panel
from timeseries.windows import Sums, smoothed


def panel_of(y: np.ndarray, **more: object) -> Panel:
    """Return a panel of daily values."""
    keys = tuple((str(i),) for i in range(len(y)))
    return Panel(Grid("day", 0, 7, 364), keys, ("series",), y, np.isfinite(y), **more)  # type: ignore[arg-type]


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=30),
    st.integers(1, 12),
    st.sampled_from([1, 2, 7]),
)
@settings(max_examples=60, deadline=None)
def test_sums_are_plain_means(values: list[int | None], steps: int, stride: int) -> None:
    """Every lag and rolling mean rests on this."""
    line = np.array([[np.nan if value is None else value for value in values]], dtype=float)
    for end in range(-2, len(values)):
        picked = [line[0, i] for i in range(end, -1, -stride)][:steps] if end >= 0 else []
        known = [value for value in picked if np.isfinite(value)]
        mean, count = Sums(line, stride).mean(np.array([0]), np.array([end]), steps)
        assert count[0] == len(known)
        if known:
            assert mean[0] == pytest.approx(np.mean(known))
        else:
            assert np.isnan(mean[0])


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=25))
@settings(max_examples=40, deadline=None)
def test_older_sales_count_half_after_a_half_life(values: list[int | None]) -> None:
    """What rare sales are expected to be rests on this; a closed day ages nothing."""
    line = np.array([[np.nan if value is None else value for value in values]], dtype=float)
    found = smoothed(line, 2.0)[0]
    for end in range(len(values)):
        told = [value for value in values[: end + 1] if value is not None][::-1]
        if not told:
            assert np.isnan(found[end])
            continue
        weight = 0.5 ** (np.arange(len(told)) / 2.0)
        assert found[end] == pytest.approx(np.average(told, weights=weight))


@pytest.mark.parametrize("name", list(baselines.SIMPLE))
def test_baselines_do_not_look_ahead(name: str) -> None:
    """A baseline that cheats makes every model look bad."""
    generator = np.random.default_rng(0)
    y = generator.poisson(3, (4, 120)).astype(float)
    changed = y.copy()
    changed[:, 91:] = 99
    series, moment = np.repeat(np.arange(4), 7), np.tile(np.arange(91, 98), 4)
    method = baselines.SIMPLE[name]
    np.testing.assert_array_equal(
        method(panel_of(y), 90, series, moment), method(panel_of(changed), 90, series, moment)
    )


def test_seasonal_naive_repeats_the_week() -> None:
    """Seven days ago, also beyond the first week ahead."""
    y = np.tile(np.arange(7.0), 8)[None]
    series, moment = np.zeros(14, dtype=int), np.arange(56, 70)
    found = baselines.seasonal_naive(panel_of(y), 55, series, moment)
    assert found.tolist() == (moment % 7).tolist()


def test_statistical_methods_run_beside(sales_panel: Panel) -> None:
    """ETS and Theta are part of the same backtest."""
    found = baselines.statistical(sales_panel, 300, np.array([0, 5]), 7)
    assert set(found) == {"auto_ets", "auto_theta"}
    assert all(line.shape == (2, 7) and np.isfinite(line).all() for line in found.values())


@pytest.mark.parametrize("logarithm", [True, False])
def test_intervals_cover_what_they_say(logarithm: bool) -> None:
    """80 % means 80 %, for each part of the horizon, also where most days sell nothing."""
    generator = np.random.default_rng(1)
    n = 20_000
    horizon = generator.integers(1, 29, n)
    level = np.exp(generator.normal(3 if logarithm else -1, 1, n))
    spread = np.sqrt(0.1 + 0.01 * horizon) if logarithm else np.sqrt(level + 0.1)
    noise = generator.normal(0, np.sqrt(0.1 + 0.01 * horizon), n)
    truth = generator.poisson(level * np.exp(noise)).astype(float)
    half = np.arange(n) < n // 2
    fitted = intervals.fit(
        truth[half], level[half], spread[half], horizon[half], logarithm=logarithm
    )
    for wanted in intervals.LEVELS:
        low, high = fitted.interval(level[~half], spread[~half], horizon[~half], wanted)
        assert measures.coverage(truth[~half], low, high) == pytest.approx(wanted, abs=0.02)
    again = intervals.Conformal.from_json(fitted.to_json())
    np.testing.assert_array_equal(again.errors, fitted.errors)


def test_quantiles_do_not_cross() -> None:
    """A 90 % quantile below the 50 % one is nonsense on a plot and in an order."""
    generator = np.random.default_rng(2)
    truth = generator.poisson(5, 500).astype(float)
    point, horizon = np.full(500, 5.0), np.ones(500, dtype=int)
    fitted = intervals.fit(truth, point, np.full(500, 0.4), horizon, logarithm=True)
    found = fitted.quantiles(point, np.full(500, 0.4), horizon, (0.1, 0.5, 0.9, 0.975))
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found >= 0).all()


def test_the_blend_never_loses_to_its_best_part() -> None:
    """A model that loses gets no weight."""
    generator = np.random.default_rng(3)
    truth = generator.uniform(50, 150, 400)
    forecasts = {
        "good": truth * np.exp(generator.normal(0, 0.05, 400)),
        "other": truth * np.exp(generator.normal(0, 0.06, 400)),
        "bad": truth * 3,
    }
    group, scale = np.zeros(400, dtype=int), np.ones(400)
    weights = blend.choose(truth, forecasts, group, scale, "percentage")
    assert sum(weights.values()) == pytest.approx(1)
    assert weights.get("bad", 0) == 0
    mixed = blend.loss(
        truth, blend.mix(forecasts, weights, "percentage"), group, scale, "percentage"
    )
    assert mixed <= blend.loss(truth, forecasts["good"], group, scale, "percentage")


def test_the_middle_is_not_what_errs_least_in_percent() -> None:
    """Orders follow quantiles: around a point lowered for its percentage they would be short."""
    generator = np.random.default_rng(5)
    truth = 20 * np.exp(generator.normal(0, 0.8, 4000))
    forecasts = {"low": np.full(4000, 20 * np.exp(-(0.8**2))), "middle": np.full(4000, 20.0)}
    group, scale = np.zeros(4000, dtype=int), np.ones(4000)
    assert blend.choose(truth, forecasts, group, scale, "percentage").get("low", 0) > 0.5
    assert blend.choose_middle(truth, forecasts, "percentage").get("middle", 0) > 0.9


def held_rounds(levels: list[float], rows: int = 2000) -> fitting.Held:
    """Return rounds of one forecast; in a round all rows stand above it by the level."""
    generator = np.random.default_rng(6)
    number = np.repeat(np.arange(len(levels)), rows)
    count = len(number)
    truth = np.exp(3 + np.array(levels)[number] + generator.normal(0, 0.2, count))
    point = np.full(count, np.exp(3.0))
    place = np.tile(np.arange(rows), len(levels))
    return fitting.Held(
        number, place, place, np.ones(count, dtype=int), truth, point, point,
        np.full(count, 0.2), point,
    )  # fmt: skip


def test_coverage_is_told_of_rounds_that_intervals_were_not_measured_on() -> None:
    """All rounds at once are covered as they should be, whatever the next one will be like."""
    alike, apart = held_rounds([0.0, 0.0, 0.0]), held_rounds([-0.12, 0.0, 0.15])
    assert assurance.covered(alike, "percentage")["0.8"] == pytest.approx(0.8, abs=0.03)
    assert assurance.covered(apart, "percentage")["0.8"] < 0.75
    assert assurance.covered(held_rounds([0.0]), "percentage") == {}, "one round proves nothing"


def test_a_method_without_any_error_answers_alone() -> None:
    """Sales that repeat exactly: no method lies within a half more than an error of nothing."""
    truth = np.tile(np.arange(1.0, 8.0), 20)
    group, scale = np.zeros(len(truth), dtype=int), np.ones(len(truth))
    forecasts = {"mean": np.full(len(truth), 4.0), "naive": truth.copy(), "other": truth + 1}
    assert blend.choose(truth, forecasts, group, scale, "percentage") == {"naive": 1.0}
    assert blend.choose(truth, forecasts, group, scale, "squared") == {"naive": 1.0}
    nothing = {"mean": np.zeros(7), "naive": np.zeros(7)}
    unknown = blend.choose(np.zeros(7), nothing, group[:7], np.zeros(7), "squared")
    assert unknown == {"mean": 1.0}, "where nothing can be measured one method must answer still"


def test_sales_that_repeat_exactly_are_forecast() -> None:
    """A periodic history is the easiest there is: it must not be the one that fails."""
    week = np.array([3.0, 4, 5, 6, 9, 12, 2])
    panel = panel_of(np.stack([np.tile(week * k, 20) for k in (1, 2, 5)]))
    chosen = fitting.DemandSettings(horizon=7, network=False, statistics=False)
    model = fitting.fit(panel, chosen)
    ahead = np.zeros((3, 7))
    longer = panel_of(np.concatenate([panel.y, ahead], axis=1))
    rows = np.repeat(np.arange(3), 7), np.tile(np.arange(140, 147), 3)
    found = model.forecast(longer, 139, *rows, (0.1, 0.9))
    np.testing.assert_allclose(found.point, np.concatenate([week, 2 * week, 5 * week]), rtol=1e-6)
    low, high = found.intervals[0.8]
    assert (low <= found.point + 1e-6).all()
    assert (found.point <= high + 1e-6).all()


def test_rmsse_is_the_m5s() -> None:
    """By hand: errors of 1 on a series whose steps are 2 give one half."""
    y = np.array([[0.0, 0, 2, 4, 2, 4]])
    assert measures.naive_scale(y)[0] == 4
    found = measures.measure(
        np.array([3.0, 3]), np.array([4.0, 2]), np.zeros(2, dtype=int), np.full(2, 4.0)
    )
    assert found["rmsse"] == pytest.approx(0.5)
    assert found["mape"] == pytest.approx(1 / 3)


def test_a_cold_series_is_like_its_likes() -> None:
    """A new shop is forecast from shops of its kind, not from the mean of all."""
    generator = np.random.default_rng(4)
    kind = np.array([0, 0, 0, 1, 1, 1] * 5, dtype=float)
    y = np.where(kind[:, None] == 1, 100, 10) + generator.normal(0, 1, (30, 60))
    y[0] = np.nan  # a kind 0 that is new
    y[3, :58] = np.nan  # a kind 1 with two days
    panel = panel_of(y, static={"kind": kind}, categories={"kind": ("small", "large")})
    series, moment = np.repeat(np.arange(30), 2), np.tile([60, 61], 30)
    own = np.where(kind[series] == 1, 100.0, 10.0)
    own[np.isin(series, [0, 3])] = 55  # what a model without history would say
    found, cold = coldstart.fill(panel, 59, series, moment, own)
    assert np.unique(series[cold]).tolist() == [0, 3]
    np.testing.assert_allclose(found[series == 0], 10, atol=2)
    np.testing.assert_allclose(found[series == 3], 100, rtol=0.05)


def test_the_newsvendors_quantile_is_the_cheapest() -> None:
    """The plan must come from the costs: another quantile costs more."""
    generator = np.random.default_rng(5)
    demand = generator.poisson(20, 5000).astype(float)
    costs = Costs(short=4, holding=1)
    plans = {f"{q:.2f}": np.full(5000, np.quantile(demand, q)) for q in (0.2, 0.5, 0.8, 0.97)}
    table = compare(plans, demand, costs)
    assert table[0]["plan"] == "0.80"
    assert costs.ratio == pytest.approx(0.8)
    none = simulate("nothing", np.zeros(5000), demand, costs)
    assert none.lost_share == 1
    with pytest.raises(BadRequest):
        _ = Costs(short=0, holding=1).ratio


def test_easter() -> None:
    """Easter moves, and sales with it."""
    found = calendars.easter(np.array([2013, 2014, 2015, 2024, 2038]))
    assert [str(day) for day in found] == [
        "2013-03-31", "2014-04-20", "2015-04-05", "2024-03-31", "2038-04-25",
    ]  # fmt: skip


def test_a_direct_call_answers_each_series() -> None:
    """`mailroom.demand`: one answer an item in order, a bad one is an error in its place."""
    week = [10, 12, 9, 14, 20, 25, 5]
    found = forecast(
        [
            {"id": "a", "values": week * 8, "start": "2026-01-05"},
            {"id": "b", "values": [1]},
            {"id": "c", "values": [0, 0, 3, 0, None, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4]},
            {"id": "d", "values": [1, 2, -3, 4, 5]},
            {"id": "e", "values": [1, 2, 3, 4], "start": "soon"},
        ],
        3,
        [0.9, 0.1],
    )
    assert [answer["id"] for answer in found] == ["a", "b", "c", "d", "e"]
    assert [answer.get("error", {}).get("code") for answer in found] == [
        None, "too_short", None, "bad_value", "bad_time",
    ]  # fmt: skip
    assert found[3]["error"]["row"] == 3
    first = found[0]["forecast"]
    assert [step["moment"] for step in first] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert [step["mean"] for step in first] == pytest.approx(week[:3], rel=0.05)
    assert list(first[0]["quantiles"]) == ["0.1", "0.9"]
    for horizon, quantiles in ((0, [0.5]), (3, []), (3, [1.5])):
        with pytest.raises(BadRequest):
            forecast([], horizon, quantiles)


def test_a_windows_error_is_that_of_all_its_rows() -> None:
    """Rows are drawn by lot; what a window weighs must not hang on which of them were drawn."""
    generator = np.random.default_rng(5)
    y = generator.poisson(1.0, (3, 60)).astype(float)
    scale = Scale(panel_of(y), "squared", 59)
    asked = fitting.DemandSettings(horizon=14, gap=2)
    rows = Rows(np.array([0, 2]), np.array([30, 20]), np.array([34, 36]))

    found = fitting._window_error(scale, rows, np.array([1.0, 0.5]), asked)

    wanted = [((y[0, 33:47] - 1.0) ** 2).mean(), ((y[2, 23:37] - 0.5) ** 2).mean()]
    np.testing.assert_allclose(found, wanted)
