"""Texts as tensors: words in parts of bounded length, and n-grams as weighted bags.

Shapes: G documents, C parts of them (a long document is read in several), T words of the longest
part, F n-grams of all documents together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp.lexicon import Lexicon, pair_keys
from sequence import Padded


@dataclass(frozen=True)
class TextBatch:
    """What the model reads of G documents."""

    words_CT: Padded  # word ids
    parts_G: Tensor  # how many rows of `words_CT` each document has; all 1: None of them is long
    rows_F: Tensor  # of the n-gram table
    weights_F: Tensor
    offsets_G: Tensor  # where each document's n-grams start
    documents_F: NDArray[np.int64]  # which document each n-gram is of
    sources_F: NDArray[np.int64]  # of which distinct word, or, of a pair, at which word of all
    pairs_F: NDArray[np.bool_]  # whether it is a pair of words
    distinct: NDArray[np.int64]  # for every word of all, which of the distinct ones it is
    lengths: NDArray[np.int64]  # words of each document

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.parts_G)

    def to(self, device: torch.device) -> TextBatch:
        """Return the batch with its tensors on `device`."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            words_CT=self.words_CT.to(device),
            parts_G=self.parts_G.to(device, non_blocking=True),
            rows_F=self.rows_F.to(device, non_blocking=True),
            weights_F=self.weights_F.to(device, non_blocking=True),
            offsets_G=self.offsets_G.to(device, non_blocking=True),
        )


def make_batch(
    documents: Sequence[NDArray[np.int32]], lexicon: Lexicon, *, part_length: int = 128
) -> TextBatch:
    """Return a batch of documents that `lexicon.encode` gave, in order; one may have no word."""
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    types = (
        np.concatenate(documents).astype(np.int64) if lengths.sum() else np.zeros(0, dtype=np.int64)
    )
    owners = np.repeat(np.arange(len(documents)), lengths)
    words_CT, parts_G = _parts(lexicon.word_ids[types], lengths, part_length)
    grams = _ngrams(types, owners, lengths, lexicon)
    return TextBatch(words_CT, torch.from_numpy(parts_G), lengths=lengths, **grams)


def _parts(
    ids: NDArray[np.int32], lengths: NDArray[np.int64], part_length: int
) -> tuple[Padded, NDArray[np.int64]]:
    """Cut every document into the fewest parts of at most `part_length`, of even sizes."""
    counts = np.maximum(1, -(-lengths // part_length))
    sizes = np.maximum(1, -(-lengths // counts))
    starts = np.cumsum(lengths) - lengths
    places = np.arange(len(ids)) - np.repeat(starts, lengths)  # within the document
    size_of = np.repeat(sizes, lengths)
    first_part = np.cumsum(counts) - counts
    part = np.repeat(first_part, lengths) + places // np.maximum(size_of, 1)
    part_lengths = np.bincount(part, minlength=int(counts.sum())).astype(np.int64)
    values = np.zeros((len(part_lengths), max(1, int(part_lengths.max(initial=0)))), np.int32)
    values[part, places % np.maximum(size_of, 1)] = ids
    return Padded(torch.from_numpy(values), torch.from_numpy(part_lengths)), counts


def _ngrams(
    types: NDArray[np.int64],
    owners: NDArray[np.int64],
    lengths: NDArray[np.int64],
    lexicon: Lexicon,
) -> dict[str, Any]:
    """Return rows, weights and offsets of the bags, and where each n-gram stands.

    A word counts once a document, however often it stands there (with its spelling), and so
    does a pair. Weights are idf, each document's scaled to length 1, or to what
    the table gives to texts of so many words.
    """
    known = len(lexicon.types) + 1
    unique, distinct = np.unique(owners * known + types, return_inverse=True)
    rows_w, counts = lexicon.rows_of(unique % known)
    owner_w = np.repeat(unique // known, counts)
    rows_p, owner_p, source_p = _pairs(types, owners, lexicon)
    owner = np.concatenate([owner_w, owner_p])
    order = np.argsort(owner, kind="stable") if len(rows_p) else np.arange(len(owner))
    owner = owner[order]
    rows = np.concatenate([rows_w, rows_p])[order]
    source_w = np.repeat(np.arange(len(unique)), counts)
    idf = lexicon.ngrams.idf[rows] if len(rows) else np.zeros(0, np.float32)
    norm = np.sqrt(np.bincount(owner, idf * idf, minlength=len(lengths)))
    scale = lexicon.ngrams.weight_of(lengths) / np.maximum(norm, 1e-6)
    weights = (idf * scale[owner]).astype(np.float32)
    counted = np.bincount(owner, minlength=len(lengths))
    return {
        "rows_F": torch.from_numpy(rows),
        "weights_F": torch.from_numpy(weights),
        "offsets_G": torch.from_numpy((np.cumsum(counted) - counted).astype(np.int32)),
        "documents_F": owner,
        "sources_F": np.concatenate([source_w, source_p])[order],
        "pairs_F": (np.arange(len(rows)) >= len(rows_w))[order],
        "distinct": distinct.astype(np.int64),
    }


def _pairs(
    types: NDArray[np.int64], owners: NDArray[np.int64], lexicon: Lexicon
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    keys = lexicon.keys[types]
    if len(keys) < 2 or not len(lexicon.ngrams.keys):
        nothing = np.zeros(0, dtype=np.int64)
        return nothing.astype(np.int32), nothing, nothing
    rows = lexicon.ngrams.rows(pair_keys(keys[:-1], keys[1:]))
    places = np.flatnonzero((rows >= 0) & (owners[:-1] == owners[1:]))
    size = len(lexicon.ngrams.keys) + 1
    unique, first = np.unique(owners[places] * size + rows[places], return_index=True)
    return (unique % size).astype(np.int32), unique // size, places[first]
