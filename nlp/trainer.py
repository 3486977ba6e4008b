"""From a file of labelled texts to a weights folder: what `mailroom train` does.

Everything that can be wrong with the data is said before training. Runs in whatever process it is
called in; `nlp.training_process` gives it one of its own with a limit on memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nlp import cards, evaluation, report
from nlp.beginning import shipped_beginning
from nlp.calibration import OUT_OF_SCOPE
from nlp.distillation import Lesson, is_taught, teach
from nlp.errors import NotEnoughData, TableError
from nlp.examples import Examples, check_enough, label_names, split
from nlp.features import FeatureSettings
from nlp.kept_examples import AGREEMENT, keep
from nlp.language import language_of
from nlp.recipe import Recipe
from nlp.tables import Table, read_table
from nlp.training import Trained, train_classifier
from nlp.vectors import WordVectors, read_vectors, shipped_vectors
from nlp.weights import next_version
from sequence.device import choose_device, set_threads
from sequence.training import Progress

Said = Callable[[dict[str, Any]], None]
TOLD_SECONDS = 0.2
ROUGH = 50  # rows of dev, below which a figure is a few points off by chance
SHOWN = ("epoch", "loss", "dev_accuracy", "dev_loss")  # of an epoch, while training


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, from which file, and where the result goes."""

    name: str
    file: Path
    models_dir: Path
    dev: Path | None = None
    text: str = "text"
    label: str = "label"
    vectors: Path | None = None
    device: str = "auto"
    threads: int | None = None  # 0: one a core; None: as they are
    least_version: int = 1  # where versions are also kept elsewhere
    examples: bool = True  # whether some of the file's texts go with the model, to be shown
    recipe: Recipe = field(default_factory=Recipe)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for another process."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Job:
        """Return the job that `to_json` wrote."""
        known = dict(values)
        for name in ("file", "models_dir", "dev", "vectors"):
            known[name] = Path(known[name]) if known[name] is not None else None
        recipe = dict(known["recipe"])
        if recipe["features"] is not None:
            recipe["features"] = FeatureSettings(**recipe["features"])
        recipe["poolings"] = tuple(recipe["poolings"])
        known["recipe"] = Recipe(**recipe)
        return cls(**known)


@dataclass(frozen=True)
class Result:
    """A finished training."""

    folder: Path
    version: str
    figures: dict[str, Any]  # on dev
    warnings: tuple[str, ...]
    way: str  # how it was taught


def train_file(job: Job, *, said: Said | None = None) -> Result:
    """Train a classifier as the job says and save it as the name's next version.

    `said` is told what happens, as plain values. Raises TableError, NotEnoughData, NameTaken,
    BadName, VectorsError before anything is trained.
    """
    tell: Said = said or (lambda _: None)
    if job.threads is not None:
        set_threads(job.threads)
    version = next_version(job.name, job.models_dir, least=job.least_version)
    train_table, dev_table = _tables(job)
    warnings = check_enough([v for v in train_table.labels if v != job.recipe.out_of_scope])
    warnings += _scope_warnings(train_table, dev_table, job.recipe.out_of_scope)
    warnings += _teacher_warnings(train_table, job.recipe.teacher)
    if len(dev_table) < ROUGH:
        warnings.append(f"only {len(dev_table)} rows to measure on: the figures will be rough")
    for warning in warnings:
        tell({"warning": warning})
    vectors = _vectors(job, train_table)
    head = job.label
    examples = _examples(train_table, head, job.recipe.out_of_scope)
    dev = _examples(dev_table, head, job.recipe.out_of_scope)
    heads = {head: tuple(sorted({*label_names(examples)[head]}))}
    lesson = teach(
        examples,
        dev,
        heads,
        unlabelled=_unlabelled(train_table, dev_table),
        teacher=job.recipe.teacher,
        vectors=vectors,
        seed=job.recipe.seed,
        said=lambda what, done, of: tell({"stage": what, "done": done, "of": of}),
    )
    tell({"way": lesson.way})
    folder = job.models_dir / job.name / version
    checkpoint = folder.parent / f".{version}.checkpoint.safetensors"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        trained = train_classifier(
            lesson.examples,
            dev,
            job.recipe,
            vectors=vectors,
            beginning=None if job.vectors else shipped_beginning(),
            heads=heads,
            device=choose_device(job.device),
            checkpoint=checkpoint,
            on_step=_Steps(tell),
        )
    finally:
        checkpoint.unlink(missing_ok=True)
    figures = _save(job, version, trained, train_table, dev_table, lesson)
    return Result(folder, version, figures, tuple(warnings), lesson.way)


class _Steps:
    """Tells of a training's steps, some a second: where it is, its curve, the time left."""

    def __init__(self, tell: Said) -> None:
        self._tell = tell
        self._began = time.monotonic()
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.step < progress.steps and now - self._told < TOLD_SECONDS:
            return
        self._told = now
        done = (progress.epoch - 1 + progress.step / progress.steps) / progress.epochs
        self._tell(
            {
                "epoch": progress.epoch,
                "epochs": progress.epochs,
                "step": progress.step,
                "steps": progress.steps,
                "loss": round(progress.loss, 4),
                "best": progress.best,
                "curve": [
                    {name: round(value, 4) for name, value in entry.items() if name in SHOWN}
                    for entry in progress.epochs_done
                ],
                # at most: dev may end it before
                "seconds_left": round((now - self._began) * (1 - done) / done, 1),
            }
        )


def _tables(job: Job) -> tuple[Table, Table]:
    """Return training and dev rows; without a dev file a seeded, stratified tenth."""
    table = read_table(job.file, text=job.text, label=job.label)
    if job.dev is not None:
        dev = read_table(job.dev, text=job.text, label=job.label)
        known = set(table.labels)
        if not known & set(dev.labels):
            raise TableError(f"{job.dev.name} has none of the labels of {job.file.name}")
        return table, dev
    if not len(table):
        raise NotEnoughData(f"{job.file.name}: no row has both {job.text!r} and {job.label!r}")
    train_rows, dev_rows = split(table.labels, seed=job.recipe.seed)
    if not dev_rows:
        check_enough(table.labels)
        raise NotEnoughData(f"{len(table)} rows are too few to keep a tenth aside")
    return table.select(train_rows), table.select(dev_rows)


def _scope_warnings(train: Table, dev: Table, label: str | None) -> list[str]:
    if label is None:
        return []
    found = train.labels.count(label), dev.labels.count(label)
    if not found[0]:
        raise TableError(f"no row for training has the out-of-scope label {label!r}")
    if found[1] < 5:
        return [f"dev has {found[1]} rows labelled {label!r}: too few to set a threshold"]
    return []


def _teacher_warnings(table: Table, teacher: str) -> list[str]:
    """Say so where rows without a label are of no use."""
    if not table.unlabelled or is_taught(teacher):
        return []
    why = "a teacher" if teacher == "none" else "the extra 'train'"
    rows = f"{len(table.unlabelled):,} rows have no label"
    return [f"{rows}: without {why} nothing is learnt from them"]


def _unlabelled(train: Table, dev: Table) -> list[str]:
    """Return the texts that have no label anywhere; what dev is asked is not learnt."""
    labelled = {*train.texts, *dev.texts}
    return [text for text in train.unlabelled if text not in labelled]


def _examples(table: Table, head: str, out_of_scope: str | None) -> Examples:
    labels: list[str | None] = [
        OUT_OF_SCOPE if value == out_of_scope else value for value in table.labels
    ]
    return Examples(table.texts, {head: labels})


def _vectors(job: Job, table: Table) -> WordVectors | None:
    if job.vectors is None:
        return shipped_vectors()
    from nlp.tokens import normal, words

    wanted = {normal(word) for text in table.texts for word in words(text)}
    return read_vectors(job.vectors, words=wanted)


def languages(texts: list[str]) -> list[str]:
    """Return the languages that a tenth or more of the texts (a sample of 400) are in."""
    sample = texts[:: max(1, len(texts) // 400)][:400]
    found = [language for language in map(language_of, sample) if language]
    common = {language for language in found if found.count(language) >= 0.1 * len(found)}
    return sorted(common) or ["en"]


def _save(
    job: Job, version: str, trained: Trained, table: Table, dev: Table, lesson: Lesson
) -> dict[str, Any]:
    """Write the weights folder with its card and report; return dev's figures."""
    classifier = trained.classifier
    head = job.label
    answer = classifier.calibrated(head, trained.scores)
    truth = evaluation.truth_of(
        [OUT_OF_SCOPE if v == job.recipe.out_of_scope else v for v in dev.labels], classifier, head
    )
    figures = evaluation.figures_of(answer, truth, classifier.calibration[head].threshold)
    kept = keep(classifier, head, table, dev, seed=job.recipe.seed) if job.examples else None
    if kept is not None:
        figures[AGREEMENT] = kept.agreement
    classifier.config = {
        "name": job.name,
        "version": version,
        "kind": None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "languages": languages(table.texts),
        "data": {
            "file": job.file.name,
            "rows": len(table),
            "dev_rows": len(dev),
            "unlabelled": lesson.unlabelled,
            "left_out": table.left_out - lesson.unlabelled,
        },
        "taught": lesson.way,
        "vectors": trained.vectors or "none",
        "recipe": job.recipe.to_json(),
        "history": trained.history.to_json(),
        "scores": {head: figures},
        "examples": kept.rows if kept else 0,
        "licence": "of its training data: the owner of the file decides",
    }
    card = cards.own(classifier.config, dict(classifier.heads))
    # a model that carries no texts does not quote them in its report either
    shown = dev.texts if job.examples else [f"row {place + 1}" for place in dev.places]
    page = report.render(classifier.config, head, answer, truth, shown, trained.history.epochs)
    folder = job.models_dir / job.name / version
    classifier.save(folder, card=card, report=page, beside=kept.files if kept else None)
    return figures
