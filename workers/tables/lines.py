"""JSON lines: an object a line, kept as it was written; our members come behind the user's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from workers.tables import BadTable, CutOff, Layout, Limits, columns
from workers.tables.rows import (
    LONGEST_RECORD,
    Row,
    bundles,
    checked_text,
    error_of,
    items,
    joined,
    select,
    unpack,
)

BOM = b"\xef\xbb\xbf"
BAD_JSON = error_of("bad_json", "This line is not a JSON object.")
BAD_LINE = "_raw"  # where a line that is no object stands in the result
SHOWN = 1_000  # characters of a line that is longer than any row


class Lines:
    """The format."""

    def look(self, path: Path, *, kind: str, text_column: str | None) -> Layout:
        """Return the text's member and our names; raises BadTable."""
        with path.open("rb") as stream:
            begin = len(BOM) if stream.read(len(BOM)) == BOM else 0
            stream.seek(begin)
            line = b"\n"
            while line and not line.strip():
                line = stream.readline(LONGEST_RECORD)
        if not line:
            raise BadTable("empty_file", "The file has no lines.")
        first = _object(line)
        return {
            "begin": begin,
            "column": text_column or "text",
            "ours": columns.ours(kind, first or ()),
        }

    def cuts(
        self, path: Path, layout: Layout, cursor: dict[str, Any] | None, limits: Limits
    ) -> Iterator[CutOff]:
        """Yield chunks; the cursor is the offset of the next line in bytes."""
        at = layout["begin"] if cursor is None else cursor["at"]
        with path.open("rb") as stream:
            stream.seek(at)
            yield from bundles(self._rows(stream, at, layout, limits), limits)

    def items(self, body: bytes, layout: Layout) -> list[str | bytes | dict[str, Any]]:
        """Return each row's text, or its error."""
        return items(body)

    def render(self, body: bytes, layout: Layout, answers: Sequence[dict[str, Any]]) -> bytes:
        """Return the objects as they were written, with our members."""
        lines = []
        for row, answer in zip(unpack(body), answers, strict=True):
            prefix = columns.PREFIX if row.aside == "clash" else ""
            ours = {prefix + column: answer[name] for name, column in layout["ours"].items()}
            written = columns.compact(ours)
            if row.aside == "bad":
                # ASCII escapes: no line may hold half a character
                lines.append(columns.compact({BAD_LINE: row.raw} | ours))
                continue
            begun = row.raw.strip()[:-1].rstrip()
            comma = "" if begun == "{" else ","
            lines.append(begun + comma + written[1:])
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")

    def select(self, body: bytes, skip: int, rows: int) -> bytes:
        """Return a chunk of some of a chunk's rows."""
        return select(body, skip, rows)

    def merge(self, layout: Layout, outputs: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the parts."""
        return joined(outputs)

    def _rows(
        self, stream: IO[bytes], at: int, layout: Layout, limits: Limits
    ) -> Iterator[tuple[Row, dict[str, Any]]]:
        names = set(layout["ours"].values())
        while line := stream.readline(LONGEST_RECORD):
            at += len(line)
            if len(line) == LONGEST_RECORD and not line.endswith(b"\n"):
                at += _skip_line(stream)
                message = f"A line has at most {LONGEST_RECORD:,} bytes; this is its beginning."
                shown = line[:SHOWN].decode("utf-8", "replace")
                yield Row(shown, error=error_of("too_large", message), aside="bad"), {"at": at}
            elif line.strip():
                yield _row(line, layout["column"], names, limits), {"at": at}


def _row(line: bytes, column: str, names: set[str], limits: Limits) -> Row:
    found = _object(line)
    raw = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if found is None:
        return Row(raw, error=BAD_JSON, aside="bad")
    aside = "clash" if not names.isdisjoint(found) else None
    text = found.get(column)
    if not isinstance(text, str):
        message = f"Its {column!r} is not a text." if column in found else f"It has no {column!r}."
        return Row(raw, error=error_of("bad_row", message), aside=aside)
    checked, error = checked_text(text, limits)
    return Row(raw, checked, error=error, aside=aside)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line.removeprefix(BOM))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _skip_line(stream: IO[bytes]) -> int:
    skipped = 0
    while piece := stream.readline(LONGEST_RECORD):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


TABLE = Lines()
