"""`mailroom fraud`: scores of a file of card transactions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from timeseries.fraud.pipeline import Answer


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--model", help="A model trained with `mailroom train --task fraud`.")
@click.option("--fit", is_flag=True, help="Learn from the file's own labels first.")
@click.option("--budget", type=click.IntRange(1), help="Cards that can be looked at in a day.")
@click.option("--delay", default=7, show_default=True, help="Days until a label is known (--fit).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(file: Path, output: Path | None, as_json: bool, **said: Any) -> None:
    """Score every transaction in FILE from what was known at its moment, with reasons.

    Exit status 2 when the file cannot be used.
    """
    from sequence.errors import SequenceError
    from timeseries.errors import SeriesError

    try:
        answer = _run(file, said)
    except (SeriesError, SequenceError, OSError) as error:
        if as_json:
            code = getattr(error, "code", "unreadable_table")
            click.echo(json.dumps({"error": {"code": code, "message": str(error)}}))
        else:
            click.echo(f"mailroom fraud: {error}", err=True)
        sys.exit(2)
    if output is not None and output.suffix == ".csv":
        answer.table.write_csv(output)
    elif output is not None:
        answer.table.write_parquet(output, compression="zstd")
    if as_json:
        click.echo(json.dumps(answer.facts | {"output": str(output or "")}, default=str))
        return
    _show(answer, output)


def _run(file: Path, said: dict[str, Any]) -> Answer:
    from commands.demand import Said
    from nlp import weights
    from sequence.device import set_threads
    from settings import Settings
    from timeseries import tables
    from timeseries.fraud import detector, pipeline
    from timeseries.fraud.fitting import FraudSettings
    from workers.addresses import models_folder

    settings = Settings()
    threads = set_threads(settings.threads)
    model = None
    if said["model"]:
        model = detector.load(weights.find(said["model"], models_folder(settings)))
    fit = FraudSettings(delay=said["delay"], threads=threads) if said["fit"] else None
    with Said() as progress:
        return pipeline.run(
            tables.read_table(file),
            detector=model,
            settings=fit,
            budget=said["budget"],
            on_step=progress,
        )


def _show(answer: Answer, output: Path | None) -> None:
    facts = answer.facts
    click.echo(
        f"{facts['transactions']:,} transactions, {facts['alerts']:,} alerts "
        f"(chance of fraud from {facts['threshold']:.3f})" + (f", in {output}" if output else "")
    )
    alerts = answer.table.filter(answer.table["alert"]).sort("score", descending=True).head(10)
    columns = answer.columns
    for row in alerts.iter_rows(named=True):
        click.echo(
            f"  {row['score']:.3f}  {row[columns.time]}  card {row[columns.card]}  "
            f"{row[columns.amount]:.2f}  {row['reason']}"
        )
