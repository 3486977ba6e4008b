"""Training, measuring and saving a shipped model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from nlp import cards, evaluation, kinds
from nlp.beginning import shipped_beginning
from nlp.distillation import Budget, teach
from nlp.examples import Examples, label_names
from nlp.kind import Kind
from nlp.recipe import Recipe
from nlp.shipping._sources import joined
from nlp.training import Trained, train_classifier
from nlp.vectors import read_vectors
from nlp.weights import SHIPPED
from sequence.training import Progress


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What one shipped model is made of, besides its data."""

    name: str
    kind: str
    version: str
    recipe: Recipe
    licence: str  # of the data, in plain words
    about: str  # Markdown: what it is for, what it is bad at
    heads: Mapping[str, tuple[str, ...]] | None = None  # None: as the data has them
    budget: Budget | None = None
    taught: tuple[str, ...] | None = None  # heads that have teachers; None: all
    begins: bool = False  # whether it begins from weights/beginning


def ship(
    shipment: Shipment,
    train: Mapping[str, Examples],
    dev: Mapping[str, Examples],
    vectors: Path,
    told: Mapping[str, Any],
) -> Path:
    """Train on all sources, choose on all devs, and write the weights folder with its card.

    `told` are options of the recipe that whoever makes the weights wants otherwise, and perhaps
    the folder of a `short_encoder` that teaches, too.
    """
    examples, chosen_on = joined(train.values()), joined(dev.values())
    heads = dict(shipment.heads or label_names(examples))
    found = read_vectors(vectors)
    short_encoder = told.get("short_encoder")
    recipe = replace(shipment.recipe, **{k: v for k, v in told.items() if k != "short_encoder"})
    lesson = teach(
        examples,
        chosen_on,
        heads,
        only=shipment.taught,
        teacher=recipe.teacher,
        vectors=found,
        budget=shipment.budget,
        short_encoder=short_encoder,
        cache=user_cache_path("mailroom") / "teachers",  # hours of work: a killed run goes on
        seed=recipe.seed,
        said=lambda what, done, of: _say(f"{what} {done:,} of {of:,}"),
    )
    trained = train_classifier(
        lesson.examples,
        chosen_on,
        recipe,
        vectors=found,
        beginning=shipped_beginning() if shipment.begins else None,
        heads=heads,
        on_step=say_progress,
    )
    classifier = trained.classifier
    scores = _scores(trained, chosen_on)
    known = shipment.kind in kinds.names()
    kind = kinds.get(shipment.kind) if known else Kind(heads, (), "text_classifier", shipment.name)
    classifier.config = {
        "name": shipment.name,
        "version": shipment.version,
        "kind": shipment.kind if known else None,
        "languages": ["en"],
        "aliases": {head: dict(names) for head, names in kind.aliases.items() if head in heads},
        "scored": {head: heads[head][0] for head in kind.scored if head in heads},
        "by_sentence": {h: side for h, side in kind.by_sentence.items() if h in heads},
        "data": {name: {"rows": len(e), "dev_rows": len(dev[name])} for name, e in train.items()},
        "taught": lesson.way,
        "short_encoder": short_encoder.name if short_encoder else None,
        "vectors": trained.vectors,
        "recipe": recipe.to_json(),
        "history": trained.history.to_json(),
        "scores": scores,
        "licence": shipment.licence,
    }
    by_source = _by_source(trained, dev)
    folder = SHIPPED / shipment.name
    classifier.save(folder, card=_card(shipment, classifier.config, by_source), replace=True)
    return folder


def _scores(trained: Trained, dev: Examples) -> dict[str, dict[str, float]]:
    """Return dev's figures of every head, over all sources."""
    return {head: _figures(trained, head, dev, slice(None)) for head in trained.classifier.heads}


def _figures(trained: Trained, head: str, dev: Examples, rows: slice) -> dict[str, float]:
    classifier = trained.classifier
    labels = dev.labels[head][rows]
    known = np.array([i for i, label in enumerate(labels) if label is not None], dtype=np.int64)
    if not len(known):
        return {}
    truth = evaluation.truth_of([str(labels[i]) for i in known], classifier, head)
    own = type(trained.scores)(*(None if b is None else b[rows][known] for b in trained.scores))
    answer = classifier.calibrated(head, own)
    return evaluation.figures_of(answer, truth, classifier.calibration[head].threshold)


def _by_source(
    trained: Trained, dev: Mapping[str, Examples]
) -> list[tuple[str, str, dict[str, float]]]:
    """Return source, head and figures for every source that knows the head."""
    whole = joined(dev.values())
    found, start = [], 0
    for name, examples in dev.items():
        rows = slice(start, start + len(examples))
        start += len(examples)
        for head in trained.classifier.heads:
            figures = _figures(trained, head, whole, rows)
            if figures:
                found.append((name, head, figures))
    return found


def _card(
    shipment: Shipment,
    config: Mapping[str, Any],
    by_source: list[tuple[str, str, dict[str, float]]],
) -> str:
    data = [
        f"| `{name}` | {sizes['rows']:,} | {sizes['dev_rows']:,} |"
        for name, sizes in config["data"].items()
    ]
    measured = [
        f"| `{name}` | {head} | {f['accuracy']:.4f} | {f['ece']:.4f} | "
        f"{f['coverage_at_95_precision']:.3f} | {f['coverage_at_98_precision']:.3f} |"
        for name, head, f in by_source
    ]
    history = config["history"]
    larger = " --short-encoder FOLDER" if config["short_encoder"] else ""
    lines = [
        f"# {shipment.name}, version {shipment.version}",
        "",
        shipment.about.strip(),
        "",
        "## Data",
        "",
        shipment.licence + ".",
        "",
        "| set | training rows | dev rows |",
        "| --- | --- | --- |",
        *data,
        "",
        "## Recipe",
        "",
        f"- Taught: {config['taught']}.",
        f"- Begins from: {config['vectors']} (GloVe 6B: public domain).",
        f"- Seed {config['recipe']['seed']}; {len(history['epochs'])} epochs, the best "
        f"{history['best_epoch']}. Everything was chosen on dev.",
        f"- Made by `python -m nlp.shipping {shipment.name} --data FOLDER --vectors FILE{larger}`.",
        "",
        "## Scores on dev, by set",
        "",
        "| set | head | accuracy | ECE | handled at 95 % | at 98 % |",
        "| --- | --- | --- | --- | --- | --- |",
        *measured,
        "",
    ]
    for head in config["scores"]:
        lines += [f"### {head}, all sets", "", cards.table(config["scores"][head]), ""]
    return "\n".join(lines)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def say_progress(at: Progress) -> None:
    """Write a line now and then; for `train(on_step=...)`."""
    if at.step == at.steps or at.step % 200 == 0:
        best = "" if at.best is None else f", best {at.best:.4f}"
        _say(f"epoch {at.epoch}/{at.epochs}, step {at.step}/{at.steps}, loss {at.loss:.3f}{best}")
