"""A ZIP of files: each is read as a document; the result is JSON lines with its `path`.

Nothing is unpacked to the disk and no name becomes a path of ours. Bytes are counted while they
are inflated, for an archive's own figures may lie.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from workers.tables import BadTable, CutOff, Layout, Limits, columns
from workers.tables.rows import Row, bundles, error_of, items, joined, select, unpack

MOST_FILES = 200_000  # the list of them is held in memory
MOST_RATIO = 100  # of inflated to packed bytes, for the whole archive
SMALL_BYTES = 500_000_000  # that an archive may always inflate to
# What zipfile raises for damage, for methods it lacks, and for a password that is needed
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


class Archive:
    """The format."""

    def look(self, path: Path, *, kind: str, text_column: str | None) -> Layout:
        """Return our names; raises BadTable for what is not a ZIP, or has too many files."""
        with _opened(path) as archive:
            if len(archive.infolist()) > MOST_FILES:
                message = f"An archive has at most {MOST_FILES:,} files: hand in several."
                raise BadTable("too_many_files", message)
        return {"ours": columns.ours(kind, ("path",))}

    def cuts(
        self, path: Path, layout: Layout, cursor: dict[str, Any] | None, limits: Limits
    ) -> Iterator[CutOff]:
        """Yield chunks; the cursor is the place of the next file and the bytes inflated so far."""
        yield from bundles(self._rows(path, cursor or {"at": 0, "bytes": 0}, limits), limits)

    def items(self, body: bytes, layout: Layout) -> list[str | bytes | dict[str, Any]]:
        """Return each file's bytes, or its error."""
        return items(body)

    def render(self, body: bytes, layout: Layout, answers: Sequence[dict[str, Any]]) -> bytes:
        """Return a line a file."""
        lines = []
        for row, answer in zip(unpack(body), answers, strict=True):
            ours = {column: answer[name] for name, column in layout["ours"].items()}
            lines.append(columns.compact({"path": row.raw} | ours) + "\n")
        return "".join(lines).encode("ascii")

    def select(self, body: bytes, skip: int, rows: int) -> bytes:
        """Return a chunk of some of a chunk's files."""
        return select(body, skip, rows)

    def merge(self, layout: Layout, outputs: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the parts."""
        return joined(outputs)

    def _rows(
        self, path: Path, cursor: dict[str, Any], limits: Limits
    ) -> Iterator[tuple[Row, dict[str, Any]]]:
        inflated = cursor["bytes"]
        most = max(SMALL_BYTES, MOST_RATIO * path.stat().st_size)
        with _opened(path) as archive:
            for place, member in enumerate(archive.infolist()):
                if place < cursor["at"] or member.is_dir():
                    continue
                row = _row(archive, member, limits)
                inflated += len(row.body or b"")
                if inflated > most:
                    raise BadTable("too_large", "The archive unpacks to far more than it holds.")
                yield row, {"at": place + 1, "bytes": inflated}


def _row(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> Row:
    name = member.filename
    if member.flag_bits & 0x1:
        return Row(name, error=error_of("encrypted_file", "A password is needed to read it."))
    try:
        with archive.open(member) as stream:
            body = stream.read(limits.document_bytes + 1)
    except (*DAMAGE, RuntimeError):
        return Row(name, error=error_of("corrupt_file", "It is damaged in the archive."))
    if len(body) > limits.document_bytes:
        message = f"A file has at most {limits.document_bytes:,} bytes."
        return Row(name, error=error_of("too_large", message))
    return Row(name, body=body)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        raise BadTable("corrupt_file", "This is not a whole ZIP archive: pack it again.") from error


TABLE = Archive()
