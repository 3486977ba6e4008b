"""What goes into a reader and what comes out of it: plain values, no tensors.

Offsets count Unicode code points of the item's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Item:
    """A text to read; of an email also its parsed headers, as intake gives them."""

    text: str
    mail: Mapping[str, Any] | None = None


class Evidence(NamedTuple):
    """A stretch of the text that spoke for the answer; the weights of all add up to at most 1."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Label:
    """One head's answer. `value` is None when the text is in a language the model cannot read."""

    value: str | None
    confidence: float
    needs_review: bool
    evidence: tuple[Evidence, ...] = ()
    score: float | None = None  # of two-sided heads: -1 to 1


@dataclass(frozen=True)
class Entity:
    """A stretch of the text with a name and, where it has one, a normalised value."""

    start: int
    end: int
    label: str
    value: str | None
    confidence: float


@dataclass(frozen=True)
class Outcome:
    """Everything a reader says about one document."""

    kind: str
    labels: Mapping[str, Label]
    entities: tuple[Entity, ...]
    language: str | None  # ISO 639-1; None: too little text to tell
    model: str
    version: str
    characters: int  # how many were read
    of: int  # of how many
    sentences: tuple[Mapping[str, Any], ...] = field(default=())  # of a review, when asked for
    doubtful: bool = False  # an entity is less sure than its model's threshold
    vector: bytes | None = None  # where labelled examples lie beside it; no part of the JSON

    @property
    def needs_review(self) -> bool:
        """Whether a person should look: any head or any entity is in doubt."""
        return self.doubtful or any(label.needs_review for label in self.labels.values())

    def to_json(self) -> dict[str, Any]:
        """Return the outcome object of the API."""
        outcome: dict[str, Any] = {
            "kind": self.kind,
            "labels": {head: _label(label) for head, label in self.labels.items()},
            "entities": [
                {
                    "start": entity.start,
                    "end": entity.end,
                    "label": entity.label,
                    "value": entity.value,
                    "confidence": round(entity.confidence, 4),
                }
                for entity in self.entities
            ],
            "language": self.language,
            "model": {"name": self.model, "version": self.version},
            "read": {"characters": self.characters, "of": self.of},
            "schema_version": SCHEMA_VERSION,
        }
        if self.entities:
            outcome["needs_review"] = self.needs_review  # entities have no flag of their own
        if self.sentences:
            outcome["sentences"] = [dict(sentence) for sentence in self.sentences]
        return outcome


def _label(label: Label) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "value": label.value,
        "confidence": round(label.confidence, 4),
        "needs_review": label.needs_review,
        "evidence": [
            {"start": e.start, "end": e.end, "weight": round(e.weight, 4)} for e in label.evidence
        ],
    }
    if label.score is not None:
        answer["score"] = round(label.score, 4)
    return answer


@dataclass(frozen=True)
class Failure:
    """An item that could not be read, in its place among the outcomes."""

    code: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the error object of the API."""
        return {"error": {"code": self.code, "message": self.message}}
