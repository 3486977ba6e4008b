"""Moments as steps of a regular grid: hours, days, weeks, months or plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from timeseries.errors import BadTime, MixedFrequency

Ints = npt.NDArray[np.int64]
Unit = Literal["second", "hour", "day", "week", "month", "number"]
EPOCH = date(1970, 1, 1)
# the short cycle in steps, and the long one
CYCLES: dict[str, tuple[int, int]] = {
    "second": (1, 0),
    "hour": (24, 168),
    "day": (7, 364),
    "week": (1, 52),
    "month": (1, 12),
    "number": (1, 0),
}


@dataclass(frozen=True)
class Grid:
    """A regular grid of moments: moment i is `start` + i steps.

    `start` counts whole units from 1970-01-01 (weeks: in days, so that their weekday is kept),
    or is the first number.
    """

    unit: Unit
    start: int
    season: int = 1  # steps of the short cycle: 7 for days
    year: int = 0  # steps of the long cycle: 364 for days, whole weeks; 0: none
    step: int = 1  # seconds of a step, where the unit is seconds

    def moment(self, i: int) -> date | datetime | int:
        """Return moment i as a date, a datetime or a number."""
        if self.unit == "number":
            return self.start + i
        if self.unit == "month":
            year, month = divmod(self.start + i, 12)
            return date(1970 + year, month + 1, 1)
        if self.unit in ("day", "week"):
            return EPOCH + timedelta(days=self.start + i * (7 if self.unit == "week" else 1))
        seconds = 3600 if self.unit == "hour" else self.step
        return datetime(1970, 1, 1) + timedelta(seconds=(self.start + i) * seconds)

    def days(self, steps: Ints) -> npt.NDArray[np.int64] | None:
        """Return the day, from 1970-01-01, of each step; None where steps have no date."""
        if self.unit == "number":
            return None
        if self.unit == "day":
            return self.start + steps
        if self.unit == "week":
            return self.start + 7 * steps
        if self.unit == "month":
            months = (self.start + steps).astype("datetime64[M]")
            return months.astype("datetime64[D]").astype(np.int64)
        seconds = 3600 if self.unit == "hour" else self.step
        return (self.start + steps) * seconds // 86_400


def parse(column: pl.Series) -> pl.Series:
    """Return a column of moments as dates, local datetimes or whole numbers.

    A zone that all rows share is dropped: the wall clock counts. Raises BadTime with the row for
    a moment that cannot be read or zones that differ.
    """
    if column.dtype.is_integer():
        found = column.cast(pl.Int64)
    elif column.dtype.is_float():
        found = column.cast(pl.Int64)
        _refuse(column, (found.cast(pl.Float64) != column).fill_null(True), "is no whole number")
    elif isinstance(column.dtype, pl.Datetime):
        found = column.dt.replace_time_zone(None).dt.cast_time_unit("us")
    elif column.dtype == pl.Date:
        found = column
    else:
        found = _parse_text(column.cast(pl.String).str.strip_chars())
    _refuse(column, found.is_null(), "is no moment: write it like 2026-03-31")
    if isinstance(found.dtype, pl.Datetime) and (found == found.dt.truncate("1d")).all():
        found = found.dt.date()
    return found


def _parse_text(text: pl.Series) -> pl.Series:
    zone = text.str.extract(r"\d:\d\d(?::\d\d(?:\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)$").fill_null("")
    if zone.n_unique() > 1:
        row = int((zone != zone[0]).arg_max() or 0) + 1
        raise BadTime(
            f"{text[row - 1]!r} has another time zone than row 1 ({text[0]!r}): "
            "give all moments in one zone",
            row=row,
        )
    local = text.str.replace(r"\s*(Z|[+-]\d\d:?\d\d)$", "") if zone[0] else text
    local = local.str.replace("T", " ", literal=True)
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d"):
        days = local.str.to_date(form, strict=False, exact=True)
        if days.null_count() == text.null_count() or (days[0] is not None and len(days) > 0):
            return days
    for form in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"):
        moments = local.str.to_datetime(form, strict=False, exact=True, time_unit="us")
        if moments.null_count() < len(text):
            return moments
    months = (local + "-01").str.to_date("%Y-%m-%d", strict=False)
    return months if months.null_count() < len(text) else local.cast(pl.Int64, strict=False)


def _refuse(column: pl.Series, bad: pl.Series, why: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        value = column[row]
        raise BadTime(f"{'an empty cell' if value is None else repr(value)} {why}", row=row + 1)


def make_grid(moments: pl.Series, series: Ints, *, name: str = "") -> tuple[Grid, Ints]:
    """Return the grid that the moments lie on, and each row's step.

    `series` says which series a row is of. Raises MixedFrequency, with the row, when series step
    differently.
    """
    if moments.dtype.is_integer():
        steps = moments.to_numpy().astype(np.int64)
        cycle = (1, 52) if name.lower() == "week" else CYCLES["number"]
        return Grid("number", int(steps.min()), *cycle), steps - steps.min()
    if moments.dtype == pl.Date:
        return _date_grid(moments, series)
    seconds = moments.dt.epoch("s").to_numpy().astype(np.int64)
    _same_frequency(seconds, series)
    step = int(np.gcd.reduce(np.diff(np.unique(seconds)))) if len(np.unique(seconds)) > 1 else 3600
    if step % 3600 == 0:
        steps = seconds // 3600
        return Grid("hour", int(steps.min()), *CYCLES["hour"]), steps - steps.min()
    steps = seconds // step
    return Grid("second", int(steps.min()), *CYCLES["second"], step=step), steps - steps.min()


def _date_grid(moments: pl.Series, series: Ints) -> tuple[Grid, Ints]:
    days = moments.cast(pl.Int32).to_numpy().astype(np.int64)
    _same_frequency(days, series)
    different = np.unique(days)
    gaps = np.diff(different)
    if len(gaps) and (gaps % 7 == 0).all():
        return Grid("week", int(days.min()), *CYCLES["week"]), (days - days.min()) // 7
    if len(gaps) and gaps.min() >= 28 and moments.dt.day().n_unique() == 1:
        months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return Grid("month", int(months.min()), *CYCLES["month"]), months - months.min()
    return Grid("day", int(days.min()), *CYCLES["day"]), days - days.min()


def _same_frequency(moments: Ints, series: Ints) -> None:
    """Raise MixedFrequency when one series' usual step is far from another's."""
    order = np.lexsort((moments, series))
    ordered, owner = moments[order], series[order]
    gap, same = np.diff(ordered), np.diff(owner) == 0
    usual: dict[int, tuple[float, int]] = {}
    bounds = np.flatnonzero(np.concatenate(([True], ~same, [True])))
    for start, stop in pairwise(bounds.tolist()):
        if stop - start >= 4:
            row = int(order[start:stop].min())
            usual[int(owner[start])] = float(np.median(gap[start : stop - 1])), row
    if not usual:
        return
    finest = min(step for step, _ in usual.values())
    for step, row in usual.values():
        if finest > 0 and step >= 5 * finest:
            raise MixedFrequency(
                "this row's series has another frequency than the others: bring all series to "
                "one step (days, weeks or months) or give them in separate files",
                row=row + 1,
            )
