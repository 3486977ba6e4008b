"""Parquet: row groups pass through a slice at a time; our columns are added behind the user's."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.tables import BadTable, CutOff, Layout, Limits, columns
from workers.tables.rows import checked_text, error_of

if TYPE_CHECKING:
    import polars as pl

NAMES_SHOWN = 20
PIECE_BYTES = 1 << 20
LONGEST_TEXT = Limits().text_characters


class Parquet:
    """The format."""

    def look(self, path: Path, *, kind: str, text_column: str | None) -> Layout:
        """Return the text's column and ours; raises BadTable."""
        import polars as pl

        try:
            schema = pl.read_parquet_schema(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BadTable("corrupt_file", "This is not a whole Parquet file.") from error
        column = text_column or ("text" if len(schema) != 1 else next(iter(schema)))
        if column not in schema:
            names = ", ".join(list(schema)[:NAMES_SHOWN])
            message = f"There is no column {column!r}; say which with --text. There are: {names}."
            raise BadTable("no_such_column", message)
        if not isinstance(schema[column], pl.String | pl.Categorical | pl.Enum):
            raise BadTable("no_such_column", f"The column {column!r} holds no texts.")
        return {"column": column, "ours": columns.ours(kind, schema)}

    def cuts(
        self, path: Path, layout: Layout, cursor: dict[str, Any] | None, limits: Limits
    ) -> Iterator[CutOff]:
        """Yield chunks; the cursor is the number of the next row. A table without rows is one."""
        import polars as pl

        at = 0 if cursor is None else cursor["at"]
        try:
            frames = (
                pl.scan_parquet(path)
                .slice(at)
                .collect_batches(chunk_size=limits.rows, maintain_order=True)
            )
            for frame in frames:
                for part in _parts(frame, layout["column"], limits):
                    at += part.height
                    yield CutOff(_written(part), part.height, {"at": at})
            if at == 0:
                yield CutOff(_written(pl.read_parquet(path, n_rows=0)), 0, {"at": 0})
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BadTable("corrupt_file", "The Parquet file is damaged.") from error

    def items(self, body: bytes, layout: Layout) -> list[str | bytes | dict[str, Any]]:
        """Return each row's text, or its error."""
        import polars as pl

        texts = _read(body)[layout["column"]].cast(pl.String).to_list()
        found: list[str | bytes | dict[str, Any]] = []
        for text in texts:
            if text is None:
                found.append(error_of("no_text", "There is no text to read."))
                continue
            checked, error = checked_text(text, Limits())
            found.append(error or checked or "")
        return found

    def render(self, body: bytes, layout: Layout, answers: Sequence[dict[str, Any]]) -> bytes:
        """Return the rows with our columns."""
        import polars as pl

        series = []
        for name, column in layout["ours"].items():
            values = [answer[name] for answer in answers]
            if name.endswith("_confidence"):
                series.append(pl.Series(column, values, dtype=pl.Float64))
            elif name == "needs_review":
                series.append(pl.Series(column, values, dtype=pl.Boolean))
            else:
                texts = [
                    value if value is None or isinstance(value, str) else columns.compact(value)
                    for value in values
                ]
                series.append(pl.Series(column, texts, dtype=pl.String))
        return _written(_read(body).with_columns(series))

    def select(self, body: bytes, skip: int, rows: int) -> bytes:
        """Return a chunk of some of a chunk's rows."""
        return _written(_read(body).slice(skip, rows))

    def merge(self, layout: Layout, outputs: Iterator[bytes]) -> Iterator[bytes]:
        """Yield one file of all parts, put together in a temporary folder."""
        import polars as pl

        with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
            paths = []
            for number, output in enumerate(outputs):
                paths.append(Path(folder) / f"{number:08d}.parquet")
                paths[-1].write_bytes(output)
            whole = Path(folder) / "whole"
            pl.scan_parquet(paths, glob=False).sink_parquet(whole, maintain_order=True)
            with whole.open("rb") as stream:
                while piece := stream.read(PIECE_BYTES):
                    yield piece


def _parts(frame: pl.DataFrame, column: str, limits: Limits) -> Iterator[pl.DataFrame]:
    """Yield runs of rows that keep the limits."""
    import polars as pl

    sizes = frame[column].cast(pl.String).str.len_bytes().fill_null(0).to_list()
    start, size = 0, 0
    for row, length in enumerate(sizes):
        full = row - start >= limits.rows or size + length > limits.characters
        if full and row > start:
            yield frame.slice(start, row - start)
            start, size = row, 0
        size += length
    if len(sizes) > start:
        yield frame.slice(start)


def _read(body: bytes) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(io.BytesIO(body))


def _written(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream, compression="zstd", compression_level=1)
    return stream.getvalue()


TABLE = Parquet()
