"""Encoders side by side: the same data and budget, one option different, one table.

`python -m benchmarks.encoders FOLDER... [--rows N] [--epochs N] [--table FILE]`, a FOLDER holding
train.jsonl.gz and dev.jsonl.gz. For each: accuracy, cost, size of training and length of document
of every encoder alone (no n-grams beside it); what each part of the model is worth; and the
gradient that reaches a word by its distance from the end, before training and after. One JSON
object a training on standard output, the tables as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlp.classifier import Classifier
from nlp.distillation import teach
from nlp.examples import Examples, label_names, truth
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.tables import read_table
from nlp.tokens import words
from nlp.training import train_classifier
from nlp.vectors import WordVectors, shipped_vectors
from sequence import Padded
from sequence.encoder import EncoderConfig, build_encoder
from sequence.pooling import build_pooling

LAST, MEAN, ATTENTION = ("last",), ("mean",), ("attention",)
# What the lecture compares; each reads alone, one layer, one vector from its states
ENCODERS: dict[str, dict[str, Any]] = {
    "bag of vectors": {"encoder": "none", "poolings": MEAN},
    "RNN": {"encoder": "rnn", "poolings": LAST},
    "LSTM": {"encoder": "lstm", "poolings": LAST},
    "GRU": {"encoder": "gru", "poolings": LAST},
    "BiLSTM": {"encoder": "bilstm", "poolings": LAST},
    "BiLSTM + attention": {"encoder": "bilstm", "poolings": ATTENTION},
    "transformer": {"encoder": "transformer", "poolings": ATTENTION, "num_layers": 2},
}
DISTANCES = (0, 1, 2, 5, 10, 20, 50, 100)
LENGTH = 128  # words of the texts that gradients are taken of
WHOLE = 4096  # words that are read in one go: here no text is cut in parts
GRADIENT_TEXTS = 24


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training: what was trained on what, and what came of it, on dev."""

    set: str
    name: str
    rows: int
    epochs: int
    accuracy: float
    short: float  # accuracy of the shorter half of dev's texts
    long: float
    weights: int
    train_seconds: float  # of the processor
    documents_a_second: float


@dataclass(frozen=True)
class Budget:
    """What every training gets."""

    epochs: int
    hidden_size: int
    seed: int


def read(folder: Path, name: str, rows: int, seed: int) -> Examples:
    """Return a seeded sample of a file's rows."""
    table = read_table(folder / f"{name}.jsonl.gz")
    order = np.random.default_rng([seed, 5]).permutation(len(table))[: rows or len(table)]
    chosen = table.select(sorted(order.tolist()))
    return Examples(chosen.texts, {"label": list(chosen.labels)})


def recipe_of(budget: Budget, **options: Any) -> Recipe:
    """Return the plain encoder's recipe: no n-grams, no teacher, the budget's epochs."""
    settings: dict[str, Any] = {
        "hidden_size": budget.hidden_size,
        "epochs": budget.epochs,
        "patience": 0,
        "teacher": "none",
        "part_length": WHOLE,
        "seed": budget.seed,
        "features": FeatureSettings(ngrams=0),
    }
    return Recipe(**settings | options)


def fit(
    train: Examples,
    dev: Examples,
    recipe: Recipe,
    vectors: WordVectors | None,
    *,
    set_name: str,
    name: str,
) -> tuple[Row, Classifier]:
    """Train once and measure on dev."""
    heads = label_names(train)
    cpu = time.process_time()
    trained = train_classifier(train, dev, recipe, vectors=vectors, heads=heads)
    spent = time.process_time() - cpu
    started = time.process_time()
    answer = trained.classifier.probabilities(dev.texts)["label"]
    took = time.process_time() - started
    right = answer.values.argmax(1) == truth(dev.labels["label"], heads["label"])
    lengths = np.array([len(words(text)) for text in dev.texts])
    short = lengths <= np.median(lengths)
    row = Row(
        set=set_name,
        name=name,
        rows=sum(label is not None for label in train.labels["label"]),
        epochs=len(trained.history.epochs),
        accuracy=round(float(right.mean()), 4),
        short=round(float(right[short].mean()), 4),
        long=round(float(right[~short].mean()), 4) if (~short).any() else float("nan"),
        weights=sum(p.numel() for p in trained.classifier.model.encoder.parameters()),
        train_seconds=round(spent, 1),
        documents_a_second=round(len(dev) / max(took, 1e-9)),
    )
    return row, trained.classifier


def ablations(train: Examples, dev: Examples, budget: Budget, set_name: str) -> Iterator[Row]:
    """Yield the whole model, and the model without each of its parts."""
    vectors = shipped_vectors()
    whole = recipe_of(budget, poolings=("attention", "max"), features=FeatureSettings())
    plain = FeatureSettings(spelling=False)
    without: list[tuple[str, Recipe, WordVectors | None]] = [
        ("all parts", whole, vectors),
        ("no pretrained vectors", whole, None),
        ("no spellings among the n-grams", replace(whole, features=plain), vectors),
        ("no n-grams", replace(whole, features=FeatureSettings(ngrams=0)), vectors),
        ("no encoder: n-grams and a bag", replace(whole, encoder="none"), vectors),
        ("no attention: max alone", replace(whole, poolings=("max",)), vectors),
    ]
    for name, recipe, known in without:
        yield fit(train, dev, recipe, known, set_name=set_name, name=name)[0]
    lesson = teach(train, dev, label_names(train), teacher="frozen", vectors=vectors)
    name = "all parts, taught by frozen MiniLM and TF-IDF"
    yield fit(lesson.examples, dev, whole, vectors, set_name=set_name, name=name)[0]


def untrained_reach(hidden_size: int, seed: int) -> dict[str, list[float]]:
    """Return, by encoder, the gradient at each distance from the end, of noise."""
    found = {}
    for name, options in ENCODERS.items():
        torch.manual_seed(seed)
        size = 100
        config = EncoderConfig(
            name=options["encoder"],
            hidden_size=hidden_size,
            num_layers=options.get("num_layers", 1),
        )
        encoder = build_encoder(config, size).eval()
        both = options["encoder"].startswith("bi")
        pooling = build_pooling(options["poolings"][0], encoder.output_size, bidirectional=both)
        values = torch.randn(GRADIENT_TEXTS, LENGTH, size, requires_grad=True)
        lengths = torch.full((GRADIENT_TEXTS,), LENGTH)
        pooled = pooling(encoder(Padded(values, lengths)))
        direction = torch.randn(pooled.shape[1])
        (pooled @ direction).sum().backward()
        found[name] = _by_distance(values.grad, lengths)
    return found


def trained_reach(classifier: Classifier, texts: Sequence[str]) -> list[float]:
    """Return how much a word moves the best label's score, by its distance from the end."""
    model = classifier.model.eval()
    known = [words(text)[-LENGTH:] for text in texts]
    known = [document for document in known if len(document) == LENGTH][:GRADIENT_TEXTS]
    if not known or model.head is None:
        return []
    types = classifier.lexicon.encode(known)
    ids = torch.from_numpy(np.stack([classifier.lexicon.word_ids[t] for t in types])).long()
    values = model.word_vectors(ids).detach().requires_grad_(True)
    lengths = torch.full((len(known),), LENGTH)
    states = model.encode(Padded(values, lengths))
    scores = model.head(model.pool(states, torch.ones(len(known), dtype=torch.long)))
    scores.max(1).values.sum().backward()
    return _by_distance(values.grad, lengths)


def _by_distance(gradient: torch.Tensor | None, lengths: torch.Tensor) -> list[float]:
    """Return the mean length of the gradient at each of DISTANCES, the largest being 1."""
    if gradient is None:
        return []
    norms = gradient.norm(dim=2).mean(0).flip(0)[: int(lengths.min())]
    chosen = norms[list(DISTANCES)]
    return [float(value) for value in chosen / norms.max().clamp_min(1e-30)]


def main() -> None:
    """Print one JSON object a training, and the tables."""
    options = _options()
    torch.set_num_threads(1)
    vectors = shipped_vectors()
    budget = Budget(options.epochs, options.hidden_size, options.seed)
    rows: list[Row] = []
    parts: list[Row] = []
    reach: dict[str, dict[str, list[float]]] = {
        "noise, untrained": untrained_reach(options.hidden_size, options.seed)
    }

    def keep(row: Row, where: list[Row]) -> None:
        where.append(row)
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
        sys.stdout.flush()
        if options.table:  # so far: a run may be long
            options.table.write_text(tables(rows, parts, reach))

    for folder in options.folders:
        dev = read(folder, "dev", options.dev_rows, options.seed)
        for size in options.rows:
            train = read(folder, "train", size, options.seed)
            for name, chosen in ENCODERS.items():
                recipe = recipe_of(budget, **chosen)
                row, classifier = fit(train, dev, recipe, vectors, set_name=folder.name, name=name)
                keep(row, rows)
                found = trained_reach(classifier, dev.texts)
                if found and size == options.rows[-1]:
                    reach.setdefault(f"{folder.name}, trained", {})[name] = found
        if options.ablate:
            for row in ablations(train, dev, budget, folder.name):
                keep(row, parts)
    if options.table:
        options.table.write_text(tables(rows, parts, reach))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 0], help="0: all")
    parser.add_argument("--dev-rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablate", action="store_true", help="also the model without each part")
    parser.add_argument("--table", type=Path, help="write the tables here, as Markdown")
    return parser.parse_args()


def tables(rows: list[Row], parts: list[Row], reach: dict[str, dict[str, list[float]]]) -> str:
    """Return the three tables."""
    return "\n".join(
        [
            *_accuracies("Encoders", rows),
            *(_accuracies("Without each part", parts) if parts else ()),
            "## The gradient that reaches a word, by its distance from the end",
            "",
            "The largest of a text is 1.",
            "",
            "| | encoder | " + " | ".join(map(str, DISTANCES)) + " |",
            "| --- | --- |" + " --- |" * len(DISTANCES),
            *(
                f"| {where} | {name} | " + " | ".join(f"{value:.2g}" for value in values) + " |"
                for where, found in reach.items()
                for name, values in found.items()
            ),
            "",
        ]
    )


def _accuracies(title: str, rows: list[Row]) -> list[str]:
    names = ("set", "", "rows", "epochs", "accuracy", "shorter half", "longer half",
             "encoder's weights", "training, processor s", "documents/s")  # fmt: skip
    return [
        f"## {title}",
        "",
        "| " + " | ".join(names) + " |",
        "| --- " * len(names) + "|",
        *(
            f"| {r.set} | {r.name} | {r.rows:,} | {r.epochs} | {100 * r.accuracy:.1f} | "
            f"{100 * r.short:.1f} | {100 * r.long:.1f} | {r.weights:,} | {r.train_seconds} | "
            f"{r.documents_a_second:,.0f} |"
            for r in rows
        ),
        "",
    ]


if __name__ == "__main__":
    main()
