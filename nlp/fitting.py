"""Training a text classifier: batches of like length, a loss for each head, a score on dev.

Shapes: G documents of a batch, L labels of all heads together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nlp import measures
from nlp.batch import TextBatch, make_batch
from nlp.lexicon import Lexicon
from nlp.models.text_classifier import Scores, TextClassifier
from sequence.buckets import bucketed

Floats = NDArray[np.float32]
Types = Sequence[NDArray[np.int32]]


@dataclass(frozen=True)
class Goal:
    """What one head should learn: a distribution over its labels for every training row.

    NaN rows teach nothing. `truth` are dev's labels, -1 where a dev row has none.
    """

    targets: Floats
    weights: Floats  # of labels
    truth: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FittingSettings:
    """How a text classifier is trained, beyond the loop's own settings."""

    items: int = 32  # documents of a batch, at most
    steps: int = 8192  # padded words of a batch, at most
    part_length: int = 128
    branches: float = 0.5  # weight of the loss of each branch alone


class ClassifierTask:
    """What `sequence.training.train` asks for, for texts with labels."""

    def __init__(
        self,
        model: TextClassifier,
        lexicon: Lexicon,
        train: Types,
        dev: Types,
        goals: Mapping[str, Goal],
        settings: FittingSettings,
    ) -> None:
        self.model, self.lexicon, self.settings = model, lexicon, settings
        self.train, self.dev, self.goals = train, dev, goals
        self.device = next(model.parameters()).device
        self.lengths = np.array([len(document) for document in train], dtype=np.int64)
        self.targets = torch.from_numpy(np.concatenate([g.targets for g in goals.values()], axis=1))
        self.weights = {
            head: torch.from_numpy(goal.weights).to(self.device) for head, goal in goals.items()
        }

    def batches(self, generator: np.random.Generator) -> Sequence[NDArray[np.int64]]:
        """Return row numbers of documents of like length, in a new order."""
        settings = self.settings
        return bucketed(self.lengths, items=settings.items, steps=settings.steps, shuffle=generator)

    def loss(self, batch: NDArray[np.int64]) -> Tensor:
        """Return the mean cross-entropy over heads, of the whole and of each branch alone.

        A branch that is only ever trained through the sum stops learning as soon as the other
        explains the training rows, and knows less of new ones. One that is kept as it is knows
        the training rows by heart: the other then learns alone.
        """
        documents = [self.train[i] for i in batch]
        inputs = make_batch(documents, self.lexicon, part_length=self.settings.part_length)
        scores = self.model(inputs.to(self.device))
        targets_GL = self.targets[torch.from_numpy(batch)].to(self.device)
        loss = self._cross_entropy(scores.total, targets_GL)  # of the branches that learn
        if scores.sequence is not None and scores.ngrams is not None and self.settings.branches:
            alone = self._cross_entropy(scores.sequence, targets_GL)
            loss = loss + self.settings.branches * (
                alone + self._cross_entropy(scores.ngrams, targets_GL)
            )
        return loss

    def _cross_entropy(self, scores_GL: Tensor, targets_GL: Tensor) -> Tensor:
        start = 0
        total = scores_GL.new_zeros(())
        for head in self.goals:
            size = len(self.weights[head])
            target = targets_GL[:, start : start + size]
            known = ~target[:, 0].isnan()
            log_p = functional.log_softmax(scores_GL[:, start : start + size].float(), dim=1)
            target = torch.where(known.unsqueeze(1), target, 0.0)
            losses = -(target * self.weights[head] * log_p).sum(1)
            total = total + losses.sum() / len(target)
            start += size
        return total

    def score(self) -> dict[str, float]:
        """Return dev's accuracy and loss, over heads; a little of the loss breaks ties."""
        scores = predict(self.model, self.lexicon, self.dev, self.settings.part_length).total
        hits, losses, worths = [], [], []
        start = 0
        for goal in self.goals.values():
            size = goal.targets.shape[1]
            own = functional.softmax(scores[:, start : start + size].float(), dim=1).numpy()
            known = goal.truth >= 0
            start += size
            if known.any():
                hits.append(measures.accuracy(own[known].argmax(1), goal.truth[known]))
                losses.append(measures.nll(own[known], goal.truth[known]))
                worths.append(measures.worth(own[known], goal.truth[known]))
        return {
            "score": float(np.mean(worths)),
            "dev_accuracy": float(np.mean(hits)),
            "dev_loss": float(np.mean(losses)),
        }


@torch.no_grad()
def predict(
    model: TextClassifier,
    lexicon: Lexicon,
    documents: Types,
    part_length: int,
    *,
    items: int = 256,
    steps: int = 16_384,
) -> Scores:
    """Return both branches' class scores of every document, in order, on the CPU."""
    sequence, ngrams = torch.zeros(len(documents), model.labels), None
    if model.ngram_table is not None:
        ngrams = torch.zeros(len(documents), model.labels)
    for rows, batch in _batches(model, lexicon, documents, part_length, items, steps):
        scores, _ = model.scores_and_states(batch, keep=2 * steps)
        index = torch.from_numpy(rows)
        if scores.sequence is not None:
            sequence[index] = scores.sequence.float().cpu()
        if ngrams is not None and scores.ngrams is not None:
            ngrams[index] = scores.ngrams.float().cpu()
    return Scores(sequence if model.head is not None else None, ngrams)


@torch.no_grad()
def embed(
    model: TextClassifier,
    lexicon: Lexicon,
    documents: Types,
    part_length: int,
    *,
    items: int = 256,
    steps: int = 16_384,
) -> tuple[Scores, Tensor | None]:
    """Return what `predict` does and each document's pooled vector (N, P), in order, on the CPU."""
    scored: list[Scores] = []
    pooled: list[Tensor] = []
    order: list[NDArray[np.int64]] = []
    for rows, batch in _batches(model, lexicon, documents, part_length, items, steps):
        scores, own = model.scores_and_pooled(batch)
        order.append(rows)
        scored.append(scores)
        if own is not None:
            pooled.append(own.float().cpu())
    back = torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))

    def sorted_back(parts: Sequence[Tensor | None]) -> Tensor | None:
        whole = [part.float().cpu() for part in parts if part is not None]
        return torch.cat(whole)[back] if whole else None

    branches = Scores(*(sorted_back(branch) for branch in zip(*scored, strict=True)))
    return branches, sorted_back(pooled)


def _batches(
    model: TextClassifier,
    lexicon: Lexicon,
    documents: Types,
    part_length: int,
    items: int,
    steps: int,
) -> Iterator[tuple[NDArray[np.int64], TextBatch]]:
    """Yield batches of documents of like length, where the model is, and which rows they are."""
    device = next(model.parameters()).device
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    for rows in bucketed(lengths, items=items, steps=steps):
        batch = make_batch([documents[i] for i in rows], lexicon, part_length=part_length)
        yield rows, batch.to(device)
