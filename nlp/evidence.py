"""Which words spoke for an answer, as spans of the text.

Three ways. `contributions`: the model's score is a sum over words (attention and max pooling
select states, the n-gram branch adds weights), so that every word's share of it is known exactly,
at no cost worth naming. `attention`: the weights of the attention pooling. `gradients`: integrated
gradients (Sundararajan et al. 2017) over the word vectors and n-gram weights, twenty passes
forwards and back. `benchmarks/evidence` measures all three by deletion; readers show the first.

Shapes: G documents, C parts, T words, L labels, P pooled vector, N words of all documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp.batch import TextBatch
from nlp.models.text_classifier import TextClassifier, Told
from nlp.outcome import Evidence
from sequence.pooling import AdditiveAttention

Floats = NDArray[np.float64]
MOST = 8  # words shown at most
SHARE = 0.75  # of what spoke for the answer, after which no further word is shown


class Directions(NamedTuple):
    """What of a document's vectors speaks for its answer."""

    sequence: Tensor | None  # (G, P), of the pooled states
    ngrams: Tensor | None  # (G, V), of the n-gram vectors; None: the table holds scores
    columns: slice  # of the head's labels among all
    answers: NDArray[np.int64]  # (G,), places within the columns
    scale: float  # of the n-gram branch


def contributions(
    model: TextClassifier,
    batch: TextBatch,
    told: Told | None,
    directions: Directions,
) -> Floats:
    """Return what each word of all documents adds to its document's answer (N,).

    `directions` are, for each branch, what of its pooled vector speaks for the answer (G, ...).
    """
    total = np.zeros(int(batch.lengths.sum()))
    if told is not None and directions.sequence is not None:
        start = 0
        mask = told.states.mask
        for pooling, parts in zip(model.poolings, told.parts, strict=True):
            size = int(pooling.output_size)  # type: ignore[arg-type]
            part = directions.sequence[:, start : start + size]
            added_CT = pooling.contributions(  # type: ignore[operator]
                told.states, parts, batch.parts_G, part
            )
            total += added_CT[mask].detach().double().cpu().numpy()
            start += size
    if model.ngram_table is not None and len(batch.rows_F):
        total += _from_ngrams(model, batch, directions)
    return total


def directions(
    model: TextClassifier, columns: slice, answers: NDArray[np.int64], scales: tuple[float, float]
) -> Directions:
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
        ngrams = contrast_GL @ model.ngram_head.weight[columns].detach().cpu()
    return Directions(sequence, ngrams, columns, answers, scales[1])


def _from_ngrams(model: TextClassifier, batch: TextBatch, wanted: Directions) -> Floats:
    """Return what the n-grams of each word add: a pair's half and half to its two words."""
    if model.ngram_table is None:
        return np.zeros(len(batch.distinct))
    table = model.ngram_table.weight.detach()
    if wanted.ngrams is not None:
        vectors_FV = table[batch.rows_F]
        found = (vectors_FV * wanted.ngrams[torch.from_numpy(batch.documents_F)]).sum(1)
        each = found.numpy()
    else:
        # scores straight from the table: the answer's column against the mean of the others
        rows, columns = batch.rows_F.numpy(), wanted.columns
        own = table.numpy()[rows, columns.start + wanted.answers[batch.documents_F]]
        others = max(1, columns.stop - columns.start - 1)
        whole = _row_sums(model.ngram_table, columns)[rows]
        each = own * (1 + 1 / others) - whole / others
    added = wanted.scale * each.astype(np.float64) * batch.weights_F.numpy()
    single, paired = ~batch.pairs_F, batch.pairs_F
    distinct = int(batch.distinct.max(initial=-1)) + 1
    of_word = np.bincount(batch.sources_F[single], added[single], minlength=distinct)
    seen = np.bincount(batch.distinct, minlength=distinct)
    total = (of_word / np.maximum(seen, 1))[batch.distinct]  # over all places the word stands
    half = np.bincount(batch.sources_F[paired], added[paired] / 2, minlength=len(total) + 1)
    total += half[:-1]
    total[1:] += half[: len(total) - 1]
    return total


_sums: WeakKeyDictionary[nn.Module, dict[tuple[int, int], NDArray[np.float32]]] = (
    WeakKeyDictionary()
)


def _row_sums(table: nn.Embedding, columns: slice) -> NDArray[np.float32]:
    """Return the sum of each row's columns: worked out once a model, for it never changes."""
    known = _sums.setdefault(table, {})
    key = (columns.start, columns.stop)
    if key not in known:
        known[key] = table.weight[:, columns].detach().sum(1).numpy()
    return known[key]


def attention(model: TextClassifier, batch: TextBatch, told: Told) -> Floats:
    """Return the attention each word of all documents gets (N,); zeros without such a pooling."""
    for pooling, parts in zip(model.poolings, told.parts, strict=True):
        if isinstance(pooling, AdditiveAttention):
            weights_CT = pooling.sequence_weights(parts, batch.parts_G).sum(2)
            return np.asarray(weights_CT[told.states.mask].detach().double().cpu().numpy())
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
        total = total + _from_ngrams(model, batch, directions(model, columns, answers, (1.0, 1.0)))
    return total


class Chosen(NamedTuple):
    """The words shown of many documents, one after the other: in order of document and text."""

    documents: NDArray[np.int64]
    words: NDArray[np.int64]  # places among the words of all
    weights: Floats


def strongest(added: NDArray[np.floating], lengths: NDArray[np.int64]) -> Chosen:
    """Return the words that spoke most for their document's answer, and what share each had.

    `added` (N,) is what each word of all documents adds, `lengths` (G,) each document's words.
    """
    steps = int(lengths.max(initial=0))
    there_GT = np.arange(steps) < lengths[:, None]
    for_it_GT = np.zeros(there_GT.shape)
    for_it_GT[there_GT] = np.maximum(added, 0)
    total_G1 = for_it_GT.sum(1, keepdims=True)
    ranked_GM = np.argsort(-for_it_GT, axis=1, kind="stable")[:, :MOST]
    best_GM = np.take_along_axis(for_it_GT, ranked_GM, 1)
    before_GM = np.cumsum(best_GM, axis=1) - best_GM
    rows, ranks = np.nonzero((before_GM < SHARE * total_G1) & (best_GM > 0))
    words = (np.cumsum(lengths) - lengths)[rows] + ranked_GM[rows, ranks]
    weights = best_GM[rows, ranks] / total_G1[rows, 0]
    order = np.argsort(words, kind="stable")
    return Chosen(rows[order], words[order], weights[order])


def joined(
    chosen: Chosen, starts: NDArray[np.int64], ends: NDArray[np.int64], texts: Sequence[str]
) -> list[tuple[Evidence, ...]]:
    """Return each text's chosen words as spans, neighbours joined; `starts` of all words (N,)."""
    found: list[list[Evidence]] = [[] for _ in texts]
    places = (starts[chosen.words].tolist(), ends[chosen.words].tolist(), chosen.weights.tolist())
    for row, start, end, weight in zip(chosen.documents.tolist(), *places, strict=True):
        spans = found[row]
        if spans:
            last = spans[-1]
            near = start - last.end
            if near == 0 or (near == 1 and texts[row][last.end] == " "):
                spans[-1] = Evidence(last.start, end, last.weight + weight)
                continue
        spans.append(Evidence(start, end, weight))
    return [tuple(spans) for spans in found]


def spans_of(
    added: NDArray[np.floating], places: Sequence[tuple[int, int]], text: str
) -> tuple[Evidence, ...]:
    """Return the words that spoke most for an answer, neighbours joined, in order of the text.

    A span's weight is its share of all that spoke for the answer.
    """
    starts, ends = np.array(places, dtype=np.int64).reshape(-1, 2).T
    chosen = strongest(added, np.array([len(places)]))
    return joined(chosen, starts, ends, [text])[0]
