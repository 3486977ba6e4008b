"""A trained text classifier: from texts to calibrated probabilities, and to a weights folder.

Shapes: N texts, L labels of a head (with out of scope as one more where the head tells it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp.calibration import (
    OUT_OF_SCOPE,
    Calibration,
    scope_probability,
    scope_signs,
    sharpened,
    softmax,
)
from nlp.fitting import embed, predict
from nlp.lexicon import Lexicon, NgramTable
from nlp.models.text_classifier import Scores, TextClassifier
from nlp.neighbours import Representation
from nlp.tokens import words
from sequence.artifact import Artifact, load_artifact, save_artifact
from sequence.quantisation import compress, expand

Floats = NDArray[np.float32]
FORMAT = 1
VOCABULARY = "vocabulary.txt"
REPORT = "report.html"


class Probabilities(NamedTuple):
    """One head's answer to many texts."""

    names: tuple[str, ...]  # of the columns; the last is `out_of_scope` where that is told
    values: Floats  # (N, L), rows sum to 1
    rejected: NDArray[np.bool_]  # (N,), out of scope at the model's own threshold


@dataclass
class Classifier:
    """A model with its words, its labels and its calibration."""

    model: TextClassifier
    words: list[str]
    ngrams: NgramTable
    heads: dict[str, tuple[str, ...]]  # labels as trained: one more than answered with a scope
    calibration: dict[str, Calibration]
    config: dict[str, Any] = field(default_factory=dict)  # the rest of config.json
    spelling: bool = True
    part_length: int = 128

    def __post_init__(self) -> None:
        """Build the dictionary of words."""
        self.lexicon = Lexicon(self.words, self.ngrams, spelling=self.spelling)
        sizes = np.cumsum([0, *(len(labels) for labels in self.heads.values())])
        self.columns = {
            head: slice(int(sizes[i]), int(sizes[i + 1])) for i, head in enumerate(self.heads)
        }

    def grow(self, growth: float) -> None:
        """Let n-grams gain weight with this power of a text's words."""
        self.ngrams = self.lexicon.ngrams = replace(self.ngrams, growth=growth)

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return both branches' class scores of every text."""
        documents = self.lexicon.encode([words(text) for text in texts])
        with torch.inference_mode():
            return predict(self.model, self.lexicon, documents, self.part_length)

    def probabilities(self, texts: Sequence[str]) -> dict[str, Probabilities]:
        """Return every head's calibrated probabilities of every text."""
        scores = self.scores(texts)
        return {head: self.calibrated(head, scores) for head in self.heads}

    def calibrated(self, head: str, scores: Scores) -> Probabilities:
        """Return a head's probabilities from class scores."""
        calibration = self.calibration[head]
        blended = blend(scores, self.columns[head], calibration)
        return apply(blended, self.heads[head], calibration)

    def representation(self, scores: Scores, pooled_GP: Tensor | None) -> Representation:
        """Return what neighbours are found by: pooled vectors, and every head's scaled scores."""
        blended = [
            blend(scores, columns, self.calibration[head]) for head, columns in self.columns.items()
        ]
        pooled = None if pooled_GP is None else pooled_GP.float().cpu().numpy()
        return Representation(pooled, np.concatenate(blended, axis=1))

    def represent(self, texts: Sequence[str]) -> Representation:
        """Return what `representation` gives, of texts."""
        documents = self.lexicon.encode([words(text) for text in texts])
        scores, pooled = embed(self.model, self.lexicon, documents, self.part_length)
        return self.representation(scores, pooled)

    def answers(self, head: str) -> tuple[str, ...]:
        """Return the labels that a head may answer, out of scope last where it tells it."""
        calibration = self.calibration[head]
        return answer_names(self.heads[head], calibration)

    def save(
        self,
        folder: Path,
        *,
        card: str,
        report: str | None = None,
        beside: Mapping[str, bytes] | None = None,
        replace: bool = False,
    ) -> None:
        """Write the weights folder; large tables in 8 bits, the rest in 16.

        `report` is an HTML page kept beside the model, `beside` other files by their names.
        """
        tensors = compress(self.model.state_dict(), self.model.tables())
        tensors["ngrams.keys"] = torch.from_numpy(self.ngrams.keys.view(np.int32))
        tensors["ngrams.idf"] = torch.from_numpy(self.ngrams.idf).half()
        config = {
            "format": FORMAT,
            "model": "text_classifier",
            **self.config,
            "heads": {head: list(labels) for head, labels in self.heads.items()},
            "calibration": {head: c.to_json() for head, c in self.calibration.items()},
            "spelling": self.spelling,
            "ngram_growth": self.ngrams.growth,
            "part_length": self.part_length,
            "network": self.model.config.to_json(),
        }
        files = {VOCABULARY: "\n".join(self.words).encode("utf-8", "surrogatepass")}
        files |= beside or {}
        if report is not None:
            files[REPORT] = report.encode("utf-8", "surrogatepass")
        save_artifact(
            folder,
            config=config,
            tensors=tensors,
            card=card,
            files=files,
            replace=replace,
        )


def load_classifier(source: Path | Artifact, *, device: str | torch.device = "cpu") -> Classifier:
    """Return the classifier of a weights folder, ready to answer; its hashes are checked."""
    artifact = load_artifact(source) if isinstance(source, Path) else source
    config = dict(artifact.config)
    state: dict[str, Tensor] = expand(artifact.tensors)
    keys = state.pop("ngrams.keys").numpy().view(np.uint32)
    idf = state.pop("ngrams.idf").float().numpy()
    with torch.device("meta"):
        model = TextClassifier(TextClassifier.Config.from_json(config["network"]))
    model.load_state_dict(state, assign=True)
    model.to(device).eval()
    vocabulary = artifact.files[VOCABULARY].decode("utf-8", "surrogatepass").split("\n")
    return Classifier(
        model,
        vocabulary,
        NgramTable(keys, idf, config.get("ngram_growth", 0.0)),
        {head: tuple(labels) for head, labels in config["heads"].items()},
        {head: Calibration.from_json(c) for head, c in config["calibration"].items()},
        config,
        spelling=config["spelling"],
        part_length=config["part_length"],
    )


def blend(scores: Scores, columns: slice, calibration: Calibration) -> Floats:
    """Return a head's class scores, each branch scaled as dev has it."""
    total: Any = 0.0
    if scores.sequence is not None:
        total = total + calibration.sequence * scores.sequence[:, columns].numpy()
    if scores.ngrams is not None:
        total = total + calibration.ngrams * scores.ngrams[:, columns].numpy()
    if calibration.bias:
        total = total + np.array(calibration.bias, dtype=np.float32)
    return np.asarray(total, dtype=np.float32)


def in_scope(labels: Sequence[str]) -> list[int]:
    """Return the columns of the labels that are answers, all but the class for out of scope."""
    return [i for i, label in enumerate(labels) if label != OUT_OF_SCOPE]


def signs_of(blended: Floats, labels: Sequence[str]) -> NDArray[np.float64]:
    """Return what speaks for out of scope, from a head's blended scores."""
    inside = in_scope(labels)
    outside = [i for i in range(len(labels)) if i not in inside]
    return scope_signs(blended[:, inside], blended[:, outside[0]] if outside else None)


def answer_names(labels: Sequence[str], calibration: Calibration) -> tuple[str, ...]:
    """Return the names of the columns of `apply`."""
    names = [labels[i] for i in in_scope(labels)]
    return (*names, OUT_OF_SCOPE) if calibration.out_of_scope else tuple(names)


def apply(blended: Floats, labels: Sequence[str], calibration: Calibration) -> Probabilities:
    """Return probabilities from blended scores, with out of scope as the last column if told."""
    names = answer_names(labels, calibration)
    values = softmax(sharpened(blended[:, in_scope(labels)], calibration.sharpness))
    rule = calibration.out_of_scope
    if rule is None:
        return Probabilities(names, values, np.zeros(len(values), dtype=bool))
    outside = scope_probability(signs_of(blended, labels), rule)
    values = np.concatenate([values * (1 - outside)[:, None], outside[:, None]], axis=1)
    return Probabilities(names, values, outside > rule.threshold)
