"""The job `fraud`: scores of a table of card payments, its alerts, and what stands behind them.

Leaves `scores.parquet` (the table given, scored), `cards.parquet` (every payment of cards with an
alert) and `weights.parquet` (how much each earlier payment weighs in an alert);
`transactions.csv` too when the demonstration's table was made here.

Options: `card`, `terminal`, `time`, `amount`, `fraud`, `number` as columns (else recognised);
`budget` of cards a day; `fit` on the table's own labels, which are known after `delay` days;
`model` (a trained one); `demonstration` instead of an input.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.jobs.assignment import Assignment
from workers.jobs.demand import telling

if TYPE_CHECKING:
    import polars as pl

    from timeseries.fraud.pipeline import Answer

BUDGET = 10  # cards a day, unless said
BUDGETS = (1, 2, 5, 10, 20, 50, 100)
MOST_ALERTS = 2_000  # kept for people to work, the highest first
WIDER = 2  # alerts are kept for so many times the budget: people may ask for more
ROLES = ("card", "terminal", "time", "amount", "fraud", "number")


def run(
    job: Assignment, input_path: Path | None, folder: Path, told: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Score; raises the errors of `timeseries.errors`, with rows."""
    from timeseries import demonstration, tables
    from timeseries.fraud import pipeline, table
    from timeseries.fraud.fitting import FraudSettings
    from timeseries.threads import set_threads

    options = job.options
    threads = set_threads(job.threads)
    told({"step": "reading"})
    if input_path is None:
        frame = demonstration.transactions(cards=300, terminals=450, days=60)
        frame.write_csv(folder / "transactions.csv")
    else:
        frame = tables.read_table(input_path)
    columns = table.recognise(frame, **{role: options.get(role) for role in ROLES})
    settings = None
    if options.get("fit"):
        settings = FraudSettings(delay=int(options.get("delay") or 7), threads=threads)
    budget = int(options.get("budget") or BUDGET)
    told({"step": "scoring"})
    answer = pipeline.run(
        frame,
        columns=columns,
        detector=_model(job),
        settings=settings,
        budget=WIDER * budget,
        on_step=telling(told),
    )
    told({"step": "writing"})
    return _leave(answer, budget, folder)


def _model(job: Assignment) -> Any:
    name = job.options.get("model")
    if not name:
        return None
    from nlp import weights
    from timeseries.fraud import detector

    return detector.load(weights.find(str(name), job.models_dir))


def _leave(answer: Answer, budget: int, folder: Path) -> dict[str, Any]:
    import polars as pl

    from timeseries.fraud import histories

    answer.table.write_parquet(folder / "scores.parquet", compression="zstd")
    cards, weights = histories.of_alerts(answer, most=MOST_ALERTS)
    cards.write_parquet(folder / "cards.parquet", compression="zstd")
    weights.write_parquet(folder / "weights.parquet", compression="zstd")
    lines = histories.budgets(answer, sorted({*BUDGETS, budget, WIDER * budget}))
    mine = next(line for line in lines if line["budget"] == budget)
    found = cards.filter("alert").sort("score", descending=True).head(MOST_ALERTS)
    least = float(found["score"].to_numpy().min()) if len(found) else 1.0
    facts = answer.facts
    by_day = _by_day(answer, mine["threshold"])
    return {
        "columns": facts["columns"],
        "transactions": facts["transactions"],
        "detector": facts["model"],
        "backtest": facts.get("backtest"),
        "budget": budget,
        "threshold": mine["threshold"],
        # those beyond what was kept for people are of no use to them
        "budgets": [line for line in lines if line["threshold"] >= least or line is mine],
        "days": by_day,
        "labelled": answer.columns.fraud is not None,
        "cards": int(cards.select(pl.col("card").n_unique()).item()),
        "alerts": _alerts(answer, found),
    }


def _by_day(answer: Answer, threshold: float) -> list[dict[str, Any]]:
    import polars as pl

    from timeseries import moments

    frame, columns = answer.table, answer.columns
    fraud = pl.lit(None, dtype=pl.Int64) if columns.fraud is None else pl.col(columns.fraud)
    alert = pl.col("score") >= threshold
    days = frame.with_columns(moments.parse(frame[columns.time]).cast(pl.Date).alias("date"))
    found = days.group_by("date").agg(
        pl.len().alias("transactions"),
        alert.sum().alias("alerts"),
        (alert & (fraud.cast(pl.Int64, strict=False) == 1)).sum().alias("hits"),
        (fraud.cast(pl.Int64, strict=False) == 1).sum().alias("frauds"),
    )
    rows = found.sort("date").with_columns(pl.col("date").cast(pl.String))
    return rows.to_dicts()


def _alerts(answer: Answer, found: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the alerts that people will work, with their reasons in order of weight."""
    import polars as pl

    number = answer.columns.number
    numbers = None if number is None else answer.table[number].cast(pl.String)
    return [
        {
            "number": f"row {line['row']}" if numbers is None else numbers[line["row"] - 1],
            "card": line["card"],
            "terminal": line["terminal"],
            "paid_at": line["time"],
            "amount": line["amount"],
            "score": line["score"],
            "reasons": [{"text": text} for text in line["reason"].split("; ") if text]
            + [{"row": line["row"]}],
        }
        for line in found.iter_rows(named=True)
    ]
