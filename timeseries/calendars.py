"""What the calendar says of a moment, and what dates among a series' facts make of it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from timeseries.moments import Grid
from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def features(grid: Grid, moment: Ints) -> dict[str, Floats]:
    """Return calendar features of moments; a grid of plain numbers has none.

    Their place in a year of 52 was tried on weekly sales: two years of it are learnt by heart.
    """
    days = grid.days(moment)
    if days is None:
        return {}
    dates = days.astype("datetime64[D]")
    year_start = dates.astype("datetime64[Y]")
    month_start = dates.astype("datetime64[M]")
    year = year_start.astype(np.int64) + 1970
    month = month_start.astype(np.int64) % 12
    # no year and no day of the year: a model would learn each day's noise by heart
    found = {"month": month.astype(float)}
    if grid.unit == "month":
        return found
    easter_days = easter(year).astype("datetime64[D]").astype(np.int64)
    found["from_easter"] = np.clip(days - easter_days, -60, 70).astype(float)
    christmas = (year_start + 1).astype("datetime64[D]").astype(np.int64) - 7
    found["to_christmas"] = np.clip(christmas - days, -8, 60).astype(float)
    found["day_of_month"] = (dates - month_start.astype("datetime64[D]")).astype(float)
    length = (month_start + 1).astype("datetime64[D]") - dates
    found["days_left_in_month"] = length.astype(float)
    if grid.unit != "week":
        found["day_of_week"] = ((days + 3) % 7).astype(float)
    if grid.unit == "hour":
        found["hour"] = ((grid.start + moment) % 24).astype(float)
    return found


def easter(year: Ints) -> npt.NDArray[np.datetime64]:
    """Return Easter Sunday of each year (Gregorian computus, Meeus 1991, chapter 8)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    w = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * w) // 433
    month = (h + w - 7 * m + 90) // 25
    day = (h + w - 7 * m + 33 * month + 19) % 32
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")


def since_dates(panel: Panel, series: Ints, moment: Ints) -> dict[str, Floats]:
    """Return what dated facts mean at a moment.

    Facts `x_year` beside `x_month` or `x_week` become days since then; a fact that lists months
    (`Jan,Apr,Jul,Oct`) becomes whether the moment's month is one of them.
    """
    days = panel.grid.days(moment)
    if days is None:
        return {}
    found: dict[str, Floats] = {}
    for name, values in panel.static.items():
        stem = re.sub(r"_year$", "", name)
        if stem == name:
            continue
        start = _start(panel, stem, values)
        if start is not None:
            found[f"days_since_{stem}"] = np.clip(days - start[series], -400, 4000)
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    for name, labels in panel.categories.items():
        if name in panel.static and all(_months(label) for label in labels):
            listed = np.zeros((len(labels) + 1, 12))
            for i, label in enumerate(labels):
                listed[i, _months(label)] = 1
            code = np.nan_to_num(panel.static[name], nan=len(labels)).astype(int)
            found[f"in_{name}"] = listed[code[series], month]
    return found


def _start(panel: Panel, stem: str, year: Floats) -> Floats | None:
    """Return the day a `_year` with its `_month` or `_week` names; NaN where it is not told."""
    known = np.isfinite(year)
    first = np.where(known, year, 1970).astype(np.int64)
    months = ((first - 1970) * 12).astype("datetime64[M]")
    if f"{stem}_month" in panel.static:
        month = np.nan_to_num(panel.static[f"{stem}_month"], nan=1).astype(np.int64)
        days = (months + (month - 1)).astype("datetime64[D]").astype(np.int64)
    elif f"{stem}_week" in panel.static:
        week = np.nan_to_num(panel.static[f"{stem}_week"], nan=1).astype(np.int64)
        days = months.astype("datetime64[D]").astype(np.int64) + 7 * (week - 1)
    else:
        return None
    return np.where(known, days, np.nan)


def _months(label: str) -> list[int]:
    """Return the months a label lists, or nothing when it is no such list."""
    names = [part.strip().lower()[:3] for part in label.split(",")]
    return [MONTHS.index(name) for name in names] if all(n in MONTHS for n in names) else []
