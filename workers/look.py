"""A quick look at a table of series: what each column seems to be, for a person to confirm.

Only the first rows are read. It loads no torch, and its libraries when it is first asked.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

HEAD_ROWS = 200
HEAD_BYTES = 1 << 20
SAMPLES = 3
SAMPLE_CHARACTERS = 40
MOST_COLUMNS = 200

# What a column can be, by task; the empty role is for all others
ROLES: dict[str, dict[str, str]] = {
    "demand": {
        "": "not used",
        "series": "what is sold, or where",
        "time": "the time",
        "target": "how much was sold",
        "known": "known ahead",
    },
    "fraud": {
        "": "not used",
        "card": "the card",
        "terminal": "the terminal",
        "time": "the time",
        "amount": "the amount",
        "fraud": "known fraud",
        "number": "the payment's number",
    },
}


class NoTable(ValueError):
    """The file cannot be read as a table; the sentence says why."""

    code = "unreadable_table"


@dataclass(frozen=True)
class Column:
    """A column: its name, kind of values, first few of them, and likeliest role."""

    name: str
    kind: str
    samples: tuple[str, ...]
    role: str


def look(path: Path, name: str, task: str) -> list[Column]:
    """Return the columns of a stored file whose own name is `name`; raises NoTable."""
    from polars.exceptions import PolarsError

    try:
        frame = _head(path, name.lower())
    except (PolarsError, OSError, EOFError, ValueError) as error:
        said = (str(error).strip().splitlines() or ["it is damaged"])[0]
        raise NoTable(f"{name} cannot be read as a table: {said}") from error
    if frame.is_empty() or len(frame.columns) > MOST_COLUMNS:
        raise NoTable(f"{name} has no rows, or more than {MOST_COLUMNS} columns")
    roles = _roles(frame, task)
    return [
        Column(column.name, _kind(column.dtype), _samples(column), roles.get(column.name, ""))
        for column in frame.iter_columns()
    ]


def _head(path: Path, name: str) -> pl.DataFrame:
    """Return the first rows; a text's last line may be cut, so it is left out."""
    import polars as pl

    if name.endswith(".parquet"):
        return pl.read_parquet(path, n_rows=HEAD_ROWS)
    with gzip.open(path) if name.endswith(".gz") else path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        whole = not stream.read(1)
    text = head.decode("utf-8-sig", "strict" if whole else "ignore")
    if not whole:
        text = text[: text.rfind("\n") + 1]
    plain = name.removesuffix(".gz")
    if plain.endswith((".jsonl", ".ndjson")):
        return pl.read_ndjson(io.StringIO(text)).head(HEAD_ROWS)
    separator = max((",", ";", "\t"), key=text.split("\n", 1)[0].count)
    return pl.read_csv(
        io.StringIO(text), separator=separator, try_parse_dates=True, n_rows=HEAD_ROWS
    )


def _roles(frame: pl.DataFrame, task: str) -> dict[str, str]:
    """Return each recognised column's role, by the names that the task itself knows."""
    return _of_demand(frame) if task == "demand" else _of_fraud(frame)


def _of_demand(frame: pl.DataFrame) -> dict[str, str]:
    from timeseries import roles

    by_name = {name.lower(): name for name in frame.columns}
    found: dict[str, str] = {}
    for role, names in (("time", roles.TIME), ("target", roles.TARGET)):
        chosen = next((by_name[name] for name in names if name in by_name), None)
        if chosen is not None:
            found.setdefault(chosen, role)
    for lower, name in by_name.items():
        if lower in roles.SERIES:
            found.setdefault(name, "series")
        elif roles.KNOWN.match(lower) and lower not in roles.DAY_OF_WEEK:
            found.setdefault(name, "known")
    return found


def _of_fraud(frame: pl.DataFrame) -> dict[str, str]:
    from timeseries.fraud.table import NAMED

    by_name = {name.lower(): name for name in frame.columns}
    found: dict[str, str] = {}
    for role, names in NAMED.items():
        chosen = next((by_name[name] for name in names if name in by_name), None)
        if chosen is not None:
            found.setdefault(chosen, role)
    return found


def _kind(kind: pl.DataType) -> str:
    if kind.is_temporal():
        return "dates"
    if kind.is_integer():
        return "whole numbers"
    if kind.is_numeric():
        return "numbers"
    return "yes or no" if str(kind) == "Boolean" else "words"


def _samples(column: pl.Series) -> tuple[str, ...]:
    values = column.drop_nulls().unique(maintain_order=True).head(SAMPLES).to_list()
    return tuple(str(value)[:SAMPLE_CHARACTERS] for value in values)
