"""Which part of a mail's text its sender wrote now, and which part is quoted from earlier ones."""

from __future__ import annotations

import re
from bisect import bisect_right

_QUOTED_LINE = re.compile(r"^[ \t]{0,8}>[^\n]*$", re.MULTILINE)
# Each names a whole line; everything after it is an earlier mail.
_EARLIER_MAIL = re.compile(
    r"^(?:"
    r"[ \t]*-{2,20}[ \t]*(?:original message|forwarded message|urspr\w{1,12} nachricht"
    r"|message d'origine)"
    r"|On [^\n]{8,150}\bwrote:"
    r"|On [^\n]{8,150}\n[^\n]{0,80}\bwrote:"  # clients fold the line at 72 columns
    r"|Am [^\n]{8,150}\bschrieb[^\n]{0,80}:"
    r"|Le [^\n]{8,150}\ba écrit ?:"
    r"|From: [^\n]{3,200}\n(?:Sent|Date): [^\n]{6,100}\n"
    r")",
    re.MULTILINE | re.IGNORECASE,
)


class Quoted:
    """Says of any offset of a text whether it lies in quoted matter."""

    def __init__(self, text: str) -> None:
        earlier = _EARLIER_MAIL.search(text)
        # a mail that opens with the line is a forward: there the earlier mail is the matter
        self._cut = earlier.start() if earlier and text[: earlier.start()].strip() else len(text)
        lines = [match.span() for match in _QUOTED_LINE.finditer(text, 0, self._cut)]
        self._starts = [start for start, _ in lines]
        self._ends = [end for _, end in lines]

    def __contains__(self, offset: int) -> bool:
        """Return whether the character at that offset is quoted."""
        if offset >= self._cut:
            return True
        line = bisect_right(self._starts, offset) - 1
        return line >= 0 and offset < self._ends[line]
