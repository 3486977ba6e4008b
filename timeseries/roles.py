"""What each column of a sales table is: recognised by its name, confirmed by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from timeseries.errors import MissingColumn

SERIES = (
    "series_id", "series", "unique_id", "store_id", "store", "shop", "branch", "site", "location",
    "item_id", "item", "sku", "product_id", "product", "article", "brand", "warehouse",
)  # fmt: skip
TIME = ("date", "ds", "day", "datetime", "timestamp", "time", "week", "month", "t")
TARGET = (
    "sales", "units", "units_sold", "quantity", "qty", "demand", "sold", "y", "target", "ot",
    "value", "volume",
)  # fmt: skip
# Known before the day comes: plans, prices that one sets oneself, the calendar
KNOWN = re.compile(
    r"^(promo\w*|\w*_promo|promotion\w*|campaign\w*|price\d*|\w*_price|discount\w*|deal|feat|"
    r"feature|display|holiday\w*|\w*_holiday|event\w*|snap_\w+|open|is_open|day_of_week|weekday)$"
)
# Known only afterwards, whatever their names suggest
AFTERWARDS = re.compile(r"^(customers|logmove|profit|revenue|turnover|margin|stock_?outs?)$")
DAY_OF_WEEK = ("day_of_week", "weekday", "dow", "dayofweek")  # the calendar says it already


@dataclass(frozen=True)
class Roles:
    """Which columns are the series' key, its time, its target, and known ahead."""

    series: tuple[str, ...]
    time: str
    target: str
    known: tuple[str, ...] = ()
    said: bool = False  # `known` was said by a person: nothing else counts, in no other table

    def counts(self, name: str) -> bool:
        """Return whether a column of a dated table beside the history counts as known ahead."""
        if self.said:
            return name in self.known
        lower = name.lower()
        return lower not in DAY_OF_WEEK and not AFTERWARDS.match(lower)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and names."""
        return asdict(self)


def recognise(
    frame: pl.DataFrame,
    *,
    series: Sequence[str] | None = None,
    time: str | None = None,
    target: str | None = None,
    known: Sequence[str] | None = None,
    companions: Mapping[str, pl.DataFrame] | None = None,
) -> Roles:
    """Return each column's role; what is given is taken, what is not is recognised by name.

    A column counts as known ahead only if `known` names it or its name is in the recognised set;
    so do a dated companion table's columns, which are calendars. Raises MissingColumn.
    """
    columns = frame.columns
    for name in [*(series or ()), *(known or ()), *filter(None, (time, target))]:
        elsewhere = any(name in table.columns for table in (companions or {}).values())
        if name not in columns and not elsewhere:
            raise MissingColumn(f"there is no column {name!r}; there are {', '.join(columns)}")
    time = time or _find(frame, TIME, "time", "--time", taken=())
    target = target or _find(frame, TARGET, "target", "--target", taken=(time,))
    if series is None:
        named = [name for name in columns if name.lower() in SERIES]
        series = [name for name in named if name not in (time, target)]
    said = known is not None
    if known is None:
        known = [
            name
            for name in columns
            if KNOWN.match(name.lower())
            and not AFTERWARDS.match(name.lower())
            and name.lower() not in DAY_OF_WEEK
            and name not in (*series, time, target)
        ]
    return Roles(tuple(series), time, target, tuple(known), said)


def _find(
    frame: pl.DataFrame, names: Sequence[str], role: str, option: str, taken: Sequence[str]
) -> str:
    by_name = {name.lower(): name for name in frame.columns if name not in taken}
    for name in names:
        if name in by_name:
            return by_name[name]
    if role == "time":
        dated = [name for name, kind in frame.schema.items() if kind.is_temporal()]
        if len(dated) == 1:
            return dated[0]
    raise MissingColumn(
        f"no column looks like the {role}: say which with {option} "
        f"(there are {', '.join(frame.columns)})"
    )
