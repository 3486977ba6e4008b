"""`mailroom train`: a classifier from a file of labelled texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nlp.trainer import Result
    from workers.sorted_mail import Sorted

ENCODERS = ("rnn", "lstm", "gru", "birnn", "bilstm", "bigru", "transformer", "none")


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--corrections", metavar="KIND", help="Learn what people said of this kind, too.")
@click.option("--head", help="With --corrections: of which label. [queue, team or sentiment]")
@click.option("--maildir", type=click.Path(path_type=Path), help="Learn from folders of mail.")
@click.option("--mbox", type=click.Path(path_type=Path), help="The same of mbox files.")
@click.option("--imap", metavar="ACCOUNT", help="The same of an account in mailboxes.toml.")
@click.option(
    "--unsorted", is_flag=True, help="With mail: learn from what still lies unsorted, too."
)
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
@click.option("--no-examples", is_flag=True, help="Keep none of the texts with the model.")
@click.option("--queue", is_flag=True, help="Let a worker train it; /training shows how far it is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(name: str, file: Path | None, as_json: bool, **options: Any) -> None:
    """Train a model NAME on FILE: .jsonl, .jsonl.gz, .csv or .parquet with texts and labels.

    With --corrections it learns from what people said of documents on pages, over the API and by
    moving mails to folders; FILE is then no longer needed. With --maildir, --mbox or --imap it
    learns from mail that people sorted: folders are the labels, the latest conversations are held
    back and measured on. With --unsorted, mail that lies where it arrived counts as rows without
    a label.

    Rows with a text and no label teach, too, where the extra `train` is installed: teachers that
    learned from the labelled rows say what they think of them.

    The result lands in the data folder as the name's next version, with a card and a report.
    Training runs in a process of its own, with a limit on its memory.
    """
    from nlp.errors import (
        BadName,
        NameTaken,
        NotEnoughData,
        ReadingError,
        TableError,
        VectorsError,
    )
    from nlp.training_process import run
    from settings import Settings
    from workers import trained
    from workers.addresses import models_folder

    settings = Settings()
    mail = [each for each in ("maildir", "mbox", "imap") if options[each]]
    if len(mail) > 1 or (mail and (file or options["corrections"] or options["dev"])):
        raise click.UsageError(
            "Mail is learned from one place, without FILE, --dev, --corrections."
        )
    if options["unsorted"] and not mail:
        raise click.UsageError("--unsorted goes with --maildir, --mbox or --imap.")
    if file is None and (options["task"] or not (options["corrections"] or mail)):
        raise click.UsageError("Missing argument 'FILE'.")
    if options["task"] and file is not None:
        _train_series(name, file, as_json, options)
        return
    if options["queue"]:
        _hand_in(name, file, as_json, options)
        return
    try:
        with TemporaryDirectory() as folder, _Said() as said:
            source, held_back = _source(file, Path(folder), said, options)
            job = _job(name, source, models_folder(settings), settings.device, options)
            result = run(
                replace(job, least_version=trained.least_version(settings, name)),
                memory_bytes=settings.train_memory_bytes,
                threads=settings.threads,
                said=said,
            )
            measured = _measured(result, held_back, options) if held_back else {}
    except (TableError, NotEnoughData, NameTaken, BadName, VectorsError) as error:
        _fail(error, as_json, status=2)
    except ReadingError as error:
        _fail(error, as_json, status=1)
    else:
        trained.keep_if_set_up(settings, name, result.folder)
        _answer(name, result, measured, as_json)


def _source(
    file: Path | None, folder: Path, said: _Said, options: dict[str, Any]
) -> tuple[Path, Path | None]:
    """Return the file to learn from, and what is held back of mail.

    That is FILE, or a file made of it and of what people said, or of the mail that they sorted.
    """
    if options["maildir"] or options["mbox"] or options["imap"]:
        return _mail(folder, said, options)
    if not options["corrections"]:
        assert file is not None  # noqa: S101 - asked for above
        return file, None
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
    return source, None


def _mail(folder: Path, said: _Said, options: dict[str, Any]) -> tuple[Path, Path | None]:
    """Write mail that people sorted as files of examples; return what to learn from and held back.

    What is chosen on becomes the option `dev`. Raises NotEnoughData before anything is trained.
    """
    from nlp.distillation import is_taught
    from nlp.errors import NotEnoughData
    from workers import sorted_mail

    unsorted = options["unsorted"] and is_taught(options["teacher"])
    if options["unsorted"] and not unsorted:
        said({"warning": "--unsorted is of no use without a teacher: it needs the extra 'train'."})
    found = sorted_mail.learnable(_lying(options), unsorted=unsorted)
    if len(found.counts) < 2 or not found.held_back or not found.chosen_on:
        raise NotEnoughData(
            f"two folders with at least {sorted_mail.LEAST} mails each are needed; found: "
            f"{found.words()}"
        )
    said({"warning": found.words()})
    files = {}
    parts = {
        "train": [*found.train, *found.unsorted],
        "chosen_on": found.chosen_on,
        "held_back": found.held_back,
    }
    for part, examples in parts.items():
        path = folder / f"{part.replace('_', '-')}.jsonl"
        names = {"text": options["text"], "label": options["label"]}
        files[part] = sorted_mail.write(examples, path, **names)
    options["dev"] = files["chosen_on"]
    return files["train"], files["held_back"]


def _lying(options: dict[str, Any]) -> Iterator[Sorted]:
    """Yield every mail of the place that the options name."""
    from nlp.errors import BadFile
    from workers import sorted_mail

    path = options["maildir"] or options["mbox"]
    if path is not None and not path.exists():
        raise BadFile(f"{path}: there is no such file or folder")
    if options["maildir"]:
        yield from sorted_mail.maildir(path)
    elif options["mbox"]:
        yield from sorted_mail.mbox(path)
    else:
        from service.mailboxes import running
        from service.mailboxes.errors import MailboxError
        from settings import Settings
        from workers.addresses import open_ledger

        settings = Settings()
        ledger = open_ledger(settings)
        try:
            ledger.migrate()
            for name, raw in running.lying(settings, options["imap"], ledger):
                yield sorted_mail.Sorted(name, raw)
        except MailboxError as error:
            raise click.ClickException(str(error)) from error
        finally:
            ledger.close()


def _measured(result: Result, held_back: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of mail that training never saw, and the worst confusions there."""
    from nlp.evaluation import evaluate_file, worst_confusions

    names = {"text": options["text"], "label": options["label"]}
    found = evaluate_file(str(result.folder), held_back, **names)
    wanted = ("rows", "accuracy", "coverage_at_95_precision", "coverage_at_98_precision")
    figures = {f"held_back_{name}": found.figures[name] for name in wanted}
    return figures | {"worst_confusions": worst_confusions(found)}


def _hand_in(name: str, file: Path | None, as_json: bool, options: dict[str, Any]) -> None:
    """Owe the training as a job, as the page does, and say under which id."""
    from ledger.errors import LedgerError
    from nlp.errors import BadName, NameTaken
    from settings import Settings
    from workers import orders

    settings = Settings()
    if file is None or options["dev"] or options["vectors"] or options["corrections"]:
        raise click.UsageError("--queue takes one FILE, without --dev, --vectors or --corrections.")
    try:
        job = orders.hand_in(settings, name, file, options)
    except (NameTaken, BadName, LedgerError, OSError) as error:
        _fail(error, as_json, status=2)
    else:
        click.echo(json.dumps({"job": job}) if as_json else f"{name}: job {job} waits for a worker")


def _train_series(name: str, file: Path, as_json: bool, options: dict[str, Any]) -> None:
    """Fit demand or fraud on a file, or on a folder of tables, and say what came of it."""
    from commands.demand import Said
    from nlp import weights
    from nlp.errors import BadName, NameTaken
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
    except (SeriesError, NameTaken, BadName, SequenceError, OSError) as error:
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
        examples=not options["no_examples"],
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


def _answer(name: str, result: Result, measured: dict[str, Any], as_json: bool) -> None:
    if as_json:
        values = {
            "model": name,
            "version": result.version,
            "folder": str(result.folder),
            "taught": result.way,
            "warnings": list(result.warnings),
            **result.figures,
            **measured,
        }
        click.echo(json.dumps(values))
        return
    click.echo(f"{name}, version {result.version}: {result.folder}")
    click.echo(f"Taught: {result.way}.")
    for measure, value in result.figures.items():
        click.echo(f"  {measure:<28}{value:.4f}")
    confused = measured.pop("worst_confusions", [])
    if measured:
        click.echo("On the latest mail, held back until now:")
    for measure, value in measured.items():
        name, shown = measure.removeprefix("held_back_"), value
        click.echo(
            f"  {name:<28}{shown:.4f}" if isinstance(value, float) else f"  {name:<28}{shown}"
        )
    for each in confused:
        click.echo(f"  {each['times']} of {each['is']} taken for {each['taken_for']}")
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
