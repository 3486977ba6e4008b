"""A whole fit on a small history of our own: backtest, answer, file, command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from timeseries import panel, roles
from timeseries.demand import model, pipeline
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.fitting import DemandSettings, Forecaster, fit
from timeseries.demand.learning import NetworkSettings
from timeseries.demand.plan import Costs
from timeseries.errors import TooShort
from timeseries.panel import Panel
from timeseries.tables import History

SMALL: dict[str, object] = {
    "row_limit": 6000,
    "pair_limit": 300,
    "tree": TreeSettings(rounds=80, learning_rate=0.1, smallest_leaf=30),
    "learning": NetworkSettings(hidden_size=8, past=28, epochs=2),
    "statistics": False,
    "rounds": 2,
}


@pytest.fixture(scope="module")
def fitted(sales_panel: Panel) -> Forecaster:
    """A forecaster of two weeks."""
    return fit(sales_panel, DemandSettings(horizon=14, **SMALL))


def ahead(whole: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the plan."""
    series, step = np.nonzero(whole.present[:, whole.last + 1 :])
    return series, step + whole.last + 1


def test_every_method_runs_in_the_same_backtest(fitted: Forecaster) -> None:
    """The table is what a planner believes: all methods, the same rows, the winner named."""
    methods = {line["method"] for line in fitted.table}
    assert {"boosted", "network", "event_median", "seasonal_naive", "croston_sba"} <= methods
    assert len({line["rows"] for line in fitted.table}) == 1
    assert sum(fitted.weights.values()) == pytest.approx(1)
    answer = next(line for line in fitted.table if line["method"] == "answer")
    best = min(line["wape"] for line in fitted.table if line["method"] == fitted.best_baseline)
    assert answer["wape"] < 1.05 * best


def test_a_forecast_is_blind_to_what_follows(fitted: Forecaster, sales_panel: Panel) -> None:
    """The whole chain, not each feature only: later sales change nothing."""
    origin = sales_panel.last - 14
    series, moment = np.nonzero(np.isfinite(sales_panel.y[:, origin + 1 : origin + 15]))
    moment = moment + origin + 1
    y = sales_panel.y.copy()
    y[:, origin + 1 :] *= 7
    changed = replace(sales_panel, y=y)

    before = fitted.forecast(sales_panel, origin, series, moment, (0.1, 0.9))
    now = fitted.forecast(changed, origin, series, moment, (0.1, 0.9))

    np.testing.assert_array_equal(now.point, before.point)
    np.testing.assert_array_equal(now.quantiles, before.quantiles)


def test_a_plan_is_tried_on_every_round(fitted: Forecaster) -> None:
    """One round of a few weeks is luck: every round's sales count, at all costs asked at once."""
    assert fitted.held is not None
    assert len(np.unique(fitted.held.round)) > 1
    costs = (Costs(4, 1), Costs(1, 1), Costs(19, 1))
    together = pipeline.simulate_all(fitted, costs)
    for each, lines in zip(costs, together, strict=True):
        assert lines == pipeline.simulate(fitted, each)
        assert len(lines) == 3
    ordered = [
        next(line["ordered"] for line in lines if str(line["plan"]).startswith("model"))
        for lines in (together[1], together[0], together[2])
    ]
    assert ordered == sorted(ordered), "the dearer a stockout, the more is ordered"
    assert set(fitted.covered) == {"0.8", "0.95"}


def test_a_saved_forecaster_answers_alike(
    fitted: Forecaster, sales_panel: Panel, tmp_path: Path
) -> None:
    """What is kept on disk must be the model that was measured; no pickle is behind it."""
    model.save(fitted, tmp_path / "m", name="m", version="1", card="# m")
    loaded = model.load(tmp_path / "m")
    series, moment = ahead(sales_panel)
    levels = (0.1, 0.5, 0.9)
    assert (loaded.middle, loaded.covered) == (fitted.middle, fitted.covered)
    before = fitted.forecast(sales_panel, sales_panel.last, series, moment, levels)
    now = loaded.forecast(sales_panel, sales_panel.last, series, moment, levels)
    np.testing.assert_allclose(now.point, before.point, rtol=1e-6)
    np.testing.assert_allclose(now.quantiles, before.quantiles, rtol=1e-6)


def test_a_saved_forecaster_knows_its_series_by_name(
    fitted: Forecaster, sales: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    """A file in another order, with a new shop in it, must not mix the shops up."""
    model.save(fitted, tmp_path / "m", name="m", version="1", card="# m")
    loaded = model.load(tmp_path / "m")
    history, plan = sales
    new = history.filter(pl.col("store") == "S03").with_columns(
        store=pl.lit("A00"),
        item="new " + pl.col("item"),  # the same items elsewhere would be told of
    )
    other = pl.concat([new, history]).sort("store", "item", "date", descending=[True, True, False])
    said = roles.recognise(history)
    one, _ = panel.build_panel(history, said, future=plan)
    two, _ = panel.build_panel(other, said, future=plan)
    found = {}
    for built in (one, two):
        series, moment = ahead(built)
        answer = loaded.forecast(built, built.last, series, moment, (0.5,))
        for i, at, point in zip(series, moment, answer.point, strict=True):
            found.setdefault((built.keys[i], int(at)), []).append(point)
    for key, points in found.items():
        assert points[0] == pytest.approx(points[1], rel=1e-4), key


def test_one_point_of_history_is_too_short() -> None:
    """A clear message, not a traceback out of numpy."""
    table = pl.DataFrame({"date": ["2026-01-01"], "sales": [3.0]})
    built, _ = panel.build_panel(table, roles.recognise(table))
    with pytest.raises(TooShort, match="history has 1 moments"):
        fit(built, DemandSettings(horizon=7))


@pytest.mark.parametrize("encoder", ["rnn", "lstm", "gru", "transformer"])
def test_the_encoder_is_one_option(sales_panel: Panel, encoder: str) -> None:
    """Each of them learns: better than the mean of everything."""
    few = sales_panel.take(np.arange(6))
    learning = NetworkSettings(encoder=encoder, hidden_size=8, past=21, epochs=2)  # type: ignore[arg-type]
    settings = DemandSettings(
        horizon=7, trees=False, statistics=False, row_limit=2000, rounds=2, learning=learning
    )
    table = {line["method"]: line for line in fit(few, settings).table}
    assert table["network"]["wape"] < 1


def test_rows_without_sales_are_the_plan(sales: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """What a user has is one file: the past with sales, the days ahead without."""
    history, plan = sales
    whole = pl.concat([history, plan], how="diagonal")
    answer = pipeline.run(History(whole, {}), horizon=14, settings=SMALL)
    assert len(answer.table) == len(plan)
    table = answer.table
    assert (table["low_95"] <= table["low_80"]).all()
    assert (table["high_80"] <= table["high_95"]).all()
    assert (table["q0.1"] <= table["q0.9"]).all()
    json.dumps(answer.facts, allow_nan=False, default=str)
    assert {"plan", "backtest", "weights", "notices"} <= set(answer.facts)
    assert len(answer.facts["plan"]) == 3
    shown = pipeline.fan(answer, history, ("S01", "item_1"))
    assert "actual" in shown[0]
    assert "low_95" in shown[-1]
    json.dumps(shown)


def test_the_command_writes_forecasts(
    sales: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mailroom demand FILE --horizon N -o OUT --json`."""
    from commands.demand import command

    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAILROOM_THREADS", "1")
    chosen = pl.col("store").is_in(["S01", "S02"]) & (pl.col("item") == "item_1")
    few = sales[0].filter(chosen).drop("promo", "price", "holiday")
    few.write_csv(tmp_path / "sales.csv")
    sent = [
        str(tmp_path / "sales.csv"),
        "--horizon",
        "7",
        "-o",
        str(tmp_path / "f.parquet"),
        "--json",
    ]
    result = CliRunner().invoke(command, sent)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    written = pl.read_parquet(tmp_path / "f.parquet")
    assert found["rows"] == len(written)
    assert written["date"].min() > few["date"].max()
    # the southern shop is closed on Sundays, and nobody asks for them
    south = written.filter(pl.col("store") == "S02")
    assert 7 not in south["date"].dt.weekday().to_list()

    bad = few.with_columns(units=-1)
    bad.write_csv(tmp_path / "bad.csv")
    result = CliRunner().invoke(command, [str(tmp_path / "bad.csv"), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "bad_value"
