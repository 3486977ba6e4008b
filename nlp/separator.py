"""Linear separators over sparse n-grams: what a text model has to beat, and part of ours.

Of long texts a linear model knows as much as a network, and it is solved in seconds: it is one of
the teachers, and the n-gram branch of a model for long texts is taken from it.

Shapes: N texts, F features, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.integer]

_TRIPLES = 40_000_000  # characters; all triples of more would not fit in a training's memory
STRENGTHS = (0.5, 2.0)  # how hard training rows pull (scikit-learn's C): few classes ask for less


def separate(inputs_NF: Any, numbers: Ints, classes: int, *, strength: float = 0.5) -> Floats:
    """Return one linear separator a class, through the origin: (F, C), margins are inputs @ it.

    `inputs_NF` is a sparse matrix whose rows have length 1. Between two classes every feature is
    first weighed by the log ratio of its counts in the two (Wang and Manning 2012, "Baselines and
    Bigrams"). A class without a row gets margins below all others.
    """
    present = np.unique(numbers)
    weights_FC = np.zeros((inputs_NF.shape[1], classes), dtype=np.float32)
    if len(present) == 2:
        ratio_F = _log_ratio(inputs_NF, numbers == present[1])
        found_F = ratio_F * _solve(inputs_NF.multiply(ratio_F).tocsr(), numbers, strength)[0]
        weights_FC[:, present] = np.stack([-found_F, found_F], axis=1) / 2
    elif len(present) > 2:
        weights_FC[:, present] = _solve(inputs_NF, numbers, strength).T
    absent = np.setdiff1d(np.arange(classes), present)
    weights_FC[:, absent] = weights_FC.min(1, keepdims=True) - 1
    return weights_FC


def unseen_margins(
    inputs_NF: Any, numbers: Ints, classes: int, fold_of: NDArray[np.int64], *, strength: float
) -> Floats:
    """Return every row's margins (N, C) by a separator fitted on the other folds."""
    margins = np.zeros((len(numbers), classes), dtype=np.float32)
    for fold in np.unique(fold_of):
        seen, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        weights_FC = separate(inputs_NF[seen], numbers[seen], classes, strength=strength)
        margins[held] = inputs_NF[held] @ weights_FC
    return margins


def _solve(inputs_NF: Any, numbers: Ints, strength: float) -> Floats:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():  # near enough is near enough: shares are weighed on dev
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LinearSVC(C=strength, fit_intercept=False, random_state=0).fit(inputs_NF, numbers)
    return np.asarray(fitted.coef_, dtype=np.float32)


def _log_ratio(inputs_NF: Any, second_N: NDArray[np.bool_]) -> Floats:
    """Return for each feature how much likelier it is in the second class, as a logarithm."""
    held = (inputs_NF != 0).astype(np.float32)
    counts = [1 + np.asarray(held[rows].sum(0)).ravel() for rows in (~second_N, second_N)]
    shares = [count / count.sum() for count in counts]
    return np.asarray(np.log(shares[1] / shares[0]), dtype=np.float32)


class NgramFeatures:
    """Which words and pairs are in a text, and perhaps spellings (character 3- to 5-grams).

    Each is weighed by its rarity; every row has length 1.
    """

    def __init__(self, texts: Sequence[str], classes: int, *, spelling: bool) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        common: dict[str, Any] = {
            "binary": True,
            "norm": None,
            "min_df": 2 if len(texts) > 1000 else 1,
            "dtype": np.float32,
        }
        # punctuation counts too: a question mark says much; triples pay where a side is taken
        triples = classes == 2 and sum(len(text) for text in texts) <= _TRIPLES
        longest = 3 if triples else 2
        by_word = {"token_pattern": r"\w+|[^\w\s]", "ngram_range": (1, longest)}
        by_letter = {"analyzer": "char_wb", "ngram_range": (3, 5)}
        self._parts = [TfidfVectorizer(max_features=500_000, **common, **by_word)]
        if spelling:
            self._parts.append(TfidfVectorizer(max_features=100_000, **common, **by_letter))
        for part in self._parts:
            part.fit(texts)

    def __call__(self, texts: Sequence[str]) -> Any:
        """Return the texts' features (N, F), a sparse matrix."""
        from scipy.sparse import hstack
        from sklearn.preprocessing import normalize

        return normalize(hstack([part.transform(texts) for part in self._parts]).tocsr())
