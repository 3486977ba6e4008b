"""Files of many rows: what a batch reads and writes, one module a format.

A format cuts a file into chunks of rows with flat memory, gives a chunk's texts, writes a chunk's
rows back with our columns beside them, and puts the chunks together in the order of the input.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Layout = dict[str, Any]


@dataclass(frozen=True)
class CutOff:
    """Some rows cut off a file: their bytes as the format packs them, and where to go on."""

    body: bytes
    rows: int
    cursor: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a chunk and a row may hold: rows and characters of a chunk, bytes of one document."""

    rows: int = 4096
    characters: int = 1_500_000
    document_bytes: int = 30_000_000
    text_characters: int = 5_000_000


class BadTable(Exception):
    """A file that cannot be read as a whole; the sentence says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def to_json(self) -> dict[str, str]:
        """Return `{"code", "message"}`."""
        return {"code": self.code, "message": str(self)}


class Table(Protocol):
    """What a module of a format gives."""

    def look(self, path: Path, *, kind: str, text_column: str | None) -> Layout:
        """Return what the first look at the file finds; raises BadTable."""

    def cuts(
        self, path: Path, layout: Layout, cursor: dict[str, Any] | None, limits: Limits
    ) -> Iterator[CutOff]:
        """Yield the file's rows from the cursor on, in order; raises BadTable."""

    def items(self, body: bytes, layout: Layout) -> list[str | bytes | dict[str, Any]]:
        """Return what there is to read in each row: a text, a file's bytes, or an error."""

    def render(self, body: bytes, layout: Layout, answers: Sequence[dict[str, Any]]) -> bytes:
        """Return a chunk's part of the result; `answers` are `columns.answer` of its rows."""

    def select(self, body: bytes, skip: int, rows: int) -> bytes:
        """Return a chunk of some of a chunk's rows."""

    def merge(self, layout: Layout, outputs: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the whole result from its parts in order."""


def table_of(file_format: str) -> Table:
    """Return the module of a format that `names.sniff` knows."""
    modules = {"csv": "delimited", "jsonl": "lines", "parquet": "parquet", "zip": "archive"}
    module = importlib.import_module(f"{__name__}.{modules[file_format]}")
    table: Table = module.TABLE
    return table
