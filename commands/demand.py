"""`mailroom demand`: forecasts of a file of sales."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sequence.training import Progress
    from timeseries.demand.pipeline import Answer


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--horizon", default=28, show_default=True, type=click.IntRange(1, 1000))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--plan", type=click.Path(path_type=Path), help="Rows ahead: promotions, prices.")
@click.option("--model", help="A model trained with `mailroom train --task demand`.")
@click.option("--series", help="Columns that name a series, with commas.")
@click.option("--time", help="The column with the date.")
@click.option("--target", help="The column with what was sold.")
@click.option("--known", help="Columns known ahead, with commas.")
@click.option("--short", default=4.0, show_default=True, help="What a missing unit costs.")
@click.option("--holding", default=1.0, show_default=True, help="What a unit left over costs.")
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(files: tuple[Path, ...], output: Path | None, as_json: bool, **said: Any) -> None:
    """Forecast what the series in FILES (or a folder of tables) will sell.

    Rows without sales after the history are the plan ahead. Every method runs in the same
    backtest; its table and a stock plan are shown. Exit status 2 when a file cannot be used.
    """
    from sequence.errors import SequenceError
    from timeseries.errors import SeriesError

    try:
        answer = _run(files, said)
    except (SeriesError, SequenceError, OSError) as error:
        if as_json:
            code = getattr(error, "code", "unreadable_table")
            click.echo(json.dumps({"error": {"code": code, "message": str(error)}}))
        else:
            click.echo(f"mailroom demand: {error}", err=True)
        sys.exit(2)
    if output is not None:
        _write(answer, output)
    if as_json:
        facts = answer.facts | {"rows": len(answer.table), "output": str(output or "")}
        click.echo(json.dumps(facts, default=str))
        return
    _show(answer, output)


def _run(files: tuple[Path, ...], said: dict[str, Any]) -> Answer:
    from sequence.device import set_threads
    from settings import Settings
    from timeseries import roles, tables
    from timeseries.demand import model, pipeline
    from timeseries.demand.plan import Costs

    settings = Settings()
    threads = set_threads(settings.threads)
    history = tables.read_history(files)
    chosen = roles.recognise(
        history.table,
        series=split_columns(said["series"]),
        time=said["time"],
        target=said["target"],
        known=split_columns(said["known"]),
        companions=history.companions,
    )
    with Said() as progress:
        return pipeline.run(
            history,
            horizon=said["horizon"],
            said=chosen,
            plan=tables.read_table(said["plan"]) if said["plan"] else None,
            model=model.load(_folder(said["model"], settings)) if said["model"] else None,
            costs=Costs(said["short"], said["holding"]),
            settings={"threads": threads, "seed": said["seed"]},
            on_step=progress,
        )


class Said:
    """Progress of a fit on standard error: one line that changes."""

    def __enter__(self) -> Said:
        from rich.console import Console

        self.status = Console(stderr=True).status("Reading")
        self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status.stop()

    def __call__(self, what: str, progress: Progress | None) -> None:
        text = what.capitalize()
        if progress is not None:
            text += f": epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}"
        self.status.update(f"{text} ...")


def _folder(name: str, settings: Any) -> Path:
    from nlp import weights
    from workers.addresses import models_folder

    return weights.find(name, models_folder(settings))


def split_columns(text: str | None) -> tuple[str, ...] | None:
    """Return the columns that an option names with commas between; None when it was not given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _write(answer: Answer, output: Path) -> None:
    if output.suffix == ".csv":
        answer.table.write_csv(output)
    else:
        answer.table.write_parquet(output, compression="zstd")


def _show(answer: Answer, output: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Backtest: every method asked the same", title_justify="left")
    columns = ("method", "mape", "rmspe", "wape", "rmsse", "weight", "rows")
    for name in columns:
        table.add_column(name, justify="left" if name == "method" else "right")
    for line in answer.facts["backtest"]:
        cells = (line.get(name, "") for name in columns)
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells))
    console.print(table)
    plan = Table(title="Stock planned by a quantile, in the backtest", title_justify="left")
    for name in ("plan", "stockouts", "lost", "held", "cost"):
        plan.add_column(name, justify="left" if name == "plan" else "right")
    for line in answer.facts.get("plan", []):
        plan.add_row(
            str(line["plan"]),
            f"{line['stockout_share']:.1%}",
            f"{line['lost_share']:.1%}",
            f"{line['held_per_period']:.1f}",
            f"{line['cost']:,.0f}",
        )
    console.print(plan)
    for notice in answer.facts["notices"]:
        console.print(f"Note: {notice}", markup=False)
    console.print(f"{len(answer.table):,} forecasts" + (f" in {output}" if output else ""))
    if output is None:
        console.print(answer.table.head(10))
