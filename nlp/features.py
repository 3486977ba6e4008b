"""What a model of these documents should know: its words, and its n-grams.

Shapes: N documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.lexicon import NgramTable, pair_keys, spelling_keys, word_key
from nlp.tokens import normal
from nlp.vectors import WordVectors

UNKNOWN_WORD = "<unknown>"


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """How much a model takes note of."""

    least: int = 2  # documents a word or n-gram must be in
    general_words: int = 20_000  # frequent words of the vectors, in the documents or not
    document_words: int = 40_000  # at most so many of the documents' own
    ngrams: int = 80_000  # at most so many n-grams; 0: no such branch
    spelling: bool = True  # character 3- to 5-grams among them


LONG = 80  # words: documents this long on average have words enough without spellings


def settings_for(documents: Sequence[Sequence[str]]) -> FeatureSettings:
    """Return what suits the documents: long ones more n-grams, and none inside words.

    On newsgroups20's dev a linear model over the 80,000 most telling n-grams knows 92.1 %, over
    300,000 words and pairs 92.9 to 93.9 %.
    """
    if is_long(documents):
        return FeatureSettings(ngrams=300_000, spelling=False)
    return FeatureSettings()


def is_long(documents: Sequence[Sequence[str]]) -> bool:
    """Say whether the documents are long on average."""
    return bool(np.mean([len(document) for document in documents]) >= LONG)


def normalised(documents: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the documents with every word in the form it is looked up by."""
    forms: dict[str, str] = {}
    for document in documents:
        for word in document:
            if word not in forms:
                forms[word] = normal(word)
    return [[forms[word] for word in document] for document in documents]


def choose_words(
    documents: Sequence[Sequence[str]], vectors: WordVectors | None, settings: FeatureSettings
) -> list[str]:
    """Return the words of a vocabulary, the unknown one first; `documents` are normalised.

    A word seen once has a vector of its own only if the vectors have it: from one sight nothing
    is learned that the unknown word does not say as well.
    """
    counts = Counter(word for document in documents for word in set(document))
    known = set(vectors.words) if vectors else set()
    own = [w for w, n in counts.most_common() if n >= settings.least or w in known]
    words = dict.fromkeys([UNKNOWN_WORD, *own[: settings.document_words]])
    if vectors is not None:
        words.update(dict.fromkeys(vectors.words[: settings.general_words]))
    return list(words)


def word_table(
    words: Sequence[str], vectors: WordVectors | None, size: int, seed: int
) -> NDArray[np.float32]:
    """Return a starting vector for each word: the given one, else small random numbers."""
    generator = np.random.default_rng([seed, 77])
    table = generator.normal(0, 0.1, (len(words), size)).astype(np.float32)
    if vectors is not None:
        place = {word: i for i, word in enumerate(vectors.words)}
        pairs = [(i, place[word]) for i, word in enumerate(words) if word in place]
        if pairs:
            ours, theirs = (np.array(column) for column in zip(*pairs, strict=True))
            table[ours] = vectors.matrix[theirs]
    return table


def choose_ngrams(
    documents: Sequence[Sequence[str]],
    labels: NDArray[np.int64] | None,
    settings: FeatureSettings,
) -> NgramTable:
    """Return the words, pairs and spellings worth a row, and their idf; documents are normalised.

    With `labels` (N,) (of few classes) those are kept that tell the classes apart; else the
    most frequent.
    """
    if not settings.ngrams:
        return NgramTable.empty()
    types: dict[str, int] = {}
    flat = np.array([types.setdefault(w, len(types)) for d in documents for w in d], np.int64)
    owners = np.repeat(np.arange(len(documents)), [len(d) for d in documents])
    word_keys = np.array([word_key(word) for word in types], dtype=np.uint32)
    seen = np.unique(owners * max(1, len(types)) + flat)  # every word once a document
    seen_owner, seen_type = seen // max(1, len(types)), seen % max(1, len(types))
    keys, holders = [word_keys[seen_type]], [seen_owner]
    together = owners[:-1] == owners[1:]
    pairs = pair_keys(word_keys[flat[:-1]], word_keys[flat[1:]])[together]
    found = np.unique((owners[:-1][together].astype(np.uint64) << np.uint64(32)) | pairs)
    keys.append((found & np.uint64(0xFFFFFFFF)).astype(np.uint32))
    holders.append((found >> np.uint64(32)).astype(np.int64))
    if settings.spelling:
        spelled_keys, spelled_holders = _spellings(list(types), seen_type, seen_owner, settings)
        keys.append(spelled_keys)
        holders.append(spelled_holders)
    return _best(np.concatenate(keys), np.concatenate(holders), labels, len(documents), settings)


def _spellings(
    types: list[str],
    seen_type: NDArray[np.int64],
    seen_owner: NDArray[np.int64],
    settings: FeatureSettings,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return every document's spelling keys; words in too few documents add none of their own."""
    grams = [np.array(spelling_keys(word), dtype=np.uint32) for word in types]
    sizes = np.array([len(g) for g in grams], dtype=np.int64)
    flat = np.concatenate(grams) if grams else np.zeros(0, np.uint32)
    # keep only grams that enough sightings of words hold: the rest cannot reach the table
    frequency = np.bincount(seen_type, minlength=len(types))
    unique, place = np.unique(flat, return_inverse=True)
    held = np.bincount(place, np.repeat(frequency, sizes), minlength=len(unique)).astype(np.int64)
    limit = max(settings.least, _floor_of(held, 2 * settings.ngrams))
    keep = held[place] >= limit
    kept_sizes = np.bincount(np.repeat(np.arange(len(types)), sizes)[keep], minlength=len(types))
    kept = flat[keep]
    kept_starts = np.cumsum(kept_sizes) - kept_sizes
    counts = kept_sizes[seen_type]
    total = int(counts.sum())
    index = np.arange(total) + np.repeat(
        kept_starts[seen_type] - (np.cumsum(counts) - counts), counts
    )
    return kept[index], np.repeat(seen_owner, counts)


def _floor_of(counts: NDArray[np.integer], size: int) -> float:
    """Return the count that only `size` entries reach."""
    if len(counts) <= size:
        return 0.0
    return float(np.partition(counts, len(counts) - size)[len(counts) - size])


def _best(
    keys: NDArray[np.uint32],
    holders: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    documents: int,
    settings: FeatureSettings,
) -> NgramTable:
    unique, place, frequency = np.unique(keys, return_inverse=True, return_counts=True)
    often = frequency >= settings.least
    worth = frequency.astype(np.float64)
    if labels is not None and often.sum() > settings.ngrams and labels.max(initial=0) < 32:
        worth = _tells_apart(place, holders, labels, len(unique))
    worth = np.where(often, worth, -1.0)
    count = min(settings.ngrams, int(often.sum()))
    kept = np.sort(np.argsort(-worth, kind="stable")[:count])
    idf = np.log((1 + documents) / (1 + np.minimum(frequency[kept], documents))) + 1
    return NgramTable(unique[kept].astype(np.uint32), idf.astype(np.float32))


def _tells_apart(
    place: NDArray[np.int64], holders: NDArray[np.int64], labels: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Return each n-gram's largest chi-squared-like deviation from the classes' shares."""
    total = np.bincount(place, minlength=size).astype(np.float64)
    worth = np.zeros(size)
    of_row = labels[holders]
    for label in range(int(labels.max()) + 1):
        share = max(float((labels == label).mean()), 1e-9)
        seen = np.bincount(place[of_row == label], minlength=size)
        expected = total * share
        worth = np.maximum(worth, (seen - expected) ** 2 / np.maximum(expected, 1e-9))
    return worth
