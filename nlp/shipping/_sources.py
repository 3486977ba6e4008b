"""Rows of the public data sets, as examples with one label a head."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.examples import Examples

Row = dict[str, Any]


def rows(data: Path, name: str, split: str) -> list[Row]:
    """Return a split's rows, as they stand in the file."""
    with gzip.open(data / name / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Source:
    """Part of a data set in the mix of one model.

    `labels` gives a row's answers by head (a head that is not there: not known), or None to
    leave the row out. `most` limits the rows of training, chosen by seed.
    """

    name: str
    labels: Callable[[Row], dict[str, str] | None]
    text: Callable[[Row], str] = lambda row: str(row["text"])
    most: int | None = None


def gather(
    data: Path, sources: Sequence[Source], split: str, heads: Iterable[str], seed: int
) -> dict[str, Examples]:
    """Return the examples of every source by its name; sources of one name are joined."""
    found: dict[str, tuple[list[str], list[dict[str, str]]]] = {}
    for number, source in enumerate(sources):
        pairs = [(source.text(row), source.labels(row)) for row in rows(data, source.name, split)]
        kept = [(text, labels) for text, labels in pairs if labels and text.strip()]
        if source.most is not None and len(kept) > source.most:
            order = np.random.default_rng([seed, number]).permutation(len(kept))
            kept = [kept[i] for i in sorted(order[: source.most].tolist())]
        texts, labels = found.setdefault(source.name, ([], []))
        texts.extend(text for text, _ in kept)
        labels.extend(answers for _, answers in kept if answers)
    return {
        name: Examples(texts, {head: [a.get(head) for a in labels] for head in heads})
        for name, (texts, labels) in found.items()
    }


def joined(parts: Iterable[Examples]) -> Examples:
    """Return the examples of several sources as one."""
    parts = list(parts)
    heads = parts[0].labels
    return Examples(
        [text for part in parts for text in part.texts],
        {head: [value for part in parts for value in part.labels[head]] for head in heads},
    )
