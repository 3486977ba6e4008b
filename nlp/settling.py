"""What dev settles once a classifier is trained: how its branches are weighed, and when to doubt.

Shapes: N texts of dev.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp import measures
from nlp.calibration import (
    Calibration,
    doubt_threshold,
    fit_bias,
    fit_out_of_scope,
    fit_scales,
    fit_sharpness,
    softmax,
)
from nlp.classifier import Classifier, apply, blend, in_scope, signs_of
from nlp.models.text_classifier import Scores
from nlp.recipe import Recipe

GROWTHS = (0.0, 0.5, 1.0)  # how much more n-grams may say of long texts: powers of their words


def calibrate(
    classifier: Classifier,
    scores: Scores,
    lengths: NDArray[np.int64],
    dev_truth: dict[str, NDArray[np.int64]],
    recipe: Recipe,
) -> Scores:
    """Fit on dev how branches are weighed, every head's threshold of doubt and rule for scope.

    `lengths` are dev's words. Returns dev's scores with n-grams weighed by them.
    """
    best, chosen = -np.inf, scores
    solved = classifier.model.keeps_ngrams
    for growth in GROWTHS if scores.sequence is not None and scores.ngrams is not None else (0.0,):
        weight = replace(classifier.ngrams, growth=growth).weight_of(lengths)
        grown = _times(scores, weight)
        fitted, worth = {}, []
        for head, labels in classifier.heads.items():
            known = np.flatnonzero(dev_truth[head] >= 0)
            own = Scores(*(None if branch is None else branch[known] for branch in grown))
            numbers, columns = dev_truth[head][known], classifier.columns[head]
            fitted[head] = _calibration(own, columns, labels, numbers, recipe, solved)
            if len(known):
                blended = blend(own, columns, fitted[head])
                worth.append(measures.worth(softmax(blended), numbers))
        mean = float(np.mean(worth or [0.0]))
        if best < mean:
            best = mean
            classifier.grow(growth)
            classifier.calibration.update(fitted)
            chosen = grown
    return chosen


def _times(scores: Scores, weight: NDArray[np.float32]) -> Scores:
    """Return scores with those of n-grams weighed."""
    if scores.ngrams is None:
        return scores
    return Scores(scores.sequence, scores.ngrams * torch.from_numpy(weight).unsqueeze(1))


def _calibration(
    scores: Scores,
    columns: slice,
    labels: tuple[str, ...],
    numbers: NDArray[np.int64],
    recipe: Recipe,
    solved: bool,
) -> Calibration:
    inside = in_scope(labels)
    place = {column: i for i, column in enumerate(inside)}
    within = np.array([place.get(int(number), -1) for number in numbers], dtype=np.int64)
    rows = np.flatnonzero(within >= 0)

    def branch(values: Any) -> Any:
        return None if values is None else values[rows][:, columns].numpy()[:, inside]

    branches = branch(scores.sequence), branch(scores.ngrams)
    sequence, ngrams = fit_scales(*branches, within[rows], solved=solved)
    fitted = Calibration(sequence=sequence, ngrams=ngrams, precision=recipe.precision)
    blended = blend(scores, columns, fitted)
    if len(inside) == 2:
        bias = np.zeros(len(labels), dtype=np.float32)
        bias[inside[1]] = fit_bias(blended[rows][:, inside], within[rows])
        fitted, blended = replace(fitted, bias=tuple(bias.tolist())), blended + bias
    sharpness = fit_sharpness(blended[rows][:, inside], within[rows])
    values = replace(fitted, sharpness=sharpness).to_json()
    if recipe.out_of_scope is not None and (within < 0).sum() >= 5:
        values["out_of_scope"] = fit_out_of_scope(
            signs_of(blended, labels), within < 0, recipe.out_of_scope, recipe.false_rejection
        )
    fitted = Calibration(**values)
    answer = apply(blended, labels, fitted)
    expected = np.where(within < 0, len(inside), within)
    right = answer.values.argmax(1) == expected
    confidence = answer.values.max(1)
    values["threshold"] = doubt_threshold(confidence, right, recipe.precision, len(answer.names))
    return Calibration(**values)
