"""A first look at a table of numbers: its columns, what stands in them, and what they seem to be.

For the page on which people confirm that. Only the first rows are read, and no torch is loaded.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

ROWS = 1_000  # that are looked at
SAMPLES = 4
LONGEST_SAMPLE = 40
LONGEST_LINE = 100_000
# What a column may be, and how a person would say it
DEMAND = {
    "": "not used",
    "series": "names a series (shop, item)",
    "time": "the date or time",
    "target": "what was sold",
    "known": "known ahead (promotion, price, holiday)",
}
FRAUD = {
    "": "not used",
    "card": "the card",
    "terminal": "the terminal or shop",
    "time": "the date and time",
    "amount": "the amount",
    "fraud": "known fraud (0 or 1)",
    "number": "the transaction's number",
}
ROLES = {"demand": DEMAND, "fraud": FRAUD}


class NoTable(ValueError):
    """The file is no table that can be read; the sentence says why."""

    code = "unreadable_table"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, some of its values, and the role it seems to have ("": none)."""

    name: str
    kind: str
    samples: tuple[str, ...]
    role: str


def look(path: Path, name: str, task: str) -> list[Column]:
    """Return the columns of the table in `path`, whose format its `name` says.

    Raises NoTable.
    """
    from timeseries.errors import SeriesError

    try:
        frame = _head(path, name)
    except (SeriesError, OSError, EOFError) as error:
        raise NoTable(str(error)) from error
    roles = _demand(frame) if task == "demand" else _fraud(frame)
    return [
        Column(
            name=column.name,
            kind=_kind(column),
            samples=_samples(column),
            role=roles.get(column.name, ""),
        )
        for column in frame.get_columns()
    ]


def _head(path: Path, name: str) -> pl.DataFrame:
    """Return the first rows; a text's first lines are a table of their own."""
    import polars as pl
    from polars.exceptions import PolarsError

    from timeseries.errors import UnreadableTable
    from timeseries.tables import read_table

    lower = name.lower()
    if lower.endswith(".parquet"):
        try:
            return pl.read_parquet(path, n_rows=ROWS)
        except (PolarsError, ValueError) as error:
            raise UnreadableTable(f"{name} cannot be read as a table: {error}") from error
    ending = Path(lower.removesuffix(".gz")).suffix
    with TemporaryDirectory() as folder:
        part = Path(folder) / f"table{ending}"
        with _opened(path, gzipped=lower.endswith(".gz")) as source, part.open("wb") as target:
            for line in islice(iter(lambda: source.readline(LONGEST_LINE), b""), ROWS + 1):
                target.write(line)
        return read_table(part)


def _opened(path: Path, *, gzipped: bool) -> IO[bytes]:
    return gzip.open(path) if gzipped else path.open("rb")  # type: ignore[return-value]


def _demand(frame: pl.DataFrame) -> dict[str, str]:
    from timeseries import roles
    from timeseries.errors import MissingColumn

    try:
        said = roles.recognise(frame)
    except MissingColumn:  # what can be told alone; the person says the rest
        lower = {column.lower(): column for column in frame.columns}
        found: dict[str, str] = {}
        for role, names in (("time", roles.TIME), ("target", roles.TARGET)):
            known = next((lower[name] for name in names if name in lower), None)
            if known is not None:
                found[known] = role
        return found
    listed = dict.fromkeys(said.known, "known") | dict.fromkeys(said.series, "series")
    return listed | {said.time: "time", said.target: "target"}


def _fraud(frame: pl.DataFrame) -> dict[str, str]:
    from timeseries.fraud.table import NAMED

    lower = {column.lower(): column for column in frame.columns}
    found: dict[str, str] = {}
    for role, names in NAMED.items():
        known = next((lower[name] for name in names if name in lower), None)
        if known is not None:
            found.setdefault(known, role)
    return found


def _kind(column: pl.Series) -> str:
    if column.dtype.is_numeric():
        return "number"
    return "date" if column.dtype.is_temporal() else "text"


def _samples(column: pl.Series) -> tuple[str, ...]:
    values = column.drop_nulls().unique(maintain_order=True).head(SAMPLES)
    return tuple(str(value)[:LONGEST_SAMPLE] for value in values.to_list())
