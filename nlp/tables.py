"""Files of examples: JSON lines (also gzipped), CSV and Parquet; a bad file is a clear sentence."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nlp.errors import BadFile, NoSuchField

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".parquet")
FIRST_ROWS = 100  # of JSON lines, that say which fields there are


@dataclass(frozen=True)
class Table:
    """Texts and labels of a file's usable rows, and how many rows had neither or one only."""

    texts: list[str]
    labels: list[str]
    left_out: int
    places: list[int]  # which row of the file each one is, counted from 0
    unlabelled: Sequence[str] = ()  # texts of rows that have no label

    def __len__(self) -> int:
        """Return the number of usable rows."""
        return len(self.texts)

    def select(self, rows: Sequence[int]) -> Table:
        """Return some of the rows, in the order given."""
        return Table(
            [self.texts[i] for i in rows],
            [self.labels[i] for i in rows],
            self.left_out,
            [self.places[i] for i in rows],
            self.unlabelled,
        )


def read_table(path: Path, *, text: str = "text", label: str = "label") -> Table:
    """Return the rows of `path` that have a text and a label, and texts that have none beside.

    A number or a truth value as label is read as its text. Raises BadFile or NoSuchField.
    """
    columns = read_columns(path, [text, label])
    texts, labels, places, unlabelled = [], [], [], []
    total = 0
    for place, (t, v) in enumerate(zip(columns[text], columns[label], strict=True)):
        total += 1
        value = _label(v)
        if not isinstance(t, str) or not t.strip():
            continue
        if not value:
            unlabelled.append(t)
            continue
        texts.append(t)
        labels.append(value)
        places.append(place)
    if not total:
        raise BadFile(f"{path.name} has no rows")
    return Table(texts, labels, total - len(texts), places, unlabelled)


def read_columns(path: Path, fields: Sequence[str]) -> dict[str, list[Any]]:
    """Return the named columns of a file, one value a row, None where a row has none."""
    if not path.is_file():
        raise BadFile(f"there is no file {path}")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _json_lines(path, fields)
    if path.suffix == ".csv":
        return _frame_columns(path, fields)
    if path.suffix == ".parquet":
        return _frame_columns(path, fields)
    raise BadFile(f"{path.name}: a file must end in {', '.join(ENDINGS)}")


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns, in its order. Raises BadFile."""
    if not path.is_file():
        raise BadFile(f"there is no file {path}")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return list(dict.fromkeys(name for row in first_rows(path, FIRST_ROWS) for name in row))
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema_length=0, n_rows=1).columns
        if path.suffix == ".parquet":
            return list(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    raise BadFile(f"{path.name}: a file must end in {', '.join(ENDINGS)}")


def first_rows(path: Path, rows: int) -> list[dict[str, Any]]:
    """Return the first objects of a file of JSON lines. Raises BadFile."""
    return list(itertools.islice(_rows(path), rows))


def _label(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and value == value else ""


def _json_lines(path: Path, fields: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {field: [] for field in fields}
    seen: set[str] = set()
    rows = 0
    for row in _rows(path):
        rows += 1
        for field in fields:
            columns[field].append(row.get(field))
        if len(seen) < 100:
            seen.update(row)
    if not rows:
        raise BadFile(f"{path.name} has no rows")
    for field in fields:
        if all(value is None for value in columns[field]):
            raise NoSuchField(
                f"{path.name} has no field {field!r}; it has {', '.join(sorted(seen))}"
            )
    return columns


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Return each line's object; a line that is none is a BadFile that names it."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as lines:
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise BadFile(f"{path.name}, line {number}: not a JSON object")
                yield row
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"{path.name} cannot be read after line {number}: {error}") from error
    except ValueError as error:  # JSON and UTF-8 alike
        raise BadFile(f"{path.name}, line {number}: not JSON in UTF-8 ({error})") from error


def _unreadable(path: Path, error: Exception) -> BadFile:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is damaged"
    return BadFile(f"{path.name} cannot be read: {reason}")


def _frame_columns(path: Path, fields: Sequence[str]) -> dict[str, list[Any]]:
    try:
        if path.suffix == ".csv":
            # every column as text: a label 007 is not the number 7
            frame = pl.read_csv(path, infer_schema_length=0)
        else:
            frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    for field in fields:
        if field not in frame.columns:
            known = ", ".join(sorted(frame.columns))
            raise NoSuchField(f"{path.name} has no column {field!r}; it has {known}")
    return {field: frame[field].to_list() for field in fields}
