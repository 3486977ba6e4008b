"""Which kind of document a text is, when nobody said it: a small model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from nlp.classifier import Classifier, load_classifier
from nlp.errors import UnknownModel
from nlp.weights import SHIPPED
from sequence.artifact import MANIFEST

CHARACTERS = 2_000  # looked at: how a document starts says what it is
NAME = "recognition"


@cache
def _classifier() -> Classifier:
    folder = SHIPPED / NAME
    if not (folder / MANIFEST).is_file():
        raise UnknownModel(f"no weights to recognise kinds with in {folder}")
    return load_classifier(folder)


def recognise(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Return the likeliest kind of each text, and how sure that is (0 to 1)."""
    if not texts:
        return []
    answer = _classifier().probabilities([text[:CHARACTERS] for text in texts])["kind"]
    best = answer.values.argmax(1)
    return [(answer.names[i], float(answer.values[row, i])) for row, i in enumerate(best.tolist())]
