"""Header blocks: lines to fields, whatever the line ends and however they were folded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from intake.mail.encoded_words import header_text, raw_text

HEADER_BYTES = 1_000_000  # of one block; fields beyond are skipped
FIELD_BYTES = 300_000  # of one field's value

_BLANK_LINE = re.compile(rb"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_FIELD = re.compile(rb"([!-9;-~]{1,998})[ \t]*:[ \t]*")
_LIKELY_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,75}:(?:[ \t]|\r|\n|\Z)")
_MBOX = re.compile(rb">?From (?![ \t]*:)[^\r\n]+")


@dataclass
class Headers:
    """The fields of one block in their order; names in lower case, values unfolded."""

    fields: list[tuple[str, bytes]] = field(default_factory=list)
    charset: str | None = None  # for bytes beyond ASCII that no encoded word explains
    envelope: bytes = b""  # an mbox file's "From " line

    def raw(self, name: str) -> bytes:
        """Return the first value under a name that is not blank, or b""."""
        for key, value in self.fields:
            if key == name and value.strip():
                return value
        return b""

    def all(self, name: str) -> list[bytes]:
        """Return every value under a name, in order."""
        return [value for key, value in self.fields if key == name]

    def text(self, name: str) -> str:
        """Return the first value under a name as a person reads it, or ""."""
        return header_text(self.raw(name), default=self.charset)

    def texts(self, name: str) -> list[str]:
        """Return every value under a name as a person reads it."""
        return [header_text(value, default=self.charset) for value in self.all(name)]

    def decoded(self, value: bytes) -> str:
        """Return a raw value as characters, its encoded words still encoded."""
        return raw_text(value, self.charset)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    def names(self) -> frozenset[str]:
        """Return the names that occur."""
        return frozenset(key for key, _ in self.fields)


def read_headers(data: memoryview, *, top: bool = False) -> tuple[Headers, int]:
    """Return the header block at the start of `data` and where its body begins.

    A line that is no field ends the block, unless fields go on right after it: then it belongs
    to the field before (a fold that lost its blank). At the top of a mail, blank lines and an
    mbox line before the block are skipped.
    """
    headers = Headers()
    place = _skip_to_headers(data, headers) if top else 0
    values: list[tuple[str, list[bytes]]] = []
    for start, end, line in _lines(data, place):
        if start > HEADER_BYTES:  # nobody reads that much: on to the body
            blank = _BLANK_LINE.search(data, start - 1)
            place = blank.end() if blank else len(data)
            break
        if not line.strip(b" \t"):
            if line and values and _folds_on(data, end):
                continue
            place = end
            break
        place = end
        if line[:1] in (b" ", b"\t"):
            if values:
                values[-1][1].append(line.strip(b" \t"))
                continue
            if not top:
                place = start
                break
            continue
        match = _FIELD.match(line)
        if match and not (line.startswith(b"--") and not top):
            values.append((match[1].decode("ascii").lower(), [line[match.end() :]]))
        elif _goes_on(data, end):
            if values and not _MBOX.match(line):
                values[-1][1].append(line)
        else:
            place = start
            break
    headers.fields = [
        (name, b" ".join(value)[:FIELD_BYTES].strip(b" \t")) for name, value in values
    ]
    return headers, place


def _lines(data: memoryview, place: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, start of the next, and content of each line."""
    size = len(data)
    while place < size and (match := _LINE.match(data, place)):
        yield place, match.end(), bytes(match[0]).rstrip(b"\r\n")
        place = match.end()


def _skip_to_headers(data: memoryview, headers: Headers) -> int:
    place = 3 if bytes(data[:3]) == b"\xef\xbb\xbf" else 0
    for start, end, line in _lines(data, place):
        if _MBOX.match(line):
            headers.envelope = line
        elif line.strip(b" \t\x00"):
            return start
        place = end
    return place


def _goes_on(data: memoryview, place: int) -> bool:
    """Say whether the line at `place` is a field, so that the one before it was a slip."""
    return _LIKELY_FIELD.match(data, place) is not None


def _folds_on(data: memoryview, place: int) -> bool:
    """Say whether a line of blanks stands within a folded field: a folded line follows it."""
    match = _LINE.match(data, place)
    line = bytes(match[0]) if match else b""
    return line[:1] in (b" ", b"\t") and bool(line.strip())
