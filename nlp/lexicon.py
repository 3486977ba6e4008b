"""Every word seen so far, with what a model needs to know of it, looked up once.

Texts repeat few words: what a word's id is and which n-gram rows it has is worked out when the
word is first met and then gathered from flat arrays, so that a batch costs no Python per word.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.tokens import normal

Ints = NDArray[np.int64]
Keys = NDArray[np.uint32]

_SENTENCE, _PAGE = 32, 512  # words; past a page n-grams gain no more
UNKNOWN = 0  # the word id of what the vocabulary does not hold
_MULTIPLIER = np.uint32(0x9E3779B1)  # 2^32 / golden ratio: Fibonacci hashing (Knuth 6.4)


def word_key(word: str) -> int:
    """Return the 32-bit key of a normal word."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def spelling_keys(word: str) -> list[int]:
    """Return the keys of a word's character 3- to 5-grams, its ends marked, as fastText has them.

    The word itself has its own key, so a 3-gram that is a whole word stays apart by its marks.
    """
    marked = f"<{word[:40]}>".encode("utf-8", "surrogatepass")
    if len(marked) > 60:  # not ASCII: grams are of bytes, keep them few
        marked = marked[:60]
    crc = zlib.crc32
    # the length is the start value: "abc" as a 3-gram is not the word "abc"
    return [
        crc(marked[i : i + size], size) for size in (3, 4, 5) for i in range(len(marked) - size + 1)
    ]


def pair_keys(first: Keys, second: Keys) -> Keys:
    """Return the keys of pairs of words; the order of the two counts."""
    mixed = (first ^ (first >> np.uint32(15))) * _MULTIPLIER
    mixed = (mixed ^ (second >> np.uint32(3))) + second * np.uint32(0x85EBCA6B)
    return np.asarray(mixed ^ (mixed >> np.uint32(13)), dtype=np.uint32)


@dataclass(frozen=True)
class NgramTable:
    """Which n-grams a model knows: sorted 32-bit keys, and how much each says (its idf)."""

    keys: Keys
    idf: NDArray[np.float32]
    growth: float = 0.0  # the power of a text's words that its n-grams gain weight with

    def weight_of(self, lengths: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return what the n-grams of texts of so many words weigh together; 1 for a sentence.

        N-grams say much of a page and little of a sentence, where the order of words says more.
        """
        sentences = np.clip(lengths, 1, _PAGE) / _SENTENCE
        return np.asarray(sentences**self.growth, dtype=np.float32)

    def rows(self, keys: Keys) -> NDArray[np.int32]:
        """Return the row of each key, -1 where it is not known."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int32)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[found] == keys, found, -1).astype(np.int32)

    @classmethod
    def empty(cls) -> NgramTable:
        """Return a table that knows nothing."""
        return cls(np.zeros(0, np.uint32), np.zeros(0, np.float32))


class Lexicon:
    """Words to numbers: a word seen before costs one look-up in a dictionary.

    `types` numbers the distinct spellings met so far. It is emptied when it holds `limit` of
    them, so that memory stays flat over millions of documents: never in the middle of a batch.
    """

    def __init__(
        self, words: Sequence[str], ngrams: NgramTable, *, spelling: bool, limit: int = 300_000
    ) -> None:
        self.words = {word: i for i, word in enumerate(words)}
        self.ngrams = ngrams
        self.spelling = spelling
        self.limit = limit
        self._empty()

    def _empty(self) -> None:
        self.types: dict[str, int] = {}
        self.word_ids = np.zeros(1024, np.int32)
        self.keys = np.zeros(1024, np.uint32)
        self.starts = np.zeros(1025, np.int64)  # of each type's rows in `rows`
        self.rows = np.zeros(8192, np.int32)

    def encode(self, documents: Sequence[Sequence[str]]) -> list[NDArray[np.int32]]:
        """Return each document's words as type numbers; valid until the next call of `encode`."""
        if len(self.types) > self.limit:
            self._empty()
        types = self.types
        numbers = []
        for document in documents:
            ids = [types.get(word, -1) for word in document]
            if -1 in ids:
                ids = [types[w] if w in types else self._add(w) for w in document]
            numbers.append(np.array(ids, dtype=np.int32))
        return numbers

    def _add(self, spelling: str) -> int:
        number = len(self.types)
        if number + 1 >= len(self.word_ids):
            self.word_ids = _grown(self.word_ids)
            self.keys = _grown(self.keys)
            self.starts = _grown(self.starts)
        word = normal(spelling)
        key = word_key(word)
        keys = [key, *spelling_keys(word)] if self.spelling else [key]
        known = self.ngrams.rows(np.array(keys, dtype=np.uint32))
        known = known[known >= 0]
        start = int(self.starts[number])
        while start + len(known) > len(self.rows):
            self.rows = _grown(self.rows)
        self.rows[start : start + len(known)] = known
        self.starts[number + 1] = start + len(known)
        self.word_ids[number] = self.words.get(word, UNKNOWN)
        self.keys[number] = key
        self.types[spelling] = number
        return number

    def rows_of(self, numbers: Ints) -> tuple[NDArray[np.int32], Ints]:
        """Return all n-gram rows of the types, one after the other, and how many each has."""
        counts = self.starts[numbers + 1] - self.starts[numbers]
        return self.rows[ranges(self.starts[numbers], counts)], counts


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Return start, start + 1, ... (count of them) for each pair, one after the other."""
    total = int(counts.sum())
    offsets = np.cumsum(counts) - counts
    return np.arange(total) + np.repeat(starts - offsets, counts)


def _grown(array: NDArray) -> NDArray:
    return np.concatenate([array, np.zeros_like(array)])
