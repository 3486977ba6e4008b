"""A trained span tagger: from texts to marked clauses with a calibrated confidence.

A stretch counts as right when it shares at least half of its union with a marked one of the same
label; that is what the confidence is the probability of, fitted on dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp.clauses import Found, Marked, find, find_sentences, overlap, sentence_starts
from nlp.models.span_tagger import SpanTagger
from nlp.outcome import Entity
from nlp.tagging import Example, WordNumbers, word_probabilities
from nlp.values import value_of
from nlp.windows import cut
from sequence.artifact import Artifact, load_artifact, save_artifact
from sequence.quantisation import compress, expand

VOCABULARY = "vocabulary.txt"
_NO_BEGINNING = ".,;:)]} \t\r\n\f"
RIGHT = 0.5  # share of the union from which a found stretch counts as right


@dataclass(frozen=True, kw_only=True)
class TagCalibration:
    """How strengths become confidences, and from where on a stretch is shown or trusted."""

    seeds: tuple[float, ...]  # of each label: the probability that a stretch needs
    sentences: tuple[bool, ...]  # of each label: whether its stretches are whole sentences
    biases: tuple[float, ...]  # of each label: log odds that it is right more often than others
    slope: float = 1.0
    shift: float = 0.0
    threshold: float = 0.5  # below it a person should look
    precision: float = 0.95  # what the threshold was chosen for, on dev
    coverage: float = 0.0  # share of dev's found stretches at or above it

    def confidence(self, found: Found) -> float:
        """Return the probability that a found stretch is right."""
        clipped = min(max(found.strength, 1e-4), 1 - 1e-4)
        logit = float(np.log(clipped / (1 - clipped)))
        bias = self.biases[found.label]
        return float(1 / (1 + np.exp(-(self.slope * logit + self.shift + bias))))


@dataclass
class Tagger:
    """A model with its words, its labels and its calibration."""

    model: SpanTagger
    words: list[str]
    labels: tuple[str, ...]
    calibration: TagCalibration
    config: dict[str, Any] = field(default_factory=dict)  # the rest of config.json

    def __post_init__(self) -> None:
        """Build the dictionary of words."""
        self.numbers = WordNumbers(self.words)
        self.model.eval()

    def probabilities(self, text: str) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
        """Return (words, L) probabilities of a text and where its words stand."""
        windows = cut(text)
        examples = [Example(self.numbers.encode(window), []) for window in windows]
        spans = [span for window in windows for span in window.spans]
        return word_probabilities(self.model, examples), spans

    def find(self, text: str) -> list[Found]:
        """Return the stretches that reach their label's seed, in order of the text."""
        probabilities, spans = self.probabilities(text)
        return find_all(ReadText(text, probabilities, spans), self.calibration)

    def entities(self, text: str) -> tuple[Entity, ...]:
        """Return the marked stretches of a text, in order, in code points."""
        return tuple(self._entity(found, text) for found in self.find(text))

    def doubtful(self, entities: Sequence[Entity]) -> bool:
        """Return whether a person should look: a stretch is less sure than the threshold."""
        return any(entity.confidence < self.calibration.threshold for entity in entities)

    def _entity(self, found: Found, text: str) -> Entity:
        label = self.labels[found.label]
        confidence = self.calibration.confidence(found)
        # the full stop of the sentence before is no part of a clause
        body = text[found.start : found.end]
        start = found.end - len(body.lstrip(_NO_BEGINNING))
        start = start if start < found.end else found.start
        return Entity(start, found.end, label, value_of(label, text[start : found.end]), confidence)

    def save(self, folder: Path, *, card: str, replace: bool = False) -> None:
        """Write the weights folder; large tables in 8 bits, the rest in 16."""
        config = {
            "format": 1,
            "model": "span_tagger",
            **self.config,
            "labels": list(self.labels),
            "calibration": asdict(self.calibration),
            "network": self.model.config.to_json(),
        }
        save_artifact(
            folder,
            config=config,
            tensors=compress(self.model.state_dict(), self.model.tables()),
            card=card,
            files={VOCABULARY: "\n".join(self.words).encode("utf-8", "surrogatepass")},
            replace=replace,
        )


def load_tagger(source: Path | Artifact, *, device: str | torch.device = "cpu") -> Tagger:
    """Return the tagger of a weights folder, ready to read; its hashes are checked."""
    artifact = load_artifact(source) if isinstance(source, Path) else source
    config = dict(artifact.config)
    model = SpanTagger(SpanTagger.Config.from_json(config["network"]))
    model.load_state_dict(expand(artifact.tensors))
    model.to(device)
    calibration = dict(config["calibration"])
    for name in ("seeds", "sentences", "biases"):
        calibration[name] = tuple(calibration[name])
    words = artifact.files[VOCABULARY].decode("utf-8", "surrogatepass").split("\n")
    return Tagger(
        model, words, tuple(config["labels"]), TagCalibration(**calibration), dict(artifact.config)
    )


@dataclass(frozen=True)
class ReadText:
    """A text with every word's probability of every label, and where its words stand."""

    text: str
    probabilities_TL: NDArray[np.float32]
    spans: list[tuple[int, int]]

    @cached_property
    def starts(self) -> list[int]:
        """At which word each sentence begins."""
        return sentence_starts(self.text, self.spans)

    def find(self, label: int, seed: float, *, sentences: bool) -> list[Found]:
        """Return the stretches of one label, in order of the text."""
        column_T = self.probabilities_TL[:, label]
        if column_T.max(initial=0.0) < seed:
            return []
        if sentences:
            return find_sentences(column_T, self.spans, self.starts, label=label, seed=seed)
        found = find(column_T[:, None], self.spans, seed=seed, grow=0.8 * seed)
        return [replace(stretch, label=label) for stretch in found]


def find_all(read: ReadText, calibration: TagCalibration) -> list[Found]:
    """Return the stretches of every label at that label's own seed, in order of the text."""
    settings = zip(calibration.seeds, calibration.sentences, strict=True)
    found = [
        stretch
        for label, (seed, sentences) in enumerate(settings)
        for stretch in read.find(label, seed, sentences=sentences)
    ]
    return sorted(found, key=lambda stretch: (stretch.start, stretch.end, stretch.label))


@dataclass(frozen=True)
class Judged:
    """Found stretches beside the marked ones: which are right, and how many were missed."""

    found: list[Found]
    right: NDArray[np.bool_]
    marked: int
    hit: int  # marked stretches that a found one is right about


def judge(found: Sequence[Found], marks: Sequence[Marked], labels: Sequence[str]) -> Judged:
    """Return which found stretches of one text are right."""
    by_label: dict[str, list[tuple[int, int]]] = {}
    for mark in marks:
        by_label.setdefault(mark.label, []).append((mark.start, mark.end))
    right = np.zeros(len(found), np.bool_)
    hit: set[tuple[str, int]] = set()
    for i, stretch in enumerate(found):
        label = labels[stretch.label]
        for j, span in enumerate(by_label.get(label, [])):
            if overlap((stretch.start, stretch.end), span) >= RIGHT:
                right[i] = True
                hit.add((label, j))
    return Judged(list(found), right, len(marks), len(hit))
