"""Tables from files: CSV, JSON lines and Parquet, and a folder of tables that belong together."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from timeseries.errors import MissingColumn, UnreadableTable

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".jsonl", ".jsonl.gz", ".parquet")
MAIN = "train"  # of a folder: the history itself; the other tables belong to it


@dataclass(frozen=True)
class History:
    """One main table in the order of its files, and the tables that tell more about its rows."""

    table: pl.DataFrame
    companions: dict[str, pl.DataFrame]


def read_table(path: Path) -> pl.DataFrame:
    """Return the table in `path`.

    Raises UnreadableTable when it is none or empty; FileNotFoundError when it is not there.
    """
    try:
        frame = _read(path)
    except FileNotFoundError:
        raise
    except (PolarsError, OSError, ValueError, UnicodeError) as error:
        raise UnreadableTable(f"{path.name} cannot be read as a table: {error}") from error
    if frame.is_empty():
        raise UnreadableTable(f"{path.name} has no rows")
    return frame


def read_body(body: bytes, name: str) -> pl.DataFrame:
    """Return the table in an upload's bytes; its name says which format it is."""
    try:
        frame = _parse(body, name.lower())
    except (PolarsError, OSError, ValueError, UnicodeError) as error:
        raise UnreadableTable(f"{name} cannot be read as a table: {error}") from error
    if frame.is_empty():
        raise UnreadableTable(f"{name} has no rows")
    return frame


def _read(path: Path) -> pl.DataFrame:
    if path.name.lower().endswith(".parquet"):
        return pl.read_parquet(path)
    return _parse(path.read_bytes(), path.name.lower())


def _parse(body: bytes, name: str) -> pl.DataFrame:
    if name.endswith(".gz"):
        body, name = gzip.decompress(body), name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return pl.read_parquet(io.BytesIO(body))
    if name.endswith((".jsonl", ".ndjson")):
        return pl.read_ndjson(io.BytesIO(body), infer_schema_length=10_000)
    if name.endswith((".csv", ".tsv", ".txt")):
        text = body.decode("utf-8-sig")
        separator = max((",", ";", "\t"), key=text.split("\n", 1)[0].count)
        return pl.read_csv(
            io.StringIO(text), separator=separator, try_parse_dates=True, infer_schema_length=None
        )
    raise UnreadableTable(f"{name} is none of {', '.join(SUFFIXES)}")


def read_history(paths: Sequence[Path]) -> History:
    """Return the history in files and folders.

    A folder stands for its `train` table, a `dev` table that goes on with it, and the other
    tables in it. Several main tables are joined end to end; they must have the same columns.
    """
    mains: list[pl.DataFrame] = []
    companions: dict[str, pl.DataFrame] = {}
    for path in paths:
        if not path.is_dir():
            mains.append(read_table(path))
            continue
        files = {_stem(file): file for file in sorted(path.iterdir()) if _is_table(file)}
        if MAIN not in files:
            raise UnreadableTable(f"{path} holds no {MAIN}.parquet or {MAIN}.csv")
        mains.append(read_table(files.pop(MAIN)))
        others = {name: read_table(file) for name, file in files.items()}
        if "dev" in others:
            # a dev part of the same columns is simply the history's end
            dev = others.pop("dev")
            mains += [dev] if set(dev.columns) == set(mains[-1].columns) else []
        companions |= others
    if not mains:
        raise UnreadableTable("no history was given")
    return History(concatenate(mains), companions)


def concatenate(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return tables end to end: the first one's columns, types widened where they differ."""
    columns = frames[0].columns
    for frame in frames[1:]:
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise MissingColumn(f"a later table of the history lacks {', '.join(missing)}")
    plain = [_without_categories(frame.select(columns)) for frame in frames]
    return pl.concat(plain, how="vertical_relaxed")


def _without_categories(frame: pl.DataFrame) -> pl.DataFrame:
    # categories of two files are coded differently: as text they agree
    return frame.with_columns(
        pl.col(name).cast(pl.String)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Categorical | pl.Enum)
    )


def _is_table(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0].lower()
