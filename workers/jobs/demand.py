"""The job `demand`: forecasts of a table of sales, with all that its page shows.

Leaves `forecast.parquet`, `fan.parquet` (the latest history and the forecast, a row a moment) and
`series.parquet`; `history.csv` too when the demonstration's table was made here.

Options: `horizon`; `series`, `time`, `target`, `known` as columns (else recognised); `short` and
`holding` costs; `model` (a trained one); `demonstration` instead of an input.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.jobs.assignment import Assignment

if TYPE_CHECKING:
    import polars as pl

    from timeseries.demand.pipeline import Answer
    from timeseries.roles import Roles
    from timeseries.tables import History

HORIZON = 28
LEAST_SHOWN = 90  # moments of history in a fan, and at least three horizons
PROMOTION = ("promo", "deal", "feat", "discount", "campaign", "display")
# Stock plans are told for these quantiles of demand; a page picks the one its costs ask for
RATIOS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.83, 0.86, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96,
          0.97, 0.98, 0.99)  # fmt: skip


def run(
    job: Assignment, input_path: Path | None, folder: Path, told: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Forecast; raises the errors of `timeseries.errors`, with rows."""
    from timeseries import roles
    from timeseries.demand import pipeline
    from timeseries.demand.plan import Costs
    from timeseries.threads import set_threads

    options = job.options
    threads = set_threads(job.threads)
    told({"step": "reading"})
    history, plan = _history(input_path, folder)
    chosen = roles.recognise(
        history.table,
        series=options.get("series"),
        time=options.get("time"),
        target=options.get("target"),
        known=options.get("known"),
    )
    answer = pipeline.run(
        history,
        horizon=int(options.get("horizon") or HORIZON),
        said=chosen,
        plan=plan,
        model=_model(job),
        costs=Costs(float(options.get("short") or 4), float(options.get("holding") or 1)),
        settings={"threads": threads, "seed": int(options.get("seed") or 0)},
        on_step=telling(told),
    )
    told({"step": "writing"})
    return _leave(answer, history.table, plan, folder)


def telling(told: Callable[[dict[str, Any]], None]) -> Callable[[str, Any], None]:
    """Return what a fit calls at each step."""

    def tell(what: str, progress: Any) -> None:
        said: dict[str, Any] = {"step": what}
        if progress is not None:
            said |= {"epoch": progress.epoch, "epochs": progress.epochs}
            said["loss"] = round(float(progress.loss), 4)
        told(said)

    return tell


def _history(path: Path | None, folder: Path) -> tuple[History, pl.DataFrame | None]:
    from timeseries import demonstration, tables
    from timeseries.tables import History

    if path is not None:
        return tables.read_history((path,)), None
    table, plan = demonstration.sales(stores=4, items=3, days=400)
    table.write_csv(folder / "history.csv")
    return History(table, {}), plan


def _model(job: Assignment) -> Any:
    name = job.options.get("model")
    if not name:
        return None
    from nlp import weights
    from timeseries.demand import model

    return model.load(weights.find(str(name), job.models_dir))


def _leave(
    answer: Answer, table: pl.DataFrame, plan: pl.DataFrame | None, folder: Path
) -> dict[str, Any]:
    """Write the outputs and return what a page shows without opening them."""
    import polars as pl

    said = answer.roles
    answer.table.write_parquet(folder / "forecast.parquet", compression="zstd")
    fan = _fan(answer, table, plan)
    fan.write_parquet(folder / "fan.parquet", compression="zstd")
    series = fan.group_by("series").agg(
        pl.col("actual").sum().round(1).alias("sold_lately"),
        pl.col("forecast").sum().round(1).alias("forecast"),
        pl.col("cold").any().alias("cold"),
    )
    series = series.sort("forecast", "series", descending=[True, False])
    series.write_parquet(folder / "series.parquet", compression="zstd")
    moments = answer.table[said.time].cast(pl.String)
    facts = answer.facts
    return {
        "roles": said.to_json(),
        "rows": len(table),
        "first": moments.min(),
        "last": moments.max(),
        "forecasts": len(answer.table),
        "plans": _plans(answer),
        "plan_scale": _plan_scale(answer),
        **{name: value for name, value in facts.items() if name != "plan"},
    }


def _fan(answer: Answer, table: pl.DataFrame, plan: pl.DataFrame | None) -> pl.DataFrame:
    """Return a row a series and moment: what was sold or what is forecast, and promotions."""
    import polars as pl

    said = answer.roles
    name = _label(said)
    promotions = [each for each in table.columns if each.lower().startswith(PROMOTION)]
    past = table.filter(pl.col(said.target).is_not_null()).select(
        name,
        _moment(table, said.time),
        pl.col(said.target).cast(pl.Float64).alias("actual"),
        _promoted(table, promotions),
    )
    ahead = answer.table.select(
        name,
        _moment(answer.table, said.time),
        *(pl.col(each).round(3) for each in ("forecast", "low_80", "high_80", "low_95", "high_95")),
        "cold",
    )
    source = plan if plan is not None else table.filter(pl.col(said.target).is_null())
    if len(source) and promotions and set(promotions) <= set(source.columns):
        planned = source.select(name, _moment(source, said.time), _promoted(source, promotions))
        ahead = ahead.join(planned.unique(["series", "time"]), on=["series", "time"], how="left")
    horizon = ahead.select(pl.col("time").n_unique()).item()
    shown = max(LEAST_SHOWN, 3 * int(horizon))
    past = past.sort("time").group_by("series", maintain_order=True).tail(shown)
    fan = pl.concat([past, ahead], how="diagonal_relaxed").sort("series", "time")
    return fan.with_columns(pl.col("promotion").fill_null(False))


def _label(said: Roles) -> pl.Expr:
    import polars as pl

    if not said.series:
        return pl.lit("all").alias("series")
    parts = [pl.col(each).cast(pl.String) for each in said.series]
    return pl.concat_str(parts, separator=" / ").alias("series")


def _moment(table: pl.DataFrame, name: str) -> pl.Series:
    """Return moments as text that sorts: ISO dates, or numbers with leading zeros."""
    import polars as pl

    from timeseries import moments

    column = table[name]
    if column.dtype.is_numeric():
        return column.cast(pl.Int64).alias("time").cast(pl.String).str.zfill(9)
    when = moments.parse(column)
    return when.dt.to_string("iso").str.replace(r"[T ]00:00:00(\.0+)?$", "").alias("time")


def _promoted(table: pl.DataFrame, names: list[str]) -> pl.Expr:
    import polars as pl

    numbers = [each for each in names if table[each].dtype.is_numeric()]
    if not numbers:
        return pl.lit(False).alias("promotion")
    return pl.any_horizontal(pl.col(each).fill_null(0) > 0 for each in numbers).alias("promotion")


def _plans(answer: Answer) -> list[dict[str, Any]]:
    """Return what ordering by each quantile would have led to, costs left out: a line a plan.

    A unit short and a unit over are counted, so any costs with about this ratio can be applied.
    """
    from timeseries.demand import pipeline
    from timeseries.demand.plan import Costs

    found = pipeline.simulate_all(answer.model, [Costs(ratio, 1 - ratio) for ratio in RATIOS])
    return [
        {"ratio": ratio, **line}
        for ratio, lines in zip(RATIOS, found, strict=bool(found))
        for line in lines
    ]


def _plan_scale(answer: Answer) -> dict[str, float]:
    """Return the demand and the number of periods that the plans' shares are shares of."""
    held = answer.model.held
    if held is None:
        return {"demand": 0.0, "periods": 0}
    return {"demand": float(held.truth.sum()), "periods": len(held.truth)}
