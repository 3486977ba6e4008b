"""Few examples a class: plain training against a frozen sentence encoder and a tuned one.

`python -m benchmarks.few_examples FOLDER [--each 8 16 64] [--seeds 0 1 2] [--ways ...]
[--classes N]`, FOLDER holding train.jsonl.gz and dev.jsonl.gz. Each way gets the same rows, as
many of each class, and nothing else; all are measured on a sample of dev that none of them sees
(`train` keeps a tenth of its few rows aside, as it does for everybody). One JSON object a
training; needs the extra `train`.

Only two get more: `unlabelled` is plain training on a file that also holds the set's other rows,
without their labels. With `--classes` the labels of so many classes, drawn, are to be learned and
all others are none of them: `unsorted` gets their texts, too, as an inbox holds mail of no folder.

`contrastive` tunes the encoder so that texts of a class lie together and others apart (the mean
squared error of cosine similarity over drawn pairs), then fits a logistic regression: the idea of
SetFit (Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", arXiv 2209.11055).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nlp.beginning import shipped_beginning
from nlp.distillation import teach
from nlp.examples import Examples, label_names, split, truth
from nlp.recipe import Recipe
from nlp.tables import Table, read_table
from nlp.teacher import SentenceEncoder, embed, probe
from nlp.training import train_classifier
from nlp.vectors import shipped_vectors
from sequence.device import multiplies_bfloat16

Ints = NDArray[np.int64]
Way = Callable[[Table, list[str], list[str], int], Ints]

WINDOW = 128  # tokens of a text that tuning reads
PAIRS = 4  # drawn for each text and kind of pair
MOST_PAIRS = 4_000
BATCH = 16
RATE = 5e-5


def some_classes(table: Table, count: int | None, seed: int) -> frozenset[str]:
    """Return so many of the table's classes, drawn; all of them without a count."""
    names = sorted(set(table.labels))
    drawn = np.random.default_rng([seed, 5]).permutation(names)[:count]
    return frozenset(drawn.tolist())


def of_classes(table: Table, wanted: frozenset[str]) -> Table:
    """Return the rows of these classes, the others' texts as rows without a label."""
    rows = [i for i, label in enumerate(table.labels) if label in wanted]
    others = [t for t, label in zip(table.texts, table.labels, strict=True) if label not in wanted]
    return replace(table.select(rows), unlabelled=others)


def draw(table: Table, each: int, seed: int) -> Table:
    """Return `each` seeded rows of every class, the others' texts as rows without a label."""
    generator = np.random.default_rng([seed, 29])
    of: dict[str, list[int]] = {}
    for i in generator.permutation(len(table)).tolist():
        rows = of.setdefault(table.labels[i], [])
        if len(rows) < each:
            rows.append(i)
    drawn = sorted(i for rows in of.values() for i in rows)
    others = sorted(set(range(len(table))).difference(drawn))
    return replace(table.select(drawn), unlabelled=[table.texts[i] for i in others])


def plain(table: Table, names: list[str], asked: list[str], seed: int) -> Ints:
    """Do what `mailroom train` does with its default options."""
    return _trained(table, names, asked, seed, Recipe(seed=seed))


def unlabelled(table: Table, names: list[str], asked: list[str], seed: int) -> Ints:
    """Do what it does where the file has rows without a label, too."""
    return _trained(table, names, asked, seed, Recipe(seed=seed), table.unlabelled)


def untaught(table: Table, names: list[str], asked: list[str], seed: int) -> Ints:
    """Do what it does where the extra `train` is not installed."""
    return _trained(table, names, asked, seed, Recipe(seed=seed, teacher="none"))


def _trained(
    table: Table,
    names: list[str],
    asked: list[str],
    seed: int,
    recipe: Recipe,
    free: Sequence[str] = (),
) -> Ints:
    kept, aside = split(table.labels, seed=seed)
    train, dev = (_examples(table.select(rows)) for rows in (kept, aside))
    vectors = shipped_vectors()
    heads = {"label": tuple(sorted(label_names(train)["label"]))}
    lesson = teach(
        train,
        dev,
        heads,
        unlabelled=free,
        teacher=recipe.teacher,
        vectors=vectors,
        seed=seed,
    )
    found = train_classifier(
        lesson.examples,
        dev,
        recipe,
        vectors=vectors,
        beginning=shipped_beginning(),
        heads=heads,
    )
    best = found.classifier.probabilities(asked)["label"].values.argmax(1)
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[heads["label"][i]] for i in best], dtype=np.int64)


def _examples(table: Table) -> Examples:
    return Examples(table.texts, {"label": list(table.labels)})


def frozen(table: Table, names: list[str], asked: list[str], seed: int) -> Ints:
    """Fit a logistic regression on the vectors of the sentence encoder as it comes."""
    return _probed(SentenceEncoder(), table, names, asked, seed)


def contrastive(table: Table, names: list[str], asked: list[str], seed: int) -> Ints:
    """Tune the encoder on pairs first."""
    encoder = SentenceEncoder()
    numbers = truth(list(table.labels), names)
    ids = [row[:WINDOW] for row in encoder.token_ids(table.texts)]
    pairs = _pairs(numbers, np.random.default_rng([seed, 31]))
    torch.manual_seed(seed)
    tuned = [p for n, p in encoder.network.named_parameters() if "embeddings." not in n]
    optimizer = torch.optim.AdamW(tuned, lr=RATE)
    encoder.network.train()
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            left, right = (encoder.pooled([ids[i] for i in batch[:, side]]) for side in (0, 1))
        alike = functional.cosine_similarity(left.float(), right.float())
        same = torch.from_numpy(numbers[batch[:, 0]] == numbers[batch[:, 1]]).float()
        loss = functional.mse_loss(alike, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _probed(encoder, table, names, asked, seed)


def _pairs(numbers: Ints, generator: np.random.Generator) -> Ints:
    """Return drawn pairs (N, 2), as many of one class as of two, in a new order."""
    drawn = []
    for i, number in enumerate(numbers):
        for alike in (True, False):
            others = np.flatnonzero((numbers == number) == alike)
            others = others[others != i]
            drawn += [(i, int(j)) for j in generator.choice(others, min(PAIRS, len(others)))]
    pairs = np.array(drawn, dtype=np.int64)
    return np.asarray(generator.permutation(pairs)[:MOST_PAIRS])


def _probed(
    encoder: SentenceEncoder, table: Table, names: list[str], asked: list[str], seed: int
) -> Ints:
    numbers = truth(list(table.labels), names)
    fitted = probe(embed(table.texts, encoder=encoder), numbers, folds=2, seed=seed)
    return np.asarray(fitted.scores(embed(asked, encoder=encoder)).argmax(1), dtype=np.int64)


WAYS: dict[str, Way] = {
    "plain": plain,
    "unlabelled": unlabelled,
    "unsorted": unlabelled,
    "untaught": untaught,
    "frozen": frozen,
    "contrastive": contrastive,
}
USUAL = [way for way in WAYS if way != "unsorted"]


def measure(
    folder: Path, each: int, way: str, seed: int, dev_rows: int, classes: int | None = None
) -> dict[str, Any]:
    """Train once on few rows and return the accuracy on dev, with what it took."""
    whole = read_table(folder / "train.jsonl.gz")
    wanted = some_classes(whole, classes, seed)
    whole = of_classes(whole, wanted)
    table = draw(whole, each, seed)
    if way == "unsorted":
        table = replace(table, unlabelled=[*table.unlabelled, *whole.unlabelled])
    dev = of_classes(read_table(folder / "dev.jsonl.gz"), wanted)
    chosen = np.random.default_rng(17).permutation(len(dev))[:dev_rows]
    dev = dev.select(sorted(chosen.tolist()))
    names = sorted(set(table.labels))
    cpu = time.process_time()
    found = WAYS[way](table, names, dev.texts, seed)
    right = found == truth(list(dev.labels), names)
    return {
        "set": folder.name,
        "classes": len(names),
        "each": each,
        "way": way,
        "seed": seed,
        "rows": len(table),
        "accuracy": round(float(right.mean()), 4),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def table_of(found: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table: the mean and the spread over seeds."""
    ways = list(dict.fromkeys(one["way"] for one in found))
    lines = [
        "| set | a class | " + " | ".join(ways) + " |",
        "| --- | --- |" + " --- |" * len(ways),
    ]
    for name, each in dict.fromkeys((one["set"], one["each"]) for one in found):
        cells = []
        for way in ways:
            scores = [
                100 * one["accuracy"]
                for one in found
                if (one["set"], one["each"], one["way"]) == (name, each, way)
            ]
            spread = f" ± {np.std(scores):.1f}" if len(scores) > 1 else ""
            cells.append(f"{np.mean(scores):.1f}{spread}" if scores else "")
        lines.append(f"| {name} | {each} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print one JSON object a training, then the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_examples")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--each", nargs="+", type=int, default=[8, 16, 64])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=USUAL)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--dev-rows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for folder in options.folders:
        for each in options.each:
            for way in options.ways:
                for seed in options.seeds:
                    found.append(
                        measure(folder, each, way, seed, options.dev_rows, options.classes)
                    )
                    sys.stdout.write(json.dumps(found[-1]) + "\n")
                    sys.stdout.flush()
    sys.stdout.write("\n" + table_of(found))


if __name__ == "__main__":
    main()
