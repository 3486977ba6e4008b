"""A text's sentences, with their places: by marks at their ends, and by lines and blank lines.

Our own few lines: spaCy's sentencizer needs its tokenizer first (eight times slower than all of
`nlp.tokens`) and reads a greeting, a list and a signature, which end in no full stop, as one
sentence with what follows.
"""

from __future__ import annotations

import re
from itertools import pairwise

_END = re.compile(
    r"[.!?…]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]?[A-Z0-9])"  # a mark, a blank, and a new beginning
    r"|[!?…]+[\"'”’)\]]*(?=\s)"
    r"|(?<=[^\s,;:])[ \t]*\n(?=[ \t]*(?:\n|[-*•>#]|[A-Z0-9]))"  # a line that ends, one that begins
    r"|\n[ \t]*\n"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|vs|no|inc|ltd|co|corp|jr|sr|e\.g|i\.e|etc|[A-Z])\.$",
    re.IGNORECASE,
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where each sentence starts and ends, in code points, without white space around."""
    borders = [0]
    for match in _END.finditer(text):
        before = text[max(0, match.end() - 12) : match.end()]
        if not _ABBREVIATION.search(before):
            borders.append(match.end())
    borders.append(len(text))
    found = []
    for start, end in pairwise(borders):
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if left < right:
            found.append((left, right))
    return found
