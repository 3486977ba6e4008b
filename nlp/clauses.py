"""Marked stretches of a text to and from one yes or no a word and label.

Clauses of different kinds overlap (a licence may be exclusive and perpetual at once), so each
label is a tagging problem of its own.

Shapes: T words of a window, L labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.windows import Window

# what follows begins like a sentence: "Inc. shares" is none's end
_SENTENCE_END = re.compile(r"""[.;?!]["'”’)]*\s+(?=["“‘(]?[A-Z0-9(])|\n\s*\n""")
SHORTEST_SENTENCE = 3  # words: "1. " is none


@dataclass(frozen=True)
class Marked:
    """A stretch of a text with its label, in code points, end exclusive."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Found:
    """A stretch that a model found: words `first` up to `last` of all windows together."""

    start: int
    end: int
    label: int
    strength: float  # mean probability of its words


def to_words(window: Window, marks: Sequence[Marked], labels: Sequence[str]) -> list[list[int]]:
    """Return [first word, last word exclusive, label number] of every mark within a window."""
    number = {label: i for i, label in enumerate(labels)}
    starts = np.array([span[0] for span in window.spans])
    ends = np.array([span[1] for span in window.spans])
    found = []
    for mark in marks:
        first = int(np.searchsorted(ends, mark.start, side="right"))
        last = int(np.searchsorted(starts, mark.end, side="left"))
        if first < last and mark.label in number:
            found.append([first, last, number[mark.label]])
    return found


def find(
    probabilities_TL: NDArray[np.float32],
    spans: Sequence[tuple[int, int]],
    *,
    seed: float = 0.5,
    grow: float = 0.4,
    bridge: int = 3,
) -> list[Found]:
    """Return the stretches where a label's probability reaches `seed`, in order of the text.

    A stretch takes in neighbours above `grow`, and two stretches of a label that stand at most
    `bridge` words apart are one. Every word of the text is in `probabilities_TL`, in order.
    """
    found = []
    for label in np.flatnonzero(probabilities_TL.max(0, initial=0) >= seed):
        column = probabilities_TL[:, label]
        for first, last in _runs(column >= grow, bridge):
            if column[first:last].max() >= seed:
                strength = float(column[first:last].mean())
                found.append(Found(spans[first][0], spans[last - 1][1], int(label), strength))
    return sorted(found, key=lambda mark: (mark.start, mark.end, mark.label))


def sentence_starts(text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return at which word each sentence of a text begins, and after the last one the end."""
    starts = np.array([start for start, _ in spans], dtype=np.int64)
    ends = np.array([match.end() for match in _SENTENCE_END.finditer(text)], dtype=np.int64)
    cuts = [0]
    for word in np.searchsorted(starts, ends).tolist():
        if cuts[-1] + SHORTEST_SENTENCE < word < len(spans):
            cuts.append(word)
    return [*cuts, len(spans)] if len(spans) else [0]


def find_sentences(
    probabilities_T: NDArray[np.float32],
    spans: Sequence[tuple[int, int]],
    starts: Sequence[int],
    *,
    label: int,
    seed: float,
) -> list[Found]:
    """Return the runs of whole sentences whose words' mean probability reaches `seed`.

    A clause is made of sentences: their mean knows better than each word where it ends.
    """
    if len(starts) < 2:
        return []
    edges = np.array(starts[:-1])
    means = np.add.reduceat(probabilities_T, edges) / np.diff(starts)
    return [
        Found(
            spans[starts[first]][0],
            spans[starts[last] - 1][1],
            label,
            float(means[first:last].mean()),
        )
        for first, last in _runs(means >= seed, 0)
    ]


def _runs(on: NDArray[np.bool_], bridge: int) -> list[tuple[int, int]]:
    """Return the runs of True, those at most `bridge` apart joined."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        if runs and first - runs[-1][1] <= bridge:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs


def overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the share of two stretches' union that both cover (Jaccard)."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    if both <= 0:
        return 0.0
    return both / (max(one[1], other[1]) - min(one[0], other[0]))
