"""Plain text files."""

from __future__ import annotations

from intake.charsets import clean, decode
from intake.errors import EmptyFile
from intake.parsed import Parsed


def read_text(body: bytes) -> Parsed:
    """Return the characters of a text file, whatever its charset; newlines become `\\n`."""
    text = clean(decode(body)).removeprefix("\ufeff")
    if not text.strip():
        raise EmptyFile
    return Parsed(type="text", text=text)
