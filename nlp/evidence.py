"""Which words spoke for an answer, as spans of the text.

Three ways. `contributions`: the model's score is a sum over words (attention and max pooling
select states, the n-gram branch adds weights), so that every word's share of it is known exactly,
at no cost worth naming. `attention`: the weights of the attention pooling. `gradients`: integrated
gradients (Sundararajan et al. 2017) over the word vectors and n-gram weights, twenty passes
forwards and back. `benchmarks/evidence` measures all three by deletion; readers show the first.

Shapes: G documents, C parts, T words, L labels, P pooled vector, N words of all documents.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp.batch import TextBatch
from nlp.models.text_classifier import TextClassifier
from nlp.outcome import Evidence
from sequence import Padded
from sequence.pooling import AdditiveAttention

Floats = NDArray[np.float64]
MOST = 8  # words shown at most
SHARE = 0.75  # of what spoke for the answer, after which no further word is shown


def contributions(
    model: TextClassifier,
    batch: TextBatch,
    states_CTH: Padded | None,
    directions: tuple[Tensor | None, Tensor | None],
) -> Floats:
    """Return what each word of all documents adds to its document's answer (N,).

    `directions` are, for each branch, what of its pooled vector speaks for the answer (G, ...).
    """
    sequence, ngrams = directions
    total = np.zeros(int(batch.lengths.sum()))
    if states_CTH is not None and sequence is not None:
        start = 0
        for pooling in model.poolings:
            size = int(pooling.output_size)  # type: ignore[arg-type]
            part = sequence[:, start : start + size]
            added_CT = pooling.contributions(states_CTH, batch.parts_G, part)  # type: ignore[operator]
            total += added_CT[states_CTH.mask].detach().double().cpu().numpy()
            start += size
    if ngrams is not None and model.ngram_table is not None and len(batch.rows_F):
        total += _from_ngrams(model, batch, ngrams)
    return total


def directions(
    model: TextClassifier, columns: slice, answers: NDArray[np.int64], scales: tuple[float, float]
) -> tuple[Tensor | None, Tensor | None]:
    """Return what speaks for each document's answer against the mean of the other labels'.

    `answers` (G,) are places within `columns`; `scales` are the branches' calibration.
    """
    size = columns.stop - columns.start
    contrast_GL = torch.full((len(answers), size), -1.0 / max(1, size - 1))
    contrast_GL[torch.arange(len(answers)), torch.from_numpy(answers)] = 1.0
    sequence = ngrams = None
    if model.head is not None:
        sequence = scales[0] * contrast_GL @ model.head.weight[columns].detach().cpu()
    if model.ngram_head is not None:
        ngrams = scales[1] * contrast_GL @ model.ngram_head.weight[columns].detach().cpu()
    elif model.ngram_table is not None:
        ngrams = torch.zeros(len(answers), model.labels)
        ngrams[:, columns] = scales[1] * contrast_GL
    return sequence, ngrams


def _from_ngrams(model: TextClassifier, batch: TextBatch, direction_GV: Tensor) -> Floats:
    """Return what the n-grams of each word add: a pair's half and half to its two words."""
    if model.ngram_table is None:
        return np.zeros(len(batch.distinct))
    vectors_FV = model.ngram_table.weight[batch.rows_F].detach()
    wanted_FV = direction_GV[torch.from_numpy(batch.documents_F)]
    added = ((vectors_FV * wanted_FV).sum(1) * batch.weights_F).double().numpy()
    single, paired = ~batch.pairs_F, batch.pairs_F
    distinct = int(batch.distinct.max(initial=-1)) + 1
    of_word = np.bincount(batch.sources_F[single], added[single], minlength=distinct)
    seen = np.bincount(batch.distinct, minlength=distinct)
    total = (of_word / np.maximum(seen, 1))[batch.distinct]  # over all places the word stands
    half = np.bincount(batch.sources_F[paired], added[paired] / 2, minlength=len(total) + 1)
    total += half[:-1]
    total[1:] += half[: len(total) - 1]
    return total


def attention(model: TextClassifier, batch: TextBatch, states_CTH: Padded) -> Floats:
    """Return the attention each word of all documents gets (N,); zeros without such a pooling."""
    for pooling in model.poolings:
        if isinstance(pooling, AdditiveAttention):
            weights_CT = pooling.sequence_weights(states_CTH, batch.parts_G).sum(2)
            return np.asarray(weights_CT[states_CTH.mask].detach().double().cpu().numpy())
    return np.zeros(int(batch.lengths.sum()))


def gradients(
    model: TextClassifier,
    batch: TextBatch,
    columns: slice,
    answers: NDArray[np.int64],
    *,
    steps: int = 20,
) -> Floats:
    """Return integrated gradients of each word (N,), from no word at all to the text as it is."""
    with torch.no_grad():
        whole_CTD = model.word_vectors(batch.words_CT.values)
    size = columns.stop - columns.start
    contrast_GL = torch.full((len(batch), size), -1.0 / max(1, size - 1))
    contrast_GL[torch.arange(len(batch)), torch.from_numpy(answers)] = 1.0
    total_CT = torch.zeros(whole_CTD.shape[:2])
    for step in range(steps):
        vectors = (whole_CTD * ((step + 0.5) / steps)).requires_grad_()
        states = model.encode(batch.words_CT.with_values(vectors))
        if model.head is None:
            break
        scores_GL = model.head(model.pool(states, batch.parts_G))[:, columns]
        (slope,) = torch.autograd.grad((scores_GL * contrast_GL).sum(), vectors)
        total_CT += (slope * whole_CTD).sum(2) / steps
    total = np.asarray(total_CT[batch.words_CT.mask].detach().double().numpy())
    if model.ngram_table is not None:  # linear: the integral is the contribution itself
        total = total + _from_ngrams(model, batch, _ngram_direction(model, columns, contrast_GL))
    return total


def _ngram_direction(model: TextClassifier, columns: slice, contrast_GL: Tensor) -> Tensor:
    if model.ngram_head is not None:
        return contrast_GL @ model.ngram_head.weight[columns].detach()
    direction = torch.zeros(len(contrast_GL), model.labels)
    direction[:, columns] = contrast_GL
    return direction


def spans_of(
    added: NDArray[np.floating], places: list[tuple[int, int]], text: str
) -> tuple[Evidence, ...]:
    """Return the words that spoke most for an answer, neighbours joined, in order of the text.

    A span's weight is its share of all that spoke for the answer.
    """
    for_it = np.maximum(added, 0)
    total = float(for_it.sum())
    if total <= 0:
        return ()
    ranked = np.argsort(-for_it, kind="stable")[:MOST]
    before = np.cumsum(for_it[ranked]) - for_it[ranked]
    chosen = np.sort(ranked[(before < SHARE * total) & (for_it[ranked] > 0)])
    found: list[Evidence] = []
    for word in chosen.tolist():
        start, end = places[word]
        weight = float(for_it[word]) / total
        last = found[-1] if found else None
        if last is not None and text[last.end : start].strip(" ") == "" and start - last.end <= 1:
            found[-1] = Evidence(last.start, end, last.weight + weight)
        else:
            found.append(Evidence(start, end, weight))
    return tuple(found)
