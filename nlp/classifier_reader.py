"""Outcomes from a text classifier: labels with calibrated confidence, doubt and evidence.

Shapes: G documents of a batch, C parts of them, P pooled vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp import evidence
from nlp.batch import TextBatch, make_batch
from nlp.calibration import OUT_OF_SCOPE
from nlp.classifier import Classifier, Probabilities, in_scope, load_classifier
from nlp.models.text_classifier import Scores, Told
from nlp.neighbours import Projection, projection_of
from nlp.outcome import Evidence, Item, Label, Outcome
from nlp.sentences import sentences as sentences_of
from nlp.tokens import places, words
from sequence.artifact import Artifact
from sequence.buckets import bucketed

ITEMS, STEPS = 256, 8_192  # documents of a batch, and its padded words: what the cache holds
LONGEST_SHOWN = 50_000  # words of a document past which its evidence is of n-grams alone


class ClassifierReader:
    """Reads texts with a text classifier's weights."""

    def __init__(
        self, classifier: Classifier, *, kind: str, projection: Projection | None = None
    ) -> None:
        self.classifier = classifier
        self.kind = kind
        self.projection = projection  # where the model keeps labelled examples
        config = classifier.config
        self.scored: Mapping[str, str] = config.get("scored", {})  # head -> what scores 1
        self.by_sentence: Mapping[str, str] = config.get("by_sentence", {})

    @torch.inference_mode()
    def read(
        self,
        items: Sequence[Item],
        languages: Sequence[str | None],
        *,
        sentences: bool,
        vectors: bool,
    ) -> list[Outcome]:
        """Return one outcome an item, in order."""
        classifier = self.classifier
        texts = [item.text for item in items]
        whole = [head for head in classifier.heads if head not in self.by_sentence]
        labels: list[dict[str, Label]] = [{} for _ in items]
        positions: list[bytes | None] = [None] * len(items)
        split = [words(text) for text in texts] if whole else []
        documents = classifier.lexicon.encode(split)
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        for rows in bucketed(lengths, items=ITEMS, steps=STEPS):
            batch = make_batch(
                [documents[i] for i in rows],
                classifier.lexicon,
                part_length=classifier.part_length,
            )
            read = [texts[i] for i in rows]
            places_N = places(read, [split[i] for i in rows])
            found, near = self._labels(batch, read, places_N, whole, vectors)
            for head, own in found.items():
                for i, label in zip(rows.tolist(), own, strict=True):
                    labels[i][head] = label
            for i, vector in zip(rows.tolist(), near, strict=True):
                positions[i] = vector
        for head, side in self.by_sentence.items():
            for mine, label in zip(labels, self._asked(items, head, side), strict=True):
                mine[head] = label
        scored = self._sentence_scores(texts) if sentences and self.scored else [()] * len(items)
        together = zip(items, labels, languages, scored, positions, strict=True)
        return [self._outcome(*row) for row in together]

    def _outcome(
        self,
        item: Item,
        labels: Mapping[str, Label],
        language: str | None,
        sentences: tuple[Mapping[str, Any], ...],
        vector: bytes | None,
    ) -> Outcome:
        config = self.classifier.config
        return Outcome(
            kind=self.kind,
            labels={head: labels[head] for head in self.classifier.heads},
            entities=(),
            language=language,
            model=config["name"],
            version=str(config["version"]),
            characters=len(item.text),
            of=len(item.text),
            sentences=sentences,
            vector=vector,
        )

    def _labels(
        self,
        batch: TextBatch,
        texts: Sequence[str],
        places_N: tuple[NDArray[np.int64], NDArray[np.int64]],
        heads: Sequence[str],
        vectors: bool,
    ) -> tuple[dict[str, list[Label]], list[bytes | None]]:
        """Return each head's label of every document of a batch, with evidence, and its vector.

        `places_N` are where all words start and end, each within its document's text.
        Vectors are None unless they were asked for and the model keeps examples.
        """
        classifier = self.classifier
        scores, told = classifier.model.scores_and_states(batch, keep=LONGEST_SHOWN)
        labels: dict[str, list[Label]] = {}
        for head in heads:
            answer = classifier.calibrated(head, scores)
            added = self._contributions(batch, told, head, answer)
            chosen = evidence.strongest(added, batch.lengths)
            labels[head] = self._answers(head, answer, evidence.joined(chosen, *places_N, texts))
        if not vectors or self.projection is None:
            return labels, [None] * len(texts)
        return labels, self._vectors(self.projection, scores, told, len(texts))

    def _vectors(
        self, projection: Projection, scores: Scores, told: Told | None, count: int
    ) -> list[bytes | None]:
        """Return each document's vector among the labelled examples that the model keeps.

        None for a document that was so long that its states were let go.
        """
        if told is None and self.classifier.model.head is not None:
            return [None] * count
        pooled = None if told is None else told.pooled
        vectors = projection(self.classifier.representation(scores, pooled))
        return [vector.tobytes() for vector in vectors]

    def _contributions(
        self, batch: TextBatch, told: Told | None, head: str, answer: Probabilities
    ) -> NDArray[np.float64]:
        classifier = self.classifier
        inside = in_scope(classifier.heads[head])
        best = np.array(inside, dtype=np.int64)[answer.values[:, : len(inside)].argmax(1)]
        fitted = classifier.calibration[head]
        wanted = evidence.directions(
            classifier.model, classifier.columns[head], best, (fitted.sequence, fitted.ngrams)
        )
        return evidence.contributions(classifier.model, batch, told, wanted)

    def _answers(
        self, head: str, answer: Probabilities, shown: Sequence[tuple[Evidence, ...]]
    ) -> list[Label]:
        """Return each row's label; what is rejected is said to be out of scope, with doubt."""
        names, values = answer.names, answer.values
        told = values[:, : len(names) - (names[-1] == OUT_OF_SCOPE)]
        best = told.argmax(1)
        confidences = told[np.arange(len(told)), best].tolist()
        threshold = self.classifier.calibration[head].threshold
        scores: list[float | None] = [None] * len(told)
        if head in self.scored:
            side = values[:, names.index(self.scored[head])]
            scores = (side.astype(np.float64) * 2 - 1).tolist()
        labels = []
        for row, (place, confidence) in enumerate(zip(best.tolist(), confidences, strict=True)):
            if answer.rejected[row]:
                outside = float(values[row, -1])
                labels.append(Label(OUT_OF_SCOPE, outside, needs_review=True))
                continue
            labels.append(
                Label(names[place], confidence, confidence < threshold, shown[row], scores[row])
            )
        return labels

    def _asked(self, items: Sequence[Item], head: str, answer: str) -> list[Label]:
        """Return the label of a head that one sentence can settle: the likeliest sentence's."""
        pieces: list[str] = []
        found: list[list[tuple[int, int]]] = []
        for item in items:
            start, end = _own_part(item)
            own = [
                (start + a, start + b)
                for a, b in sentences_of(item.text[start:end])
                if _says_something(item.text[start + a : start + b])
            ]
            found.append(own or [(start, end)])
            pieces.extend(item.text[a:b] for a, b in found[-1])
        probabilities = self.classifier.calibrated(head, self.classifier.scores(pieces))
        column = probabilities.names.index(answer)
        threshold = self.classifier.calibration[head].threshold
        labels, at = [], 0
        for own in found:
            values = probabilities.values[at : at + len(own)]
            at += len(own)
            top = int(values[:, column].argmax())
            best = int(values[top].argmax())
            confidence = float(values[top, best])
            shown = (Evidence(*own[top], 1.0),) if best == column else ()
            labels.append(
                Label(probabilities.names[best], confidence, confidence < threshold, shown)
            )
        return labels

    def _sentence_scores(self, texts: Sequence[str]) -> list[tuple[Mapping[str, Any], ...]]:
        """Return each sentence's place and score, of the first scored head."""
        head, side = next(iter(self.scored.items()))
        found = [sentences_of(text) for text in texts]
        pieces = [text[a:b] for text, own in zip(texts, found, strict=True) for a, b in own]
        if not pieces:
            return [()] * len(texts)
        answer = self.classifier.calibrated(head, self.classifier.scores(pieces))
        values = iter(range(len(pieces)))
        return [
            tuple(
                {"start": a, "end": b, "score": round(_side(answer, next(values), side), 4)}
                for a, b in own
            )
            for own in found
        ]


def _says_something(sentence: str) -> bool:
    """Say whether a sentence can ask for anything: no greeting, no name under a letter."""
    return "?" in sentence or len(sentence.split()) > 3


def _side(answer: Probabilities, row: int, side: str) -> float:
    """Return a two-sided answer as one number: 1 is `side` for certain, -1 the other."""
    return float(answer.values[row, answer.names.index(side)] * 2 - 1)


def _own_part(item: Item) -> tuple[int, int]:
    """Return where the writer's own words stand: of an email without what it quotes, if known."""
    reply = (item.mail or {}).get("reply_text")
    if isinstance(reply, str) and reply.strip():
        start = item.text.find(reply)
        if start >= 0:
            return start, start + len(reply)
    return 0, len(item.text)


def make_reader(artifact: Artifact, *, kind: str, device: torch.device) -> ClassifierReader:
    """Return a reader of a text classifier's weights."""
    return ClassifierReader(
        load_classifier(artifact, device=device),
        kind=kind,
        projection=projection_of(artifact.files),
    )
