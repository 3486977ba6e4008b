"""
SeriesError
├── UnreadableTable    the file is no CSV, JSON lines or Parquet table
├── MissingColumn      a column that the task needs is absent or could be several
├── BadTime            a moment that cannot be read, mixed time zones, or time out of order
├── BadValue           a target or amount that is not a number, or is negative
├── DuplicateRow       two rows say something about the same series and moment
├── MixedFrequency     series with different steps stand in one table
├── TooShort           there is not enough history to say anything
├── UnknownSeries      a future row belongs to no series of the history
├── NotInstalled       an optional library is needed for what was asked
└── BadRequest         an option or an item that makes no sense
"""

from __future__ import annotations


class SeriesError(Exception):
    """Something about a history that its owner can put right.

    `row` counts data rows from 1 (the header does not count), where one row is to blame.
    """

    code = "series_error"

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message if row is None else f"row {row}: {message}")
        self.row = row

    def to_json(self) -> dict[str, object]:
        """Return the error as a program reads it."""
        found: dict[str, object] = {"code": self.code, "message": str(self)}
        if self.row is not None:
            found["row"] = self.row
        return found


class UnreadableTable(SeriesError):
    """The file is no CSV, JSON lines or Parquet table."""

    code = "unreadable_table"


class MissingColumn(SeriesError):
    """A column that the task needs is absent, or could be several."""

    code = "missing_column"


class BadTime(SeriesError):
    """A moment cannot be read, mixes time zones, or comes out of order."""

    code = "bad_time"


class BadValue(SeriesError):
    """A target or an amount is not a number, or is negative."""

    code = "bad_value"


class DuplicateRow(SeriesError):
    """Two rows say something about the same series and moment."""

    code = "duplicate_row"


class MixedFrequency(SeriesError):
    """Series with different steps in time stand in one table."""

    code = "mixed_frequency"


class TooShort(SeriesError):
    """There is not enough history to say anything."""

    code = "too_short"


class UnknownSeries(SeriesError):
    """A row of the future belongs to no series of the history."""

    code = "unknown_series"


class NotInstalled(SeriesError):
    """An optional library is needed for what was asked."""

    code = "not_installed"


class BadRequest(SeriesError):
    """An option or an item makes no sense."""

    code = "bad_request"
