"""A long text as windows of whole words, cut where a paragraph or a sentence ends.

A clause is seldom longer than a paragraph, so a window loses little by knowing only itself, and
a contract of any length is read in memory that does not grow with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nlp.tokens import WORD

_PARAGRAPH = re.compile(r"\n\s*\n")
_ENDS = {".", ";", "?", "!"}


@dataclass(frozen=True)
class Window:
    """Words that stand one after the other in a text, and where each starts and ends in it."""

    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]  # code points of the whole text
    breaks: tuple[bool, ...]  # whether a new line begins before the word

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)


def cut(text: str, *, shortest: int = 64, longest: int = 192) -> list[Window]:
    """Return the windows of a text, together every word of it, in order.

    A window ends with the first paragraph after `shortest` words, with a sentence when no
    paragraph ends in time, and at `longest` words whatever stands there.
    """
    matches = list(WORD.finditer(text))
    words = [match.group() for match in matches]
    spans = [match.span() for match in matches]
    gaps = [text[left[1] : right[0]] for left, right in pairwise(spans)]
    breaks = [True, *("\n" in gap for gap in gaps)]
    windows, start = [], 0
    while start < len(words):
        end = _end(words, gaps, start, shortest, longest)
        windows.append(
            Window(tuple(words[start:end]), tuple(spans[start:end]), tuple(breaks[start:end]))
        )
        start = end
    return windows


def _end(words: Sequence[str], gaps: Sequence[str], start: int, shortest: int, longest: int) -> int:
    """Return where the window that begins at `start` ends: after its last word."""
    last = min(start + longest, len(words))
    if last == len(words) and last - start <= shortest:
        return last
    sentence = 0
    for end in range(min(start + shortest, last), last + 1):
        if end == len(words) or _PARAGRAPH.search(gaps[end - 1]):
            return end
        if words[end - 1] in _ENDS and gaps[end - 1]:
            sentence = end
    return sentence or last
