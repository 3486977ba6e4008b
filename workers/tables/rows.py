"""Rows on their way: packed into a chunk as JSON lines, whatever file they came from."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from workers.tables import CutOff, Limits

_ENCODER = json.JSONEncoder(separators=(",", ":"))
LONGEST_RECORD = 20_000_000  # bytes of one row; a longer one is no row


class Row(NamedTuple):
    """A row as it came, and what there is to read in it. `aside` is what its format needs."""

    raw: str
    text: str | None = None
    body: bytes | None = None
    error: dict[str, Any] | None = None
    aside: Any = None


def error_of(code: str, message: str) -> dict[str, str]:
    """Return `{"code", "message"}`."""
    return {"code": code, "message": message}


def pack(row: Row) -> bytes:
    """Return a row as a line; bytes that were no text come back as they were."""
    body = None if row.body is None else base64.b64encode(row.body).decode("ascii")
    packed = _ENCODER.encode([row.raw, row.text, body, row.error, row.aside])
    return packed.encode("ascii") + b"\n"


@lru_cache(maxsize=1)  # what is read is written next
def unpack(body: bytes) -> list[Row]:
    """Return the rows of a chunk; the list is shared, so leave it as it is."""
    rows = []
    for line in body.splitlines():
        raw, text, inner, error, aside = json.loads(line)
        document = None if inner is None else base64.b64decode(inner)
        rows.append(Row(raw, text, document, error, aside))
    return rows


def select(body: bytes, skip: int, rows: int) -> bytes:
    """Return a chunk of some of a chunk's rows."""
    lines = body.splitlines(keepends=True)
    return b"".join(lines[skip : skip + rows])


def items(body: bytes) -> list[str | bytes | dict[str, Any]]:
    """Return what there is to read in each row."""
    found: list[str | bytes | dict[str, Any]] = []
    for row in unpack(body):
        if row.error is not None:
            found.append(row.error)
        else:
            found.append(row.body if row.body is not None else row.text or "")
    return found


def bundles(rows: Iterable[tuple[Row, dict[str, Any]]], limits: Limits) -> Iterator[CutOff]:
    """Yield rows in chunks that keep the limits; each row comes with the cursor behind it."""
    packed: list[bytes] = []
    size = 0
    cursor: dict[str, Any] = {}
    for row, behind in rows:
        line = pack(row)
        if packed and (len(packed) >= limits.rows or size + len(line) > 2 * limits.characters):
            yield CutOff(b"".join(packed), len(packed), cursor)
            packed, size = [], 0
        packed.append(line)
        size += len(line)
        cursor = behind
    if packed:
        yield CutOff(b"".join(packed), len(packed), cursor)


def checked_text(text: str, limits: Limits) -> tuple[str | None, dict[str, str] | None]:
    """Return a text, or the error that it is too long."""
    if len(text) > limits.text_characters:
        message = f"A text has at most {limits.text_characters:,} characters."
        return None, error_of("too_large", message)
    return text, None


def joined(outputs: Iterator[bytes], first: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield the parts of a result that are just put one after the other."""
    yield from first
    yield from outputs
