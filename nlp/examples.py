"""Labelled texts as training sees them: one row a text, any number of heads.

Shapes: N texts, L labels of one head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nlp.errors import NotEnoughData

Floats = NDArray[np.float32]
LEAST_ROWS = 16
LEAST_A_LABEL = 4


@dataclass
class Examples:
    """Texts, each head's label of every text (None: not known), and what a teacher thinks.

    `taught[head]` is (N, L), a distribution over the head's labels; NaN where the teacher said
    nothing. A text may have no label at all and only a teacher's opinion. The last `made` texts
    were made up from others: they do not show which words people use.
    """

    texts: list[str]
    labels: dict[str, list[str | None]]
    taught: dict[str, Floats] = field(default_factory=dict)
    made: int = 0

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Return some of the rows, in the order given; none of them counts as made up."""
        index = np.asarray(rows, dtype=np.int64)
        return Examples(
            [self.texts[i] for i in index],
            {head: [values[i] for i in index] for head, values in self.labels.items()},
            {head: values[index] for head, values in self.taught.items()},
        )


def label_names(examples: Examples) -> dict[str, tuple[str, ...]]:
    """Return every head's labels in alphabetical order."""
    return {
        head: tuple(sorted({value for value in values if value is not None}))
        for head, values in examples.labels.items()
    }


def truth(values: Sequence[str | None], names: Sequence[str]) -> NDArray[np.int64]:
    """Return each row's label as its number; -1 where it has none of these."""
    numbers = {name: i for i, name in enumerate(names)}
    return np.array([-1 if v is None else numbers.get(v, -1) for v in values], dtype=np.int64)


def believed(examples: Examples, head: str, names: Sequence[str]) -> NDArray[np.int64]:
    """Return each row's label as its number, or the one a teacher thinks likeliest; -1: neither."""
    numbers = truth(examples.labels.get(head, [None] * len(examples)), names)
    soft = examples.taught.get(head)
    if soft is None:
        return numbers
    taught = ~np.isnan(soft[:, 0])
    return np.where((numbers < 0) & taught, np.nan_to_num(soft).argmax(1), numbers)


def targets(
    examples: Examples, head: str, names: Sequence[str], *, trust: float, smoothing: float
) -> Floats:
    """Return what a head should learn, (N, L): rows of a text without label or opinion are NaN.

    A labelled text's target is the label (smoothed), mixed with the teacher's distribution by
    `trust` where there is one.
    """
    numbers = truth(examples.labels.get(head, [None] * len(examples)), names)
    hard = np.full((len(examples), len(names)), smoothing / len(names), dtype=np.float32)
    known = np.flatnonzero(numbers >= 0)
    hard[known, numbers[known]] += 1 - smoothing
    hard[numbers < 0] = np.nan
    soft = examples.taught.get(head)
    if soft is None:
        return hard
    taught = ~np.isnan(soft[:, 0])
    both, alone = taught & (numbers >= 0), taught & (numbers < 0)
    hard[both] = (1 - trust) * hard[both] + trust * soft[both]
    hard[alone] = soft[alone]
    return hard


def check_enough(labels: Sequence[str]) -> list[str]:
    """Return warnings about thin labels; raise NotEnoughData when there is nothing to learn.

    Said before training: at least two labels with four rows each, and 16 rows together.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        only = next(iter(counts), None)
        raise NotEnoughData(
            f"every row has the label {only!r}: at least two labels are needed"
            if only
            else "no row has both a text and a label"
        )
    usable = [label for label, count in counts.items() if count >= LEAST_A_LABEL]
    if len(labels) < LEAST_ROWS or len(usable) < 2:
        raise NotEnoughData(
            f"not enough data: {len(labels)} rows, {len(usable)} labels with at least "
            f"{LEAST_A_LABEL}; needed are {LEAST_ROWS} rows and two such labels"
        )
    thin = sorted(label for label, count in counts.items() if count < LEAST_A_LABEL)
    if not thin:
        return []
    shown = ", ".join(repr(label) for label in thin[:5]) + (" …" if len(thin) > 5 else "")
    return [
        f"{len(thin)} of {len(counts)} labels have fewer than {LEAST_A_LABEL} rows ({shown}): "
        "they can hardly be learned"
    ]


def split(
    labels: Sequence[str], *, share: float = 0.1, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Return row numbers for training and for dev: a seeded, stratified share of each label.

    A label with a single row stays in training; any other gives dev at least one row if its
    share is half a row or more.
    """
    generator = np.random.default_rng([seed, 13])
    rows_of: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        rows_of.setdefault(label, []).append(i)
    dev: list[int] = []
    owed = 0.0  # shares too small for a row of their own add up over the labels
    for label in sorted(rows_of):
        rows = rows_of[label]
        owed += share * len(rows)
        count = min(int(owed + 0.5), len(rows) - 1)
        owed -= count
        dev.extend(generator.permutation(rows)[:count].tolist())
    chosen = set(dev)
    return [i for i in range(len(labels)) if i not in chosen], sorted(dev)


def class_weights(numbers: NDArray[np.int64], labels: int, power: float) -> Floats:
    """Return a weight for each label: its share to the minus `power`, the mean row's being 1."""
    counts = np.bincount(numbers[numbers >= 0], minlength=labels).astype(np.float64)
    if not counts.any():  # nothing but a teacher's opinion to learn from
        return np.ones(labels, dtype=np.float32)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -power, 1.0)
    mean = (weights * counts).sum() / max(counts.sum(), 1)
    return np.asarray(weights / max(mean, 1e-9), dtype=np.float32)


def distribution(labels: Mapping[str, int]) -> str:
    """Return counts of labels in a line, the most frequent first."""
    ranked = sorted(labels.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {count:,}" for name, count in ranked[:8])
