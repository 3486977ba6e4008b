"""The n-gram branch of a model for long texts: solved before the network trains, and kept.

A linear separator has one best answer, found in seconds; steps of gradient descent that are right
for a network stop short of it. On dev of imdb the branch alone knows 91.0 % when it is solved, and
87.3 % when it was trained beside the network. Of short texts it learns more from a teacher's
opinion on many made-up ones.

Shapes: N texts, F n-grams, L labels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp import measures
from nlp.batch import make_batch
from nlp.calibration import softmax, temperature
from nlp.lexicon import Lexicon
from nlp.panel import assign_folds
from nlp.separator import STRENGTHS, separate, unseen_margins

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Types = Sequence[NDArray[np.int32]]

ENOUGH = 100  # rows of dev to choose on
FOLDS = 5
_TOGETHER = 512  # documents whose n-grams are looked up at once


def solvable() -> bool:
    """Say whether the library that solves it is installed (extra `train`)."""
    return find_spec("sklearn") is not None


def ngram_matrix(documents: Types, lexicon: Lexicon) -> Any:
    """Return the weighted n-grams that the model reads in each document: sparse, (N, F)."""
    from scipy.sparse import csr_matrix, vstack

    blocks = [csr_matrix((0, len(lexicon.ngrams.keys)), dtype=np.float32)]
    for start in range(0, len(documents), _TOGETHER):
        batch = make_batch(documents[start : start + _TOGETHER], lexicon)
        ends = np.append(batch.offsets_G.numpy(), len(batch.rows_F))
        entries = (batch.weights_F.numpy(), batch.rows_F.numpy(), ends)
        blocks.append(csr_matrix(entries, shape=(len(batch), len(lexicon.ngrams.keys))))
    return vstack(blocks).tocsr()


def solve(train: Any, numbers: Ints, dev: Any, truth: Ints, labels: int) -> Floats:
    """Return one head's class scores of every n-gram, (F, L), scaled to be log-probabilities.

    `train` and `dev` are matrices of n-grams, `numbers` and `truth` their labels, -1 where a
    text has none. How strongly rows pull, and the scale, are chosen on dev; where that is small,
    on what training rows get by folds that never saw them.
    """
    known, asked = np.flatnonzero(numbers >= 0), np.flatnonzero(truth >= 0)
    inputs, own, answers = train[known], numbers[known], truth[asked]
    fold_of = None
    if len(asked) < min(ENOUGH, len(known)):
        fold_of, answers = assign_folds(own, FOLDS, 0), own
    best, chosen = np.inf, np.zeros((train.shape[1], labels), dtype=np.float32)
    for strength in STRENGTHS:
        weights_FL = separate(inputs, own, labels, strength=strength)
        if fold_of is None:
            margins = dev[asked] @ weights_FL
        else:
            margins = unseen_margins(inputs, own, labels, fold_of, strength=strength)
        heat = temperature(margins, answers)
        loss = measures.nll(softmax(margins / heat), answers)
        if loss < best:
            best, chosen = loss, weights_FL / np.float32(heat)
    return chosen
