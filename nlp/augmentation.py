"""Texts that nobody wrote, made from texts that somebody did, for a teacher to label.

A small model learns a teacher's view from many texts near the real ones (Tang et al. 2019, section
3.2: masking, replacing and sampling words). Here a word gives way to a near one by its vector,
words are left out or change places, a text is cut, or goes on as another one does; a long text
gives some of its sentences. What such a text means is not ours to say: whoever uses it asks a
teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nlp.tokens import normal, words
from nlp.vectors import WordVectors

NEIGHBOURS = 12  # of a word, that may stand in its place
_AMONG = 30_000  # most frequent words: rarer ones are mostly names
_REPLACED = (0.0, 0.1, 0.2, 0.35)  # shares of words that give way, one picked a text
_LOST = 0.04
_SPLICED, _CUT, _SWAPPED = 0.2, 0.1, 0.1  # shares of texts
LONG = 60  # words: of a longer text, a variant is one to three of its sentences
_MOST = 50  # words of such a piece
_ENDS = frozenset(".!?")


def neighbours(wanted: Iterable[str], vectors: WordVectors) -> dict[str, list[str]]:
    """Return the words nearest to each of `wanted` by cosine; words without a vector are absent."""
    near = vectors.first(_AMONG)
    unit = near.matrix / np.maximum(np.linalg.norm(near.matrix, axis=1, keepdims=True), 1e-6)
    place = {word: i for i, word in enumerate(near.words)}
    plain = np.array([word.isalpha() for word in near.words])
    asked = sorted({word for word in wanted if word in place and word.isalpha()})
    found: dict[str, list[str]] = {}
    for start in range(0, len(asked), 512):
        block = asked[start : start + 512]
        cosine = unit[[place[word] for word in block]] @ unit.T
        cosine[:, ~plain] = -1.0
        top = np.argpartition(-cosine, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]
        for word, row in zip(block, top, strict=True):
            found[word] = [near.words[i] for i in row if near.words[i] != word]
    return found


def variants(
    texts: Sequence[str],
    count: int,
    *,
    vectors: WordVectors | None = None,
    seed: int = 0,
) -> list[str]:
    """Return `count` variants of each text, those of one text side by side.

    Without `vectors` no word gives way to another. The same seed gives the same variants.
    """
    random = np.random.default_rng([seed, 41])
    documents = [words(text) for text in texts]
    vocabulary = {normal(word) for document in documents for word in document}
    near = neighbours(vocabulary, vectors) if vectors is not None else {}
    made = []
    for text, document in zip(texts, documents, strict=True):
        for _ in range(count):
            changed = _shaped(document, documents, random)
            made.append(" ".join(_worded(changed, near, random)) or text)
    return made


def _shaped(
    document: list[str], others: Sequence[list[str]], random: np.random.Generator
) -> list[str]:
    """Return the words of a text, of a part of it, or of one that ends as another does."""
    if len(document) > LONG:
        return _piece(document, random)
    chance = random.random()
    if chance < _SPLICED and len(document) > 3:
        other = others[int(random.integers(len(others)))]
        start = int(random.integers(len(other))) if other else 0
        return document[: int(random.integers(1, len(document)))] + other[start:]
    if chance < _SPLICED + _CUT and len(document) > 4:
        size = int(random.integers(len(document) // 2, len(document)))
        start = int(random.integers(len(document) - size + 1))
        return document[start : start + size]
    return list(document)


def _piece(document: list[str], random: np.random.Generator) -> list[str]:
    """Return one to three sentences of a long text, from a random place of it."""
    ends = [i + 1 for i, word in enumerate(document) if word in _ENDS]
    starts = [0, *(end for end in ends if end < len(document) - 3)]
    start = starts[int(random.integers(len(starts)))]
    following = [end for end in ends if end > start + 2]
    wanted = int(random.integers(1, 4))
    end = following[wanted - 1] if len(following) >= wanted else len(document)
    return document[start : min(end, start + _MOST)]


def _worded(
    document: list[str], near: dict[str, list[str]], random: np.random.Generator
) -> list[str]:
    """Return the words with some replaced, some left out and two that changed places."""
    share = _REPLACED[int(random.integers(len(_REPLACED)))]
    chances = random.random(len(document))
    result = []
    for word, chance in zip(document, chances.tolist(), strict=True):
        if chance > 1 - _LOST:
            continue
        choices = near.get(normal(word)) if chance < share else None
        result.append(choices[int(random.integers(len(choices)))] if choices else word)
    if len(result) > 2 and random.random() < _SWAPPED:
        i = int(random.integers(len(result) - 1))
        result[i], result[i + 1] = result[i + 1], result[i]
    return result
