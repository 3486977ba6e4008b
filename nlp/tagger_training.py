"""From annotated texts to a trained, calibrated span tagger, everything chosen on dev.

Shapes: T words of a text, L labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nlp import measures
from nlp.annotations import Annotated, labels_of
from nlp.clauses import to_words
from nlp.models.span_tagger import SpanTagger
from nlp.tagger import ReadText, TagCalibration, Tagger, find_all, judge
from nlp.tagging import Example, TaggingSettings, TaggingTask, WordNumbers
from nlp.tokens import normal
from nlp.vectors import WordVectors
from nlp.windows import Window, cut
from sequence.encoder import EncoderConfig
from sequence.training import History, Progress, TrainingSettings, train

Ints = NDArray[np.int64]
SEEDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # tried for each label on dev
COMMON = 3_000  # words among which one without a vector gets a row of its own
UNKNOWN_WORD = "<unknown>"
SENTENCE = 80  # code points: a label whose stretches are longer as a rule marks whole sentences


@dataclass(frozen=True, kw_only=True)
class TaggerRecipe:
    """Everything that decides what the training of a tagger does, besides its data."""

    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(hidden_size=128))
    words: int = 16_000  # at most, by how often they stand in the texts
    dropout: float = 0.4
    epochs: int = 10
    patience: int = 4
    learning_rate: float = 2e-3
    average: float = 0.999
    precision: float = 0.95  # what is not marked for review should be right so often
    tagging: TaggingSettings = field(default_factory=TaggingSettings)
    seed: int = 0


@dataclass(frozen=True)
class TrainedTagger:
    """A tagger, how its training went, and what it does on dev."""

    tagger: Tagger
    history: History
    dev: dict[str, float]


def train_tagger(
    rows: Sequence[Annotated],
    dev: Sequence[Annotated],
    recipe: TaggerRecipe,
    *,
    vectors: WordVectors | None = None,
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> TrainedTagger:
    """Return a tagger of the labels in `rows`. Raises NotEnoughData."""
    labels = labels_of(rows)
    windows = [cut(row.text) for row in rows]
    words = _vocabulary(windows, vectors, recipe.words)
    numbers = WordNumbers(words)
    torch.manual_seed(recipe.seed)
    model = SpanTagger(
        SpanTagger.Config(
            words=len(words),
            labels=len(labels),
            word_size=vectors.size if vectors else 100,
            encoder=recipe.encoder,
            dropout=recipe.dropout,
        )
    )
    _take_vectors(model, words, vectors)
    task = TaggingTask(
        model,
        _examples(windows, rows, labels, numbers),
        _examples([cut(row.text) for row in dev], dev, labels, numbers),
        recipe.tagging,
    )
    settings = TrainingSettings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        average=recipe.average,
        patience=recipe.patience,
        seed=recipe.seed,
    )
    history = train(model, task, settings, checkpoint=checkpoint, on_step=on_step)
    whole = _whole_sentences(rows, labels)
    start = TagCalibration(seeds=(0.5,) * len(labels), sentences=whole, biases=(0.0,) * len(labels))
    tagger = Tagger(model, words, labels, start)
    tagger.calibration = calibrate(tagger, dev, recipe.precision)
    return TrainedTagger(tagger, history, measure(tagger, dev))


def calibrate(tagger: Tagger, dev: Sequence[Annotated], precision: float) -> TagCalibration:
    """Return each label's best seed, the confidence of a strength, and the threshold of doubt."""
    read = [ReadText(row.text, *tagger.probabilities(row.text)) for row in dev]
    whole = tagger.calibration.sentences
    seeds = tuple(
        _best_seed(i, read, dev, tagger.labels, sentences=whole[i])
        for i in range(len(tagger.labels))
    )
    start = replace(tagger.calibration, seeds=seeds)
    stretches, right = [], []
    for text, row in zip(read, dev, strict=True):
        found = find_all(text, start)
        stretches += found
        right += judge(found, row.marks, tagger.labels).right.tolist()
    hits = np.array(right, dtype=np.bool_)
    biases = _biases(np.array([s.label for s in stretches]), hits, len(tagger.labels))
    slope, shift = _logistic(
        np.array([s.strength for s in stretches]),
        np.array([biases[s.label] for s in stretches]),
        hits,
    )
    fitted = replace(start, biases=biases, slope=slope, shift=shift, precision=precision)
    confidences = np.array([fitted.confidence(s) for s in stretches], dtype=np.float32)
    return replace(
        fitted,
        threshold=measures.threshold_for(confidences, hits, precision),
        coverage=measures.coverage(confidences, hits, precision),
    )


def measure(tagger: Tagger, rows: Sequence[Annotated]) -> dict[str, float]:
    """Return how the tagger does on annotated texts, fractions throughout.

    `precision`, `recall` and `f1` of stretches that share half of their union with a marked one;
    `presence_f1` of "is there such a clause in this text?"; `ece` of the confidences;
    `coverage_at_95_precision` and `coverage_at_98_precision`: the share of found stretches that
    can be taken without a look.
    """
    found = marked = hit = present = both = asked = 0
    confidences: list[float] = []
    right: list[bool] = []
    for row in rows:
        stretches = tagger.find(row.text)
        judged = judge(stretches, row.marks, tagger.labels)
        found, marked, hit = found + len(stretches), marked + judged.marked, hit + judged.hit
        confidences += [tagger.calibration.confidence(s) for s in stretches]
        right += judged.right.tolist()
        here = {tagger.labels[s.label] for s in stretches}
        true = {mark.label for mark in row.marks}
        present, asked, both = present + len(true), asked + len(here), both + len(here & true)
    correct = sum(right)
    precision, recall = correct / max(1, found), hit / max(1, marked)
    sure, hits = np.array(confidences, dtype=np.float32), np.array(right, dtype=np.bool_)
    return {
        "texts": len(rows),
        "marked": marked,
        "found": found,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "presence_f1": 2 * both / max(1, present + asked),
        "ece": measures.ece(sure, hits),
        "coverage_at_95_precision": measures.coverage(sure, hits, 0.95),
        "coverage_at_98_precision": measures.coverage(sure, hits, 0.98),
    }


def _vocabulary(
    windows: Sequence[Sequence[Window]], vectors: WordVectors | None, size: int
) -> list[str]:
    """Return the most frequent words with a known vector, and the commonest without one."""
    counts = Counter(normal(word) for text in windows for window in text for word in window.words)
    known = set(vectors.words) if vectors else set()
    with_vector = [w for w, count in counts.most_common() if w in known and count >= 2]
    without = [w for w, count in counts.most_common(COMMON) if w not in known and count >= 20]
    return [UNKNOWN_WORD, *with_vector[:size], *without]


def _take_vectors(model: SpanTagger, words: Sequence[str], vectors: WordVectors | None) -> None:
    if vectors is None:
        return
    place = {word: i for i, word in enumerate(vectors.words)}
    with torch.no_grad():
        for row, word in enumerate(words):
            if word in place:
                vector = torch.from_numpy(vectors.matrix[place[word]])
                model.word_vectors.weight[row] = vector * 0.5  # about the other tables' size


def _examples(
    windows: Sequence[Sequence[Window]],
    rows: Sequence[Annotated],
    labels: Sequence[str],
    numbers: WordNumbers,
) -> list[Example]:
    return [
        Example(numbers.encode(window), to_words(window, row.marks, labels))
        for text, row in zip(windows, rows, strict=True)
        for window in text
    ]


def _whole_sentences(rows: Sequence[Annotated], labels: Sequence[str]) -> tuple[bool, ...]:
    """Return of each label whether its marks are as long as sentences, by their median."""
    lengths: dict[str, list[int]] = {label: [] for label in labels}
    for row in rows:
        for mark in row.marks:
            lengths[mark.label].append(mark.end - mark.start)
    return tuple(float(np.median(lengths[label])) > SENTENCE for label in labels)


def _best_seed(
    label: int,
    read: Sequence[ReadText],
    dev: Sequence[Annotated],
    labels: Sequence[str],
    *,
    sentences: bool,
) -> float:
    """Return the seed with the best F1 on dev, drawn towards the middle where dev has little."""
    name = labels[label]
    best, best_score = 0.5, -1.0
    for seed in SEEDS:
        found = right = marked = hit = 0
        for text, row in zip(read, dev, strict=True):
            marks = [mark for mark in row.marks if mark.label == name]
            stretches = text.find(label, seed, sentences=sentences)
            judged = judge(stretches, marks, labels)
            found, right = found + len(stretches), right + int(judged.right.sum())
            marked, hit = marked + judged.marked, hit + judged.hit
        # two imagined stretches, one found: a seed must earn its place with more than luck
        score = (right + hit + 2) / (found + marked + 4) - 0.05 * abs(seed - 0.5)
        if score > best_score:
            best, best_score = seed, score
    return best


def _biases(labels: Ints, right: NDArray[np.bool_], count: int) -> tuple[float, ...]:
    """Return how much more often each label is right, in log odds, drawn towards none at all.

    Eight imagined stretches, right as often as all are, stand beside each label's own.
    """
    mean = min(max(float(right.mean()) if len(right) else 0.5, 0.01), 0.99)
    found = np.bincount(labels, minlength=count) + 8.0
    hits = np.bincount(labels, weights=right, minlength=count) + 8.0 * mean
    rate = np.clip(hits / found, 0.01, 0.99)
    return tuple((np.log(rate / (1 - rate)) - np.log(mean / (1 - mean))).tolist())


def _logistic(
    strengths: NDArray[np.float64], biases: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return slope and shift that make `right` most likely (Platt 1999); 1 and 0 of too few."""
    if len(right) < 20 or right.all() or not right.any():
        return 1.0, 0.0
    clipped = torch.tensor(np.clip(strengths, 1e-4, 1 - 1e-4))
    logits, truth = torch.logit(clipped), torch.tensor(right, dtype=torch.float64)
    offsets = torch.tensor(biases)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scores = weights[0] * logits + weights[1] + offsets
        value = functional.binary_cross_entropy_with_logits(scores, truth)
        value.backward()
        return value

    optimizer.step(loss)
    slope, shift = weights.detach().tolist()
    return slope, shift
