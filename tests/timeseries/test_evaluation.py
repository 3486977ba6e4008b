"""`mailroom evaluate` for series: one flat object, from what is dated before only."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from timeseries.demand.boosted import TreeSettings
from timeseries.errors import BadRequest, BadTime, SeriesError
from timeseries.evaluation import evaluate_series, figures
from timeseries.fraud import protocol
from timeseries.request import Request

QUICK: dict[str, Any] = {
    "network": False,
    "statistics": False,
    "rounds": 2,
    "row_limit": 5000,
    "tree": TreeSettings(rounds=60, learning_rate=0.1, smallest_leaf=30),
}


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, sales: tuple[pl.DataFrame, pl.DataFrame]
) -> tuple[Path, Path]:
    """A history and the four weeks after it."""
    folder = tmp_path_factory.mktemp("evaluate")
    history = sales[0]
    last = history["date"].max()
    cut = pl.col("date") <= last - timedelta(days=28)  # type: ignore[operator]
    history.filter(cut).write_parquet(folder / "history.parquet")
    history.filter(~cut).write_parquet(folder / "after.parquet")
    return folder / "history.parquet", folder / "after.parquet"


def test_demand_prints_its_measures(files: tuple[Path, Path]) -> None:
    """Everything the issue lists, with the best simple method's beside it."""
    found = evaluate_series("demand", files[1], Request(history=(files[0],)), settings=QUICK)
    flat = figures(found)
    for name in ("mape", "rmspe", "wape", "rmsse", "coverage_80", "coverage_95"):
        assert isinstance(flat[name], float)
    assert flat["rows"] == len(pl.read_parquet(files[1]))
    assert flat["wape"] < flat["baseline_wape"]
    assert 0.6 < flat["coverage_80"] < flat["coverage_95"]
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_a_shorter_horizon_scores_the_first_part(files: tuple[Path, Path]) -> None:
    """`--horizon 7` of a file of four weeks is its first week; rounds move on by a horizon."""
    after = pl.read_parquet(files[1])
    first = after["date"].min()
    week = after.filter(pl.col("date") < first + timedelta(days=7))  # type: ignore[operator]
    settings = QUICK
    one = evaluate_series("demand", files[1], Request(history=(files[0],), horizon=7),
                          settings=settings)  # fmt: skip
    assert one["rows"] == len(week)
    three = evaluate_series(
        "demand", files[1], Request(history=(files[0],), horizon=7, rounds=3), settings=settings
    )
    assert three["rows"] == len(
        after.filter(pl.col("date") < first + timedelta(days=21))  # type: ignore[operator]
    )


def test_later_rows_change_no_earlier_score(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Rows after the horizon are not looked at, whatever they say."""
    after = pl.read_parquet(files[1])
    first = after["date"].min()
    late = pl.col("date") >= first + timedelta(days=14)  # type: ignore[operator]
    changed = after.with_columns(units=pl.when(late).then(999).otherwise(pl.col("units")))
    changed.write_parquet(tmp_path / "changed.parquet")
    request = Request(history=(files[0],), horizon=14)
    one = evaluate_series("demand", files[1], request, settings=QUICK)
    two = evaluate_series("demand", tmp_path / "changed.parquet", request, settings=QUICK)
    assert one["mape"] == two["mape"]
    assert one["coverage_80"] == two["coverage_80"]


def test_rows_within_the_history_are_refused(files: tuple[Path, Path]) -> None:
    """Scoring what was fitted on would flatter."""
    with pytest.raises(BadTime):
        evaluate_series("demand", files[0], Request(history=(files[0],)), settings=QUICK)
    with pytest.raises(BadRequest, match="neither"):
        evaluate_series("weather", files[1], Request(history=(files[0],)))


def test_the_command_says_what_is_wrong(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Exit status 2 and a sentence, with the code in JSON."""
    from commands.evaluate import command

    sent = ["demand", str(files[0]), "--history", str(files[0]), "--json"]
    result = CliRunner().invoke(command, sent)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "bad_time"
    sent = ["nobody", str(files[1]), "--history", str(files[0]), "--json"]
    result = CliRunner().invoke(command, sent)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "unknown_model"


def test_fraud_by_the_command(payments: pl.DataFrame, tmp_path: Path,
                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The book's measures on a later week; train, then evaluate what was trained."""
    from commands.evaluate import command as evaluate
    from commands.fraud import command as fraud
    from commands.train import command as train

    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAILROOM_THREADS", "1")
    first = payments["time"].min()
    cut = pl.col("time") < first + timedelta(days=43)  # type: ignore[operator]
    payments.filter(cut).write_csv(tmp_path / "history.csv")
    payments.filter(~cut).write_csv(tmp_path / "after.csv")
    sent = ["bank", str(tmp_path / "history.csv"), "--task", "fraud", "--json"]
    result = CliRunner().invoke(train, sent)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["version"] == "1"

    sent = ["bank", str(tmp_path / "after.csv"), "--history", str(tmp_path / "history.csv")]
    result = CliRunner().invoke(evaluate, [*sent, "--delay", "7", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    for name in ("auroc", "average_precision", "card_precision_at_100", "cards_found_within_3",
                 "value_share", "baseline_auroc"):  # fmt: skip
        assert 0 <= found[name] <= 1
    assert found["rows"] + found["rows_left_out"] == len(payments.filter(~cut))

    output = tmp_path / "scores.parquet"
    sent = [str(tmp_path / "after.csv"), "--model", "bank", "-o", str(output), "--budget", "3"]
    result = CliRunner().invoke(fraud, [*sent, "--json"])
    assert result.exit_code == 0, result.output
    scored = pl.read_parquet(output)
    assert scored["transaction_id"].to_list() == payments.filter(~cut)["transaction_id"].to_list()
    assert scored.filter(pl.col("alert"))["reason"].str.len_chars().max() > 10  # type: ignore[operator]


def test_card_precision_is_the_books() -> None:
    """By hand: two cards a day; one found on day 0 is left out on day 1."""
    day = np.array([0, 0, 0, 1, 1, 1])
    card = np.array([1, 2, 3, 1, 2, 4])
    fraud = np.array([True, False, True, True, False, True])
    score = np.array([0.9, 0.8, 0.1, 0.99, 0.2, 0.7])
    precision, alerts = protocol.daily_alerts(day, card, fraud, score, budget=2)
    assert precision == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert [sorted(cards.tolist()) for _, cards in alerts] == [[1, 2], [2, 4]]


def test_known_cards_are_left_out_after_the_delay() -> None:
    """A fraud of day d is known on day d + delay + 1, if it is of the training week or later."""
    day = np.array([10, 13, 20, 21, 21, 27, 28])
    card = np.array([1, 2, 3, 1, 2, 2, 2])
    fraud = np.array([True, False, False, False, False, False, False])
    test = day >= 20
    found = protocol.eligible(day, card, fraud, test, delay=7)
    assert found.tolist() == [False, False, True, False, True, True, True]
    old = np.array([2, 13, 20, 21, 21, 27, 28])  # before the training week: forgotten by the book
    assert protocol.eligible(old, card, fraud, old >= 20, delay=7)[3]


def test_auroc_and_average_precision_agree_with_scikit_learn() -> None:
    """Ties included."""
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    fraud = generator.random(500) < 0.1
    score = np.round(generator.random(500) + 0.3 * fraud, 1)
    assert protocol.auroc(fraud, score) == pytest.approx(metrics.roc_auc_score(fraud, score))
    assert protocol.average_precision(fraud, score) == pytest.approx(
        metrics.average_precision_score(fraud, score)
    )


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["rossmann", "dominicks_oj", "m5_three_stores", "fraud_handbook"])
def test_real_sets_are_recognised_without_options(real_data: Path, name: str) -> None:
    """Columns named as in the data sets' description need no option."""
    from timeseries import panel, roles, tables
    from timeseries.fraud import table

    history = tables.read_history([real_data / name])
    if name == "fraud_handbook":
        columns = table.recognise(history.table)
        found, _ = table.read(history.table.head(1000), columns)
        assert len(found) == 1000
        return
    said = roles.recognise(history.table, companions=history.companions)
    assert not {"customers", "logmove", "profit"} & {*said.known}
    few = history.table.tail(20_000)
    try:
        built, _ = panel.build_panel(few, said, companions=history.companions)
    except SeriesError as error:
        pytest.fail(str(error))
    assert {"rossmann": "promo", "dominicks_oj": "price1", "m5_three_stores": "event"}[name] in (
        built.known
    )
