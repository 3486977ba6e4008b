"""The new text of a mail: without what it quotes and without signature.

Lines are told apart (text, quote, introduction of a quote, head of an older mail, signature) and
then kept or dropped: everything from the head of an older mail on goes, quoted lines and what
introduces them go wherever they stand, so that answers below and between quotes stay.
"""

from __future__ import annotations

import re

from intake.mail.attributions import (
    attribution_length,
    header_block_length,
    is_date_and_address,
    is_separator,
)
from intake.mail.bodies import Body
from intake.mail.signatures import (
    SIGNATURE_LINES,
    is_dash_name,
    is_delimiter,
    is_device_line,
    is_rule,
)

_QUOTE = re.compile(r"\s{0,4}(?:>|&gt;|\|\s|[A-Za-z]{1,4}>)")
_GAP = re.compile(r"\n{3,}")


def reply_of(body: Body) -> str:
    """Return a mail's new text; the whole text where nothing in it is old."""
    if not body.texts:
        return ""
    if len(body.texts) == 1 and body.texts[0].html and body.texts[0].quoted is not None:
        kept = reply_text(body.texts[0].quoted.kept)
        if kept:
            return kept
    return reply_text(body.text)


def reply_text(text: str) -> str:
    """Return the new text of a plain body; linear in its length."""
    lines = text.split("\n")
    kept: list[str] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        if _QUOTE.match(line):
            place += 1
            continue
        if not line.strip():
            kept.append("")
            place += 1
            continue
        if is_separator(line) or header_block_length(lines, place):
            if any(other.strip() for other in kept):
                _drop_rule(kept)
                break
            place += max(header_block_length(lines, place), 1)
            continue
        length = attribution_length(lines, place)
        if not length and is_date_and_address(line) and _is_quoted_next(lines, place + 1):
            length = 1
        if length:
            place += length
            if not _is_quoted_next(lines, place) and any(other.strip() for other in kept):
                break
            continue
        if is_delimiter(line):
            place = _after_signature(lines, place)
            continue
        kept.append(line.rstrip())
        place += 1
    return _finish(kept)


def _is_quoted_next(lines: list[str], place: int) -> bool:
    for line in lines[place : place + 6]:
        if line.strip():
            return _QUOTE.match(line) is not None
    return False


def _after_signature(lines: list[str], place: int) -> int:
    """Return where a signature ends: at a quote below it, or with the mail."""
    for end in range(place + 1, len(lines)):
        if _QUOTE.match(lines[end]) or is_separator(lines[end]) or attribution_length(lines, end):
            return end
    return len(lines)


def _drop_rule(kept: list[str]) -> None:
    """Drop a drawn line at the end: it divided the answer from what is quoted."""
    while kept and (not kept[-1].strip() or is_rule(kept[-1])):
        kept.pop()


def _finish(kept: list[str]) -> str:
    while kept and (not kept[-1].strip() or is_rule(kept[-1]) or is_device_line(kept[-1])):
        kept.pop()
    for place in range(len(kept) - 1, max(len(kept) - SIGNATURE_LINES, 0), -1):
        if is_device_line(kept[place]) and not kept[place - 1].strip():
            kept = kept[:place]
            break
    while kept and not kept[-1].strip():
        kept.pop()
    if len(kept) > 1 and is_dash_name(kept[-1]):
        kept.pop()
    return _GAP.sub("\n\n", "\n".join(kept)).strip()
