"""CSV and its like: the user's bytes stay as they are, our columns come behind them.

Cells that begin with = + - @ are the user's data and stay unchanged; ours never begin so.
Delimiters: comma, semicolon, tab, bar. A blank line is no row. A row that is no row (a quote that
never closes, more cells than the header) is an error in its place, and costs no other row.
"""

from __future__ import annotations

import csv
import io
from collections import deque
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

DELIMITERS = (",", ";", "\t", "|")
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
END = "\0end of the file\0"  # absorbed by a quote that never closes, else a record of its own
NAMES_SHOWN = 20


class Unclosed(Exception):
    """A record that is longer than any record is."""


class Feed:
    """Lines for a csv.reader; it knows which of them went into the record at hand."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._again: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self.size = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line, the mark of the end behind the last."""
        if self.ended:
            raise StopIteration
        line = self._again.popleft() if self._again else self._stream.readline(LONGEST_RECORD)
        if not line:
            self.ended = True
            return END
        self.taken.append(line)
        self.size += len(line)
        if self.size > LONGEST_RECORD:
            raise Unclosed
        return line.decode("utf-8", "surrogateescape")

    def take(self) -> list[bytes]:
        """Return the lines of the record at hand and begin the next."""
        taken, self.taken, self.size = self.taken, [], 0
        return taken

    def put_back(self, lines: Sequence[bytes]) -> None:
        """Have lines read again."""
        self._again.extendleft(reversed(lines))
        self.ended = False


def records(stream: IO[bytes], delimiter: str) -> Iterator[tuple[bytes, list[str] | None]]:
    """Yield each record's bytes and cells; None for a line whose quote never closes."""
    # a library may have set another; a cell may be as long as a record
    csv.field_size_limit(2 * LONGEST_RECORD)
    feed = Feed(stream)
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        try:
            cells: list[str] | None = next(reader)
        except StopIteration:
            return
        except (Unclosed, csv.Error):
            cells = None
        taken = feed.take()
        if cells == [END]:
            return
        if cells is None or (cells and cells[-1].endswith(END)):
            cells = None
            if not taken:
                return
            feed.put_back(taken[1:])
            taken = taken[:1]
            reader = csv.reader(feed, delimiter=delimiter)
        yield b"".join(taken), cells


class Delimited:
    """The format."""

    def look(self, path: Path, *, kind: str, text_column: str | None) -> Layout:
        """Return delimiter, header, the text's column and ours; raises BadTable."""
        with path.open("rb") as stream:
            begin = _skip_mark(stream)
            line = stream.readline(LONGEST_RECORD)
            if not line.strip():
                raise BadTable("empty_file", "The file has no header: nothing is in it.")
            delimiter = _delimiter(line.decode("utf-8", "replace"))
            stream.seek(begin)
            header, cells = next(records(stream, delimiter))
        if cells is None:
            raise BadTable("bad_header", "The header has a quote that never closes.")
        column = _column(cells, text_column)
        return {
            "bom": begin > 0,
            "delimiter": delimiter,
            "newline": "\r\n" if header.endswith(b"\r\n") else "\n",
            "header": _bare(header),
            "begin": begin + len(header),
            "width": len(cells),
            "column": column,
            "ours": columns.ours(kind, cells),
        }

    def cuts(
        self, path: Path, layout: Layout, cursor: dict[str, Any] | None, limits: Limits
    ) -> Iterator[CutOff]:
        """Yield chunks; the cursor is the offset of the next record in bytes."""
        at = layout["begin"] if cursor is None else cursor["at"]
        with path.open("rb") as stream:
            stream.seek(at)
            yield from bundles(self._rows(stream, at, layout, limits), limits)

    def items(self, body: bytes, layout: Layout) -> list[str | bytes | dict[str, Any]]:
        """Return each row's text, or its error."""
        return items(body)

    def render(self, body: bytes, layout: Layout, answers: Sequence[dict[str, Any]]) -> bytes:
        """Return the rows as they came, our cells behind them."""
        delimiter, newline = layout["delimiter"], layout["newline"]
        lines = []
        for row, answer in zip(unpack(body), answers, strict=True):
            cells = [_quoted(columns.cell(answer[name]), delimiter) for name in layout["ours"]]
            lines.append(delimiter.join([row.raw, *cells]) + newline)
        return "".join(lines).encode("utf-8", "surrogateescape")

    def select(self, body: bytes, skip: int, rows: int) -> bytes:
        """Return a chunk of some of a chunk's rows."""
        return select(body, skip, rows)

    def merge(self, layout: Layout, outputs: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the header with our columns' names, and the parts."""
        delimiter = layout["delimiter"]
        names = [_quoted(columns.cell(name), delimiter) for name in layout["ours"].values()]
        header = delimiter.join([layout["header"], *names]) + layout["newline"]
        mark = BOM if layout["bom"] else b""
        return joined(outputs, [mark + header.encode("utf-8", "surrogateescape")])

    def _rows(
        self, stream: IO[bytes], at: int, layout: Layout, limits: Limits
    ) -> Iterator[tuple[Row, dict[str, Any]]]:
        for raw, cells in records(stream, layout["delimiter"]):
            at += len(raw)
            if cells == []:
                continue
            yield _row(raw, cells, layout, limits), {"at": at}


def _row(raw: bytes, cells: list[str] | None, layout: Layout, limits: Limits) -> Row:
    width, delimiter = layout["width"], layout["delimiter"]
    if cells is None:
        whole = _serialised([_bare(raw), *[""] * (width - 1)], delimiter)
        return Row(whole, error=error_of("bad_row", "A quote of this row never closes."))
    if len(cells) > width:
        surplus = [_readable(cell) for cell in cells[width:]]
        error = error_of("bad_row", f"It has {len(cells)} cells, and the header {width}.")
        return Row(_serialised(cells[:width], delimiter), error=error | {"surplus": surplus})
    missing = delimiter * (width - len(cells))
    if layout["column"] >= len(cells):
        return Row(_bare(raw) + missing, error=error_of("bad_row", "It has no such cell."))
    text, error_or_none = checked_text(_readable(cells[layout["column"]]), limits)
    return Row(_bare(raw) + missing, text, error=error_or_none)


def _bare(record: bytes) -> str:
    """Return a record without the line's end; bytes that are no UTF-8 can be had back."""
    text = record.decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").removesuffix("\r")


def _readable(cell: str) -> str:
    """Return a cell as text; one that is not UTF-8 is taken for Windows' Western encoding."""
    if cell.isascii():
        return cell
    try:
        cell.encode()
    except UnicodeEncodeError:
        return cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return cell


def _skip_mark(stream: IO[bytes]) -> int:
    head = stream.read(len(BOM))
    if head.startswith(UTF16):
        raise BadTable("bad_encoding", "The file is UTF-16: save it as UTF-8 (CSV UTF-8).")
    begin = len(BOM) if head == BOM else 0
    stream.seek(begin)
    return begin


def _delimiter(header: str) -> str:
    """Return what stands between the header's names, most often and outside quotes."""
    bare = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=bare.count)


def _column(cells: Sequence[str], wanted: str | None) -> int:
    if wanted is None:
        if len(cells) == 1:
            return 0
        wanted = "text"
    for index, cell in enumerate(cells):
        if cell.strip() == wanted:
            return index
    names = ", ".join(_readable(cell) for cell in cells[:NAMES_SHOWN])
    message = f"There is no column {wanted!r}; say which with --text. There are: {names}."
    raise BadTable("no_such_column", message)


def _quoted(cell: str, delimiter: str) -> str:
    if delimiter in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _serialised(cells: Sequence[str], delimiter: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="").writerow(cells)
    return written.getvalue()


TABLE = Delimited()
