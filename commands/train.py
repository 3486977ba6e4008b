"""`mailroom train`: a classifier from a file of labelled texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nlp.trainer import Result

ENCODERS = ("rnn", "lstm", "gru", "birnn", "bilstm", "bigru", "transformer", "none")


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--corrections", metavar="KIND", help="Learn what people said of this kind, too.")
@click.option("--head", help="With --corrections: of which label. [queue, team or sentiment]")
@click.option("--dev", type=click.Path(path_type=Path), help="Rows to choose on; else a tenth.")
@click.option("--text", default="text", show_default=True, help="The field with the text.")
@click.option("--label", default="label", show_default=True, help="The field with the label.")
@click.option("--out-of-scope", metavar="LABEL", help="The label of rows that belong nowhere.")
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--encoder", type=click.Choice(ENCODERS), default="bilstm", show_default=True)
@click.option("--hidden-size", type=click.IntRange(4, 1024), default=128, show_default=True)
@click.option("--layers", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Else by the amount of text.")
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    help="Word vectors to start from: GloVe or fastText text, or .npy beside .words.txt.",
)
@click.option(
    "--teacher",
    type=click.Choice(["auto", "tuned", "frozen", "none"]),
    default="auto",
    show_default=True,
    help="A sentence encoder that teaches, where the extra 'train' is installed.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 1),
    default=0.95,
    show_default=True,
    help="What is not marked for review should be right so often.",
)
@click.option(
    "--task", type=click.Choice(["demand", "fraud"]), help="Learn from a history, not from texts."
)
@click.option("--horizon", type=click.IntRange(1), default=28, help="Demand: steps ahead.")
@click.option("--gap", type=click.IntRange(0), default=0, help="Demand: steps left out before.")
@click.option("--delay", type=click.IntRange(0), default=7, help="Fraud: days to a known label.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(name: str, file: Path | None, as_json: bool, **options: Any) -> None:
    """Train a model NAME on FILE: .jsonl, .jsonl.gz, .csv or .parquet with texts and labels.

    With --corrections it learns from what people said of documents on pages, over the API and by
    moving mails to folders; FILE is then no longer needed.

    The result lands in the data folder as the name's next version, with a card and a report.
    Training runs in a process of its own, with a limit on its memory.
    """
    from nlp.errors import (
        NameTaken,
        NotEnoughData,
        ReadingError,
        TableError,
        VectorsError,
    )
    from nlp.training_process import run
    from settings import Settings
    from workers.addresses import models_folder

    settings = Settings()
    if file is None and (options["task"] or not options["corrections"]):
        raise click.UsageError("Missing argument 'FILE'.")
    if options["task"] and file is not None:
        _train_series(name, file, as_json, options)
        return
    try:
        with TemporaryDirectory() as folder, _Said() as said:
            source = _source(file, Path(folder), said, options)
            job = _job(name, source, models_folder(settings), settings.device, options)
            result = run(
                job,
                memory_bytes=settings.train_memory_bytes,
                threads=settings.threads,
                said=said,
            )
    except (TableError, NotEnoughData, NameTaken, VectorsError) as error:
        _fail(error, as_json, status=2)
    except ReadingError as error:
        _fail(error, as_json, status=1)
    else:
        _answer(name, result, as_json)


def _source(file: Path | None, folder: Path, said: _Said, options: dict[str, Any]) -> Path:
    """Return the file to learn from: FILE, or one made of it and of what people said."""
    if not options["corrections"]:
        assert file is not None  # noqa: S101 - asked for above
        return file
    from commands.corrections import merged

    source, words = merged(
        file,
        folder,
        options["corrections"],
        head=options["head"],
        text=options["text"],
        label=options["label"],
    )
    said({"warning": words})
    return source


def _train_series(name: str, file: Path, as_json: bool, options: dict[str, Any]) -> None:
    """Fit demand or fraud on a file, or on a folder of tables, and say what came of it."""
    from commands.demand import Said
    from nlp import weights
    from nlp.errors import NameTaken
    from sequence.device import set_threads
    from sequence.errors import SequenceError
    from settings import Settings
    from timeseries.errors import SeriesError
    from timeseries.training import train_series
    from workers.addresses import models_folder

    settings = Settings()
    try:
        if name in ("demand", "fraud"):
            raise NameTaken(f"{name!r} fits on any history: choose another name")
        version = weights.next_version(name, models_folder(settings))
        with Said() as progress:
            found = train_series(
                options["task"],
                name,
                version,
                (file,),
                models_folder(settings) / name / version,
                horizon=options["horizon"],
                gap=options["gap"],
                delay=options["delay"],
                encoder="gru" if options["encoder"] == "bilstm" else options["encoder"],
                seed=options["seed"],
                threads=set_threads(settings.threads),
                on_step=progress,
            )
    except (SeriesError, NameTaken, SequenceError, OSError) as error:
        _fail(error, as_json, status=2)
    else:
        click.echo(
            json.dumps(found) if as_json else f"{name}, version {version}: {found['folder']}"
        )


def _job(name: str, file: Path, models_dir: Path, device: str, options: dict[str, Any]) -> Any:
    from nlp.recipe import Recipe
    from nlp.trainer import Job

    return Job(
        name=name,
        file=file,
        models_dir=models_dir,
        dev=options["dev"],
        text=options["text"],
        label=options["label"],
        vectors=options["vectors"],
        device=device,
        recipe=Recipe(
            encoder=options["encoder"],
            hidden_size=options["hidden_size"],
            num_layers=options["layers"],
            epochs=options["epochs"],
            teacher=options["teacher"],
            out_of_scope=options["out_of_scope"],
            precision=options["precision"],
            seed=options["seed"],
        ),
    )


def _fail(error: Exception, as_json: bool, *, status: int) -> None:
    if as_json:
        code = getattr(error, "code", "training_failed")
        click.echo(json.dumps({"error": {"code": code, "message": str(error)}}))
    else:
        click.echo(f"mailroom train: {error}", err=True)
    sys.exit(status)


def _answer(name: str, result: Result, as_json: bool) -> None:
    if as_json:
        values = {
            "model": name,
            "version": result.version,
            "folder": str(result.folder),
            "taught": result.way,
            "warnings": list(result.warnings),
            **result.figures,
        }
        click.echo(json.dumps(values))
        return
    click.echo(f"{name}, version {result.version}: {result.folder}")
    click.echo(f"Taught: {result.way}.")
    for measure, value in result.figures.items():
        click.echo(f"  {measure:<28}{value:.4f}")
    click.echo(f"What it gets wrong: {result.folder / 'report.html'}")


class _Said:
    """Progress of a training on standard error: one bar a stage."""

    def __enter__(self) -> _Said:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.tasks: dict[str, Any] = {}
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def __call__(self, values: dict[str, Any]) -> None:
        if "warning" in values:
            self.bars.console.print(f"Note: {values['warning']}", markup=False)
        elif "way" in values:
            self.bars.console.print(f"Taught: {values['way']}.", markup=False)
        elif "stage" in values:
            self._show(values["stage"], values["done"], values["of"], values["stage"])
        elif "epoch" in values:
            steps = values["steps"]
            done = (values["epoch"] - 1) * steps + values["step"]
            best = f", dev {values['best']:.4f}" if values["best"] is not None else ""
            text = f"epoch {values['epoch']}/{values['epochs']}, loss {values['loss']:.3f}{best}"
            self._show("training", done, values["epochs"] * steps, text)

    def _show(self, name: str, done: int, of: int, text: str) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(text, total=of)
        self.bars.update(self.tasks[name], completed=done, total=of, description=text)
