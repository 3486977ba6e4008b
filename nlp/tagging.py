"""Training a span tagger: windows with marked words, and the balance of those without.

Shapes: B windows, T words, L labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nlp.models.span_tagger import SpanTagger, TagBatch
from nlp.tokens import normal
from nlp.windows import Window
from sequence import Padded
from sequence.buckets import bucketed

SPELLINGS = 4096
SHAPES = 16  # eight looks of a word, each at the beginning of a line or not


def shape_of(word: str) -> int:
    """Return how a word looks: a number below 8."""
    if word.isdigit():
        return 1 if len(word) == 4 else 2
    if not word[0].isalnum():
        return 3 if word in "\"'“”‘’()[]" else 4
    if word.isupper():
        return 5 if len(word) > 1 else 6
    return 7 if word[0].isupper() else 0


class WordNumbers:
    """Words to the numbers a tagger reads; each spelling is worked out once."""

    def __init__(self, words: Sequence[str], *, limit: int = 200_000) -> None:
        self.ids = {word: i for i, word in enumerate(words)}
        self.limit = limit
        self._known: dict[str, tuple[int, int, int]] = {}

    def encode(self, window: Window) -> NDArray[np.int32]:
        """Return (3, T): word ids, hashed spellings, shapes."""
        known = self._known
        if len(known) > self.limit:
            known.clear()
        rows = [known.get(word) or self._add(word) for word in window.words]
        numbers = np.array(rows, dtype=np.int32).reshape(-1, 3).T.copy()
        numbers[2] += 8 * np.array(window.breaks, dtype=np.int32)
        return numbers

    def _add(self, word: str) -> tuple[int, int, int]:
        plain = normal(word)
        spelling = zlib.crc32(plain.encode("utf-8", "surrogatepass")) % SPELLINGS
        self._known[word] = row = (self.ids.get(plain, 0), spelling, shape_of(word))
        return row


def make_batch(windows: Sequence[NDArray[np.int32]]) -> TagBatch:
    """Return encoded windows as one padded batch."""
    lengths = torch.tensor([window.shape[1] for window in windows])
    values = np.zeros((3, len(windows), int(lengths.max())), np.int32)
    for i, window in enumerate(windows):
        values[:, i, : window.shape[1]] = window
    words, spellings, shapes = torch.from_numpy(values).unbind(0)
    return TagBatch(Padded(words, lengths), spellings, shapes)


@dataclass(frozen=True)
class Example:
    """An encoded window and its marks: [first word, last word exclusive, label number]."""

    numbers: NDArray[np.int32]
    marks: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class TaggingSettings:
    """How a tagger is trained, beyond the loop's own settings."""

    items: int = 24  # windows of a batch
    steps: int = 4096  # padded words of a batch
    empty: float = 1.0  # windows without a mark for each one with marks, drawn anew every epoch
    positive: float = 3.0  # how much a marked word weighs against another
    windows: float = 0.3  # weight of the loss of "is it in this window at all?"


@dataclass
class TaggingTask:
    """What `sequence.training.train` asks for, for windows with marks."""

    model: SpanTagger
    train: Sequence[Example]
    dev: Sequence[Example]
    settings: TaggingSettings = field(default_factory=TaggingSettings)

    def batches(self, generator: np.random.Generator) -> Sequence[NDArray[np.int64]]:
        """Return every window with marks and as many without, by like length, in a new order."""
        marked = np.flatnonzero([bool(example.marks) for example in self.train])
        empty = np.flatnonzero([not example.marks for example in self.train])
        drawn = min(len(empty), round(self.settings.empty * len(marked)))
        chosen = np.concatenate([marked, generator.choice(empty, drawn, replace=False)])
        lengths = np.array([self.train[i].numbers.shape[1] for i in chosen])
        return [
            chosen[rows]
            for rows in bucketed(
                lengths, items=self.settings.items, steps=self.settings.steps, shuffle=generator
            )
        ]

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the cross-entropy of words and of windows; padding weighs nothing."""
        examples = [self.train[i] for i in rows]
        batch = make_batch([example.numbers for example in examples])
        targets_BTL = _targets(examples, batch, self.model.config.labels)
        scores = self.model(batch)
        losses_BTL = functional.binary_cross_entropy_with_logits(
            scores.words,
            targets_BTL,
            pos_weight=torch.tensor(self.settings.positive),
            reduction="none",
        )
        words = (losses_BTL.sum(2) * batch.words_BT.mask).sum() / batch.words_BT.lengths.sum()
        windows = functional.binary_cross_entropy_with_logits(
            scores.windows, targets_BTL.amax(1), reduction="none"
        )
        return words + self.settings.windows * windows.sum(1).mean()

    def score(self) -> dict[str, float]:
        """Return the mean over labels of the average precision of dev's words."""
        probabilities, truth = word_probabilities(self.model, self.dev), _truth(self.dev)
        labels = [i for i in range(probabilities.shape[1]) if truth[:, i].any()]
        each = [average_precision(probabilities[:, i], truth[:, i]) for i in labels]
        pooled = average_precision(probabilities[:, labels].ravel(), truth[:, labels].ravel())
        return {"score": (float(np.mean(each)) + pooled) / 2, "dev_map": float(np.mean(each))}

    def count(self) -> int:
        """Return how many marks there are to learn from."""
        return sum(len(example.marks) for example in self.train)


@torch.inference_mode()
def word_probabilities(
    model: SpanTagger, examples: Iterable[Example], *, items: int = 64, steps: int = 12_288
) -> NDArray[np.float32]:
    """Return every word's probability of every label, windows one after the other: (words, L)."""
    windows = [example.numbers for example in examples]
    lengths = np.array([window.shape[1] for window in windows], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    result = np.zeros((int(lengths.sum()), model.config.labels), np.float32)
    was_training = model.training
    model.eval()
    for rows in bucketed(lengths, items=items, steps=steps):
        logits_BTL = model(make_batch([windows[i] for i in rows])).words
        probabilities = logits_BTL.sigmoid().numpy()
        for place, row in enumerate(rows):
            start = starts[row]
            result[start : start + lengths[row]] = probabilities[place, : lengths[row]]
    model.train(was_training)
    return result


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the area under precision over recall, as a sum over the ranks of the true ones."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order]
    if not hits.any():
        return 0.0
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def _targets(examples: Sequence[Example], batch: TagBatch, labels: int) -> Tensor:
    targets_BTL = torch.zeros(*batch.words_BT.values.shape[:2], labels)
    for row, example in enumerate(examples):
        for first, last, label in example.marks:
            targets_BTL[row, first:last, label] = 1.0
    return targets_BTL


def _truth(examples: Sequence[Example]) -> NDArray[np.bool_]:
    labels = 1 + max((mark[2] for example in examples for mark in example.marks), default=0)
    lengths = [example.numbers.shape[1] for example in examples]
    truth = np.zeros((sum(lengths), max(labels, 1)), np.bool_)
    start = 0
    for example, length in zip(examples, lengths, strict=True):
        for first, last, label in example.marks:
            truth[start + first : start + last, label] = True
        start += length
    return truth
