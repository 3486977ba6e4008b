"""What a lesson is worth: one data set, taught in every way, measured on dev.

`python -m benchmarks.distillation FOLDER [--text FIELD] [--label FIELD] [--out-of-scope LABEL]
[--teachers none linear frozen tuned] [--seeds 0 1 2]`, FOLDER holding train.jsonl.gz and
dev.jsonl.gz. One JSON object a training on standard output; needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from nlp.beginning import shipped_beginning
from nlp.calibration import OUT_OF_SCOPE
from nlp.distillation import teach
from nlp.evaluation import figures_of, truth_of
from nlp.examples import Examples, label_names
from nlp.recipe import Recipe
from nlp.tables import read_table
from nlp.training import train_classifier
from nlp.vectors import read_vectors, shipped_vectors


def _examples(path: Path, options: argparse.Namespace) -> Examples:
    table = read_table(path, text=options.text, label=options.label)
    labels: list[str | None] = [
        OUT_OF_SCOPE if label == options.out_of_scope else label for label in table.labels
    ]
    return Examples(table.texts, {"label": labels})


def measure(options: argparse.Namespace, teacher: str, seed: int) -> dict[str, Any]:
    """Train once and return dev's figures with what the training took."""
    train = _examples(options.folder / "train.jsonl.gz", options)
    dev = _examples(options.folder / "dev.jsonl.gz", options)
    vectors = read_vectors(options.vectors) if options.vectors else shipped_vectors()
    recipe = Recipe(seed=seed, out_of_scope=OUT_OF_SCOPE if options.out_of_scope else None)
    heads = label_names(train)
    started, cpu = time.perf_counter(), time.process_time()
    lesson = teach(
        train, dev, heads, teacher=teacher, vectors=vectors, seed=seed, cache=options.cache
    )
    taught = time.perf_counter()
    beginning = None if options.vectors else shipped_beginning()
    trained = train_classifier(
        lesson.examples, dev, recipe, vectors=vectors, beginning=beginning, heads=heads
    )
    answer = trained.classifier.calibrated("label", trained.scores)
    labels = [label or "" for label in dev.labels["label"]]
    truth = truth_of(labels, trained.classifier, "label")
    threshold = trained.classifier.calibration["label"].threshold
    return {
        "set": options.folder.name,
        "teacher": teacher,
        "seed": seed,
        "way": lesson.way,
        "rows": len(lesson.examples),
        "epochs": len(trained.history.epochs),
        "teaching_seconds": round(taught - started, 1),
        "training_seconds": round(time.perf_counter() - taught, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        **{name: round(value, 4) for name, value in figures_of(answer, truth, threshold).items()},
    }


def main() -> None:
    """Print one JSON object a training."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--out-of-scope")
    parser.add_argument("--vectors", type=Path, help="instead of those we ship")
    parser.add_argument("--cache", type=Path, help="keep tuned teachers here")
    parser.add_argument("--teachers", nargs="+", default=["none", "linear", "frozen", "tuned"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    for teacher in options.teachers:
        for seed in options.seeds:
            sys.stdout.write(json.dumps(measure(options, teacher, seed)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
