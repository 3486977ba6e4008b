"""The labelled examples that go with a model of one's own, and whether they say what it says.

Shapes: N examples that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp.classifier import Classifier
from nlp.neighbours import ASKED, Index, Projection, chosen, files_of
from nlp.tables import Table

DEV_ROWS = 1_000  # of dev whose neighbours are asked
AGREEMENT = "neighbours_agree"  # the figure: share of dev whose nearest examples have its label


@dataclass(frozen=True)
class Kept:
    """Files for the weights folder, how many examples they hold, and how good these are."""

    files: dict[str, bytes]
    rows: int
    agreement: float  # of dev rows, the share of which most neighbours have the true label


def keep(classifier: Classifier, head: str, table: Table, dev: Table, *, seed: int) -> Kept | None:
    """Return the examples of a head to keep of `table`, measured on `dev`; None: too few.

    Their labels stand as in the file, that of rows which belong nowhere too.
    """
    rows = chosen(table.labels, table.texts, seed=seed)
    if len(rows) < ASKED:
        return None
    seen = classifier.represent([table.texts[i] for i in rows])
    examples = [(table.places[i] + 1, table.texts[i], {head: table.labels[i]}) for i in rows]
    projection = Projection.fit(seen)
    index, files = files_of(projection, seen, examples)
    return Kept(files, len(rows), _agreement(classifier, projection, index, head, dev, seed))


def _agreement(
    classifier: Classifier,
    projection: Projection,
    index: Index,
    head: str,
    dev: Table,
    seed: int,
) -> float:
    asked = _some(len(dev), seed)
    vectors = projection(classifier.represent([dev.texts[i] for i in asked]))
    found = index.majority(vectors, head)
    return float(np.mean([dev.labels[i] == label for i, label in zip(asked, found, strict=True)]))


def _some(rows: int, seed: int) -> Sequence[int]:
    if rows <= DEV_ROWS:
        return range(rows)
    picked = np.random.default_rng([seed, 31]).choice(rows, DEV_ROWS, replace=False)
    return [int(i) for i in sorted(picked)]
