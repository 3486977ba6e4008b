"""How good a classifier is, and how honest: accuracy, F1, calibration, share handled alone.

Shapes: N rows, L labels. Fractions throughout. A row's confidence is its top probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
BINS = 15


def accuracy(predicted: Ints, truth: Ints) -> float:
    """Return the share of rows that are right."""
    return float((predicted == truth).mean()) if len(truth) else 0.0


def f1_scores(predicted: Ints, truth: Ints) -> dict[int, float]:
    """Return the F1 of every label that is in the truth or in the predictions."""
    scores = {}
    for label in np.union1d(predicted, truth).tolist():
        hits = int(((predicted == label) & (truth == label)).sum())
        scores[label] = 2 * hits / int((predicted == label).sum() + (truth == label).sum())
    return scores


def macro_f1(predicted: Ints, truth: Ints) -> float:
    """Return the mean F1 of the labels in the truth or in the predictions."""
    scores = f1_scores(predicted, truth)
    return float(np.mean(list(scores.values()))) if scores else 0.0


def worth(probabilities: Floats, truth: Ints) -> float:
    """Return what training chooses by: accuracy; a little of the loss breaks ties."""
    return accuracy(probabilities.argmax(1), truth) - 0.02 * nll(probabilities, truth)


def nll(probabilities: Floats, truth: Ints) -> float:
    """Return the mean negative log of the true labels' probabilities."""
    if not len(truth):
        return 0.0
    right = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(right, 1e-12, 1)).mean())


def calibration_bins(
    confidence: Floats, right: NDArray[np.bool_]
) -> list[tuple[int, float, float]]:
    """Return rows, mean confidence and accuracy of each of 15 bins of equal width."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for i in range(BINS):
        inside = place == i
        count = int(inside.sum())
        mean = float(confidence[inside].mean()) if count else 0.0
        bins.append((count, mean, float(right[inside].mean()) if count else 0.0))
    return bins


def ece(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error of the top label, in 15 bins of equal width."""
    bins = calibration_bins(confidence, right)
    return sum(count * abs(mean - hit) for count, mean, hit in bins) / max(1, len(confidence))


def ece_if_perfect(confidence: Floats, *, draws: int = 1000, seed: int = 0) -> float:
    """Return the ECE that a perfectly calibrated model stays under in 95 of 100 samples.

    Rows are right with exactly the probability of their confidence; what ECE then comes out is
    chance. On few rows that is a good deal.
    """
    if not len(confidence):
        return 0.0
    generator = np.random.default_rng(seed)
    confidence = np.asarray(confidence, dtype=np.float64)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    order = np.argsort(place, kind="stable")
    sorted_confidence, edges = confidence[order], np.searchsorted(place[order], range(BINS))
    filled = np.unique(edges[edges < len(order)])
    expected = np.add.reduceat(sorted_confidence, filled)
    found = np.empty(draws)
    for i in range(draws):
        hits = (generator.random(len(order)) < sorted_confidence).astype(np.float64)
        found[i] = np.abs(np.add.reduceat(hits, filled) - expected).sum() / len(order)
    return float(np.quantile(found, 0.95))


def coverage(confidence: Floats, right: NDArray[np.bool_], precision: float) -> float:
    """Return the largest share of rows, most confident first, that is right to `precision`.

    Rows of equal confidence are taken together: a threshold cannot tell them apart.
    """
    if not len(confidence):
        return 0.0
    last, hits = _by_confidence(confidence, right)
    good = np.flatnonzero(hits / (last + 1) >= precision)
    return float((last[good[-1]] + 1) / len(confidence)) if len(good) else 0.0


def threshold_for(confidence: Floats, right: NDArray[np.bool_], precision: float) -> float:
    """Return the lowest confidence from which on rows are right to `precision`; 1 if none is."""
    if not len(confidence):
        return 1.0
    last, hits = _by_confidence(confidence, right)
    good = np.flatnonzero(hits / (last + 1) >= precision)
    return float(np.sort(confidence)[::-1][last[good[-1]]]) if len(good) else 1.0


def _by_confidence(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return the last place of each distinct confidence, highest first, and the hits up to it."""
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return last, np.cumsum(right[order].astype(np.int64))[last]


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive row scores higher than a negative one; ties count half."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / positives / negatives)


def confusion(predicted: Ints, truth: Ints, labels: int) -> NDArray[np.int64]:
    """Return how often label i (row) was called label j (column)."""
    cells = np.bincount(truth * labels + predicted, minlength=labels * labels)
    return np.asarray(cells.reshape(labels, labels), dtype=np.int64)
