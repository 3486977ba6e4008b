"""A table of transactions: its columns recognised, its rows checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from timeseries import moments
from timeseries.errors import BadValue, DuplicateRow, MissingColumn
from timeseries.fraud.features import Transactions

Ints = npt.NDArray[np.int64]

NAMED: dict[str, tuple[str, ...]] = {
    "card": ("card", "card_id", "customer_id", "customer", "account", "account_id", "cc_num"),
    "terminal": ("terminal", "terminal_id", "merchant", "merchant_id", "shop", "shop_id"),
    "time": ("tx_datetime", "datetime", "timestamp", "time", "date", "tx_time"),
    "amount": ("amount", "tx_amount", "value", "amt"),
    "fraud": ("is_fraud", "fraud", "tx_fraud", "label", "class"),
    "number": ("transaction_id", "tx_id", "id"),
}


@dataclass(frozen=True)
class Columns:
    """Which columns are the card, the terminal, the moment, the amount; label and number if any."""

    card: str
    terminal: str
    time: str
    amount: str
    fraud: str | None = None
    number: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the names by role."""
        return asdict(self)


def recognise(frame: pl.DataFrame, **given: str | None) -> Columns:
    """Return each role's column, by its name unless `given`. Raises MissingColumn."""
    by_name = {name.lower(): name for name in frame.columns}
    found: dict[str, str | None] = {}
    for role, names in NAMED.items():
        chosen = given.get(role)
        if chosen is not None and chosen not in frame.columns:
            raise MissingColumn(f"there is no column {chosen!r}")
        found[role] = chosen or next((by_name[name] for name in names if name in by_name), None)
    for role in ("card", "terminal", "time", "amount"):
        if found[role] is None:
            raise MissingColumn(
                f"no column looks like the {role}: there are {', '.join(frame.columns)}"
            )
    return Columns(**found)  # type: ignore[arg-type]


def read(frame: pl.DataFrame, columns: Columns) -> tuple[Transactions, Ints]:
    """Return the transactions in order of time, and which row of the table each one is.

    Raises the errors of `timeseries.errors` with the row: empty cells, negative amounts,
    repeated numbers, moments that cannot be read.
    """
    moment = moments.parse(frame[columns.time])
    if columns.number is not None:
        _no_repeats(frame[columns.number], columns.number)
    amount = frame[columns.amount].cast(pl.Float64, strict=False)
    bad = (amount.is_null() | ~amount.is_finite() | (amount < 0)).fill_null(True)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise BadValue(
            f"{columns.amount} is {frame[columns.amount][row]!r}: an amount is a number from 0",
            row=row + 1,
        )
    seconds = moment.cast(pl.Datetime("us")).dt.epoch("s").to_numpy().astype(np.int64)
    order = np.argsort(seconds, kind="stable")
    transactions = Transactions(
        seconds,
        _codes(frame[columns.card], columns.card),
        _codes(frame[columns.terminal], columns.terminal),
        amount.to_numpy().astype(np.float64),
        _labels(frame, columns.fraud),
    )
    return transactions.take(order), order


def _codes(column: pl.Series, name: str) -> Ints:
    if column.null_count():
        row = int(column.is_null().arg_max() or 0) + 1
        raise BadValue(f"{name} is empty", row=row)
    return column.cast(pl.String).rank("dense").to_numpy().astype(np.int64) - 1


def _labels(frame: pl.DataFrame, name: str | None) -> Ints:
    if name is None:
        return np.full(len(frame), -1, dtype=np.int64)
    labels = frame[name].cast(pl.Int64, strict=False)
    odd = (labels.is_null() & frame[name].is_not_null()) | ~labels.fill_null(0).is_in([0, 1])
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise BadValue(f"{name} is {frame[name][row]!r}: it must be 0, 1 or empty", row=row + 1)
    return labels.fill_null(-1).to_numpy().astype(np.int64)


def _no_repeats(column: pl.Series, name: str) -> None:
    repeated = ~column.is_first_distinct()
    if repeated.any():
        row = int(repeated.arg_max() or 0)
        raise DuplicateRow(f"{name} {column[row]} is there already", row=row + 1)
