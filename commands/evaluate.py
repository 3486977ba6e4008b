"""`mailroom evaluate`: a model measured on labelled texts, or on what followed a history."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head", help="Which question of the model; needed when it has several.")
@click.option("--text", default="text", show_default=True, help="The field with the text.")
@click.option("--label", default="label", show_default=True, help="The field with the label.")
@click.option(
    "--history",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Sales or transactions before FILE: a file, or a folder of tables that belong together.",
)
@click.option("--series", help="Series: the columns that name one, with commas.")
@click.option("--time", help="Series: the column with the time.")
@click.option("--target", help="Series: the column with what is forecast, or the fraud label.")
@click.option("--known", help="Series: columns known ahead, with commas.")
@click.option("--horizon", type=click.IntRange(1), help="Series: steps ahead; else the whole file.")
@click.option("--gap", type=click.IntRange(0), default=0, help="Series: steps left out before.")
@click.option("--rounds", type=click.IntRange(1), default=1, help="Series: how many origins.")
@click.option("--until", metavar="DATE", help="Series: rows after this are not scored.")
@click.option("--delay", type=click.IntRange(0), help="Fraud: days until a label is known.")
@click.option("--seed", type=int, default=0, help="Series: of the fit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    model: str,
    file: Path,
    head: str | None,
    text: str,
    label: str,
    history: tuple[Path, ...],
    as_json: bool,
    **series: Any,
) -> None:
    """Measure MODEL (a name, NAME@VERSION or a folder) on FILE.

    With --history, MODEL is a trained model of series, or `demand` or `fraud` to fit on the
    history first; FILE is what followed. Exit status 0 when it was scored, 2 when the file or
    the model cannot be used.
    """
    if history:
        _evaluate_series(model, file, history, as_json, series)
        return
    from ledger.errors import LedgerError
    from nlp.errors import ReadingError
    from nlp.evaluation import evaluate_file
    from sequence.device import set_threads
    from sequence.errors import SequenceError
    from settings import Settings
    from workers.addresses import models_folder
    from workers.logs import configure
    from workers.trained import at_work

    settings = Settings()
    configure(settings)  # a version that is fetched is said on standard error
    set_threads(settings.threads)
    try:
        found = evaluate_file(
            at_work(settings, model),
            file,
            models_dir=models_folder(settings),
            head=head,
            text=text,
            label=label,
            device=settings.device,
        )
    except (ReadingError, SequenceError, LedgerError) as error:
        if as_json:
            click.echo(json.dumps({"error": {"code": error.code, "message": str(error)}}))
        else:
            click.echo(f"mailroom evaluate: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(found.figures))
        return
    for name, value in found.figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        click.echo(f"{name:<28}{shown}")


def _evaluate_series(
    model: str, file: Path, history: tuple[Path, ...], as_json: bool, said: dict[str, Any]
) -> None:
    """Score what followed a history, and print it as one flat object or a list."""
    from commands.demand import Said, split_columns
    from nlp import weights
    from nlp.errors import ReadingError
    from sequence.device import set_threads
    from sequence.errors import SequenceError
    from settings import Settings
    from timeseries.errors import SeriesError
    from timeseries.evaluation import evaluate_series, figures
    from timeseries.request import Request
    from workers.addresses import models_folder

    settings = Settings()
    threads = set_threads(settings.threads)
    said = said | {name: split_columns(said[name]) for name in ("series", "known")}
    try:
        fitted = model in ("demand", "fraud")
        folder = None if fitted else weights.find(model, models_folder(settings))
        with Said() as progress:
            found = evaluate_series(
                model,
                file,
                Request(history=history, threads=threads, **said),
                folder=folder,
                on_step=progress,
            )
    except (SeriesError, ReadingError, SequenceError, OSError) as error:
        code = getattr(error, "code", "unreadable_table")
        if as_json:
            click.echo(json.dumps({"error": {"code": code, "message": str(error)}}))
        else:
            click.echo(f"mailroom evaluate: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(figures(found)))
        return
    for name, value in figures(found).items():
        click.echo(f"{name:<32}{f'{value:.4f}' if isinstance(value, float) else value}")
