"""Many series on one grid: targets, what is known ahead, and what never changes.

Shapes: N series, T moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from timeseries import moments
from timeseries.errors import BadTime, BadValue, DuplicateRow, MissingColumn, UnknownSeries
from timeseries.moments import Grid
from timeseries.roles import Roles

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """Series on a grid; NaN where nothing is known.

    `y` ends where the history ends: later columns are NaN. `present` says where a row stands,
    in the history or in the plan ahead (a missing day of a shop is a closed day). Text columns
    are coded, `categories` names the codes.
    """

    grid: Grid
    keys: tuple[tuple[str, ...], ...]
    key_names: tuple[str, ...]
    y: Floats  # N x T
    present: npt.NDArray[np.bool_]  # N x T
    known: dict[str, Floats] = field(default_factory=dict)  # N x T each
    static: dict[str, Floats] = field(default_factory=dict)  # N each
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def last(self) -> int:
        """The last moment at which any target is known."""
        known = np.flatnonzero(np.isfinite(self.y).any(axis=0))
        return int(known[-1]) if len(known) else -1

    def until(self, origin: int) -> Panel:
        """Return the panel as it was known at `origin`: later targets are gone."""
        y = self.y.copy()
        y[:, origin + 1 :] = np.nan
        return replace(self, y=y)

    def take(self, series: npt.NDArray[Any]) -> Panel:
        """Return some of the series only."""
        chosen = np.arange(len(self.keys))[series]
        return replace(
            self,
            keys=tuple(self.keys[i] for i in chosen),
            y=self.y[chosen],
            present=self.present[chosen],
            known={name: values[chosen] for name, values in self.known.items()},
            static={name: values[chosen] for name, values in self.static.items()},
        )

    def recoded(self, categories: Mapping[str, tuple[str, ...]]) -> Panel:
        """Return the panel with text coded as in `categories`; values new to them come last."""
        known, static, labels = dict(self.known), dict(self.static), dict(self.categories)
        for name, own in self.categories.items():
            wanted = categories.get(name, ())
            every = (*wanted, *(label for label in own if label not in set(wanted)))
            code = np.array([every.index(label) for label in own], dtype=np.float64)
            for table in (known, static):
                if name in table:
                    told = np.isfinite(table[name])
                    old = np.where(told, table[name], 0).astype(np.int64)
                    table[name] = np.where(told, code[old], np.nan)
            labels[name] = every
        return replace(self, known=known, static=static, categories=labels)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Rows:
    """Where a future table's rows lie in the panel, and their true targets (NaN: not told)."""

    series: Ints
    moment: Ints
    truth: Floats


def build_panel(
    history: pl.DataFrame,
    roles: Roles,
    *,
    companions: Mapping[str, pl.DataFrame] | None = None,
    future: pl.DataFrame | None = None,
) -> tuple[Panel, Rows | None]:
    """Return the panel of a history, its time going on through `future`, and the future's rows.

    The future's targets are kept out of the panel: they stand in the rows alone. Raises the
    errors of `timeseries.errors`, each with its row; harmless oddities become notices.
    """
    if future is not None:
        history, future = _continue_numbers(history, future, roles)
    joined, split = _join(history, future, roles)
    time = _times(joined[roles.time], split, roles.time)
    if roles.series:
        codes, keys = _series(joined, roles.series)
    else:
        codes, keys = np.zeros(len(joined), dtype=np.int64), (("",),)
    _no_new_series(codes, keys, split, roles)
    grid, step = moments.make_grid(time, codes, name=roles.time)
    target = _targets(joined, roles, split)
    if future is not None and len(future):
        _after(step, split, joined, roles)
    _no_duplicates(codes, step, joined, roles)
    shape = (len(keys), int(step.max()) + 1)
    y, present = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    y[codes[:split], step[:split]] = target[:split]
    present[codes, step] = True
    panel = Panel(grid, keys, roles.series, y, present, notices=_notices(y, keys))
    panel = _with_known(panel, joined, roles, codes, step, split)
    panel = _with_companions(panel, companions or {}, roles)
    panel = _with_keys(panel)
    if future is None:
        return panel, None
    return panel, Rows(codes[split:], step[split:], target[split:])


def _continue_numbers(
    history: pl.DataFrame, future: pl.DataFrame, roles: Roles
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with numbers that go on, where the future's start again at 1.

    Histories of different lengths then end together, as their futures start together.
    """
    time, keys = roles.time, list(roles.series)
    if time not in future.columns or not history[time].dtype.is_integer():
        return history, future
    if future[time].min() > 1 or history[time].max() < future[time].min():  # type: ignore[operator]
        return history, future
    last = history[time].max()
    number = pl.col(time).cast(pl.Int64)
    future = future.with_columns(number + last)
    if not keys:
        return history, future
    return history.with_columns(number - number.max().over(keys) + last), future


def _join(
    history: pl.DataFrame, future: pl.DataFrame | None, roles: Roles
) -> tuple[pl.DataFrame, int]:
    needed = [*roles.series, roles.time, roles.target]
    columns = list(dict.fromkeys([*needed, *(n for n in roles.known if n in history.columns)]))
    frames = [history.select(columns)]
    if future is not None:
        absent = [name for name in columns if name not in future.columns and name != roles.target]
        if absent:
            raise MissingColumn(
                f"the rows ahead lack {', '.join(absent)}, which the history has and counts as "
                "known ahead"
            )
        if roles.target not in future.columns:
            future = future.with_columns(pl.lit(None, dtype=pl.Float64).alias(roles.target))
        frames.append(future.select(columns))
    plain = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in roles.series)
        for frame in frames
    ]
    plain = [
        frame.with_columns(
            pl.col(name).cast(pl.String)
            for name, kind in frame.schema.items()
            if isinstance(kind, pl.Categorical | pl.Enum)
        )
        for frame in plain
    ]
    return pl.concat(plain, how="vertical_relaxed"), len(history)


def _times(column: pl.Series, split: int, name: str) -> pl.Series:
    try:
        return moments.parse(column)
    except BadTime as error:
        if error.row and error.row > split:
            raise BadTime(f"{name} of the rows ahead: {error}", row=error.row - split) from error
        raise


def _series(frame: pl.DataFrame, names: Sequence[str]) -> tuple[Ints, tuple[tuple[str, ...], ...]]:
    for name in names:
        if frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0) + 1
            raise BadValue(f"{name} is empty: every row needs its series", row=row)
    keys = frame.select(names).unique(maintain_order=True)
    coded = frame.select(names).join(
        keys.with_row_index("__code"), on=list(names), how="left", maintain_order="left"
    )
    return coded["__code"].to_numpy().astype(np.int64), tuple(keys.rows())


def _no_new_series(codes: Ints, keys: Sequence[object], split: int, roles: Roles) -> None:
    # a series without history is forecast from its likes: only a future without any is wrong
    if split < len(codes) and not np.isin(codes[split:], codes[:split]).any():
        raise UnknownSeries(
            f"none of the {', '.join(roles.series)} of the rows ahead is in the history", row=1
        )


def _targets(frame: pl.DataFrame, roles: Roles, split: int) -> Floats:
    column = frame[roles.target]
    values = column.cast(pl.Float64, strict=False)
    unreadable = values.is_null() & column.is_not_null()
    if unreadable.any():
        row = int(unreadable.arg_max() or 0)
        raise BadValue(f"{roles.target} is {column[row]!r}, which is no number", row=row + 1)
    target = values.fill_null(np.nan).to_numpy().astype(np.float64)
    wrong = np.flatnonzero(np.isinf(target[:split]))
    if len(wrong):
        raise BadValue(f"{roles.target} is infinite", row=int(wrong[0]) + 1)
    return target


def refuse_negative(history: pl.DataFrame, roles: Roles) -> None:
    """Raise BadValue with the row when a sale is negative: returns are no demand."""
    column = history[roles.target]
    if not column.dtype.is_numeric():
        column = column.cast(pl.Float64, strict=False)
    negative = (column < 0).fill_null(False)
    if negative.any():
        row = int(negative.arg_max() or 0)
        raise BadValue(
            f"{roles.target} is {column[row]}: demand cannot be negative; take returns out "
            "or give them their own column",
            row=row + 1,
        )


def _no_duplicates(codes: Ints, step: Ints, frame: pl.DataFrame, roles: Roles) -> None:
    place = codes * (int(step.max()) + 1) + step
    order = np.argsort(place, kind="stable")
    again = np.flatnonzero(np.diff(place[order]) == 0)
    if len(again):
        first, row = int(order[again[0]]), int(order[again[0] + 1])
        what = ", ".join(str(frame[name][row]) for name in (*roles.series, roles.time))
        raise DuplicateRow(
            f"{what} is there already, in row {first + 1}: add the two up or drop one",
            row=row + 1,
        )


def _after(step: Ints, split: int, frame: pl.DataFrame, roles: Roles) -> None:
    early = np.flatnonzero(step[split:] <= step[:split].max())
    if len(early):
        row = int(early[0])
        raise BadTime(
            f"{frame[roles.time][split + row]} is not after the history, which ends with "
            f"{frame[roles.time][int(step[:split].argmax())]}",
            row=row + 1,
        )


def _notices(y: Floats, keys: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what is odd but harmless: long gaps, single points."""
    told = []
    known = np.isfinite(y)
    counts = known.sum(axis=1)
    single = np.flatnonzero(counts == 1)
    if len(single):
        told.append(
            f"{len(single)} series have a single point ({_name(keys[single[0]])} is the first): "
            "they are forecast from series like them"
        )
    first = np.argmax(known, axis=1)
    last = known.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    holes = np.where(counts > 0, last - first + 1 - counts, 0)
    if holes.any():
        worst = int(holes.argmax())
        told.append(
            f"{int((holes > 0).sum())} series have gaps; the most, {int(holes[worst])} moments, "
            f"has {_name(keys[worst])}: a missing moment counts as closed, not as zero"
        )
    return tuple(told)


def _name(key: tuple[str, ...]) -> str:
    return " / ".join(key) or "the series"


def encode(column: pl.Series, split: int | None = None) -> tuple[Floats, tuple[str, ...]]:
    """Return a column as numbers; of text, codes of its sorted values, which come second.

    Values that first stand behind row `split` come last: a plan changes no code of the past.
    """
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64), ()
    text = column.cast(pl.String)
    past = text[:split].drop_nulls().unique().sort().to_list()
    ahead = text.drop_nulls().unique().sort().to_list()
    values = tuple(past + [value for value in ahead if value not in set(past)])
    if values and all(value.lstrip("-").isdigit() for value in values):
        return text.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64), ()
    codes = {value: float(i) for i, value in enumerate(values)}
    coded = text.replace_strict(codes, default=None, return_dtype=pl.Float64)
    return coded.fill_null(np.nan).to_numpy().astype(np.float64), values


def _with_known(
    panel: Panel, frame: pl.DataFrame, roles: Roles, codes: Ints, step: Ints, split: int
) -> Panel:
    known, categories = dict(panel.known), dict(panel.categories)
    for name in roles.known:
        if name not in frame.columns:
            continue
        values, labels = encode(frame[name], split)
        grid = np.full(panel.y.shape, np.nan)
        grid[codes, step] = values
        known[name] = grid
        if labels:
            categories[name] = labels
    return replace(panel, known=known, categories=categories)


def _with_companions(panel: Panel, tables: Mapping[str, pl.DataFrame], roles: Roles) -> Panel:
    """Return the panel with each companion's columns: by series static, by date known ahead."""
    for name, table in tables.items():
        keys = [key for key in roles.series if key in table.columns]
        if roles.time in table.columns and not keys:
            panel = _with_calendar(panel, table, roles)
        elif roles.time in table.columns:
            panel = _with_plan(panel, table, keys, roles, name)
        elif keys:
            panel = _with_facts(panel, table, keys, name)
    return panel


def _places_in_time(panel: Panel, table: pl.DataFrame, time: str) -> Ints:
    """Return the moment of each row of a table, -1 where it lies outside the panel."""
    place = {panel.grid.moment(i): i for i in range(panel.y.shape[1])}
    return np.array([place.get(when, -1) for when in moments.parse(table[time]).to_list()])


def _with_plan(
    panel: Panel, table: pl.DataFrame, keys: list[str], roles: Roles, where: str
) -> Panel:
    """Return the panel with a table of plans by series and time (prices by item and week)."""
    places = [panel.key_names.index(key) for key in keys]
    series_of: dict[tuple[str, ...], list[int]] = {}
    for i, key in enumerate(panel.keys):
        series_of.setdefault(tuple(key[place] for place in places), []).append(i)
    steps = _places_in_time(panel, table, roles.time)
    rows = table.select(pl.col(key).cast(pl.String) for key in keys).rows()
    if table.select(*keys, roles.time).is_duplicated().any():
        row = int(table.select(*keys, roles.time).is_duplicated().arg_max() or 0) + 1
        raise DuplicateRow(f"{where} tells the same {', '.join(keys)} and time twice", row=row)
    known, categories = dict(panel.known), dict(panel.categories)
    for name in table.columns:
        if name == roles.time or name in keys or not roles.counts(name):
            continue
        values, labels = encode(table[name])
        grid = np.full(panel.y.shape, np.nan)
        for row, key in enumerate(rows):
            if steps[row] >= 0 and key in series_of:
                grid[series_of[key], steps[row]] = values[row]
        known[name] = grid
        if labels:
            categories[name] = labels
    return replace(panel, known=known, categories=categories)


def _with_calendar(panel: Panel, table: pl.DataFrame, roles: Roles) -> Panel:
    """Return the panel with a table of days: what it tells of a day holds for every series."""
    steps = _places_in_time(panel, table, roles.time)
    inside = steps >= 0
    known, categories = dict(panel.known), dict(panel.categories)
    for name in table.columns:
        if name == roles.time or not roles.counts(name):
            continue
        values, labels = encode(table[name])
        line = np.full(panel.y.shape[1], np.nan)
        line[steps[inside]] = values[inside]
        known[name] = np.broadcast_to(line, panel.y.shape).copy()
        if labels:
            categories[name] = labels
    return replace(panel, known=known, categories=categories)


def _with_facts(panel: Panel, table: pl.DataFrame, keys: list[str], where: str) -> Panel:
    places = [panel.key_names.index(key) for key in keys]
    wanted = pl.DataFrame(
        {
            key: [series[place] for series in panel.keys]
            for key, place in zip(keys, places, strict=True)
        },
        schema=dict.fromkeys(keys, pl.String),
    )
    table = table.with_columns(pl.col(key).cast(pl.String) for key in keys)
    repeated = table.select(keys).is_duplicated()
    if repeated.any():
        row = int(repeated.arg_max() or 0) + 1
        raise DuplicateRow(f"{where} describes the same {', '.join(keys)} twice", row=row)
    joined = wanted.join(table, on=keys, how="left", maintain_order="left")
    static, categories = dict(panel.static), dict(panel.categories)
    for name in joined.columns:
        if name in keys:
            continue
        values, labels = encode(joined[name])
        static[name] = values
        if labels:
            categories[name] = labels
    return replace(panel, static=static, categories=categories)


def _with_keys(panel: Panel) -> Panel:
    """Return the panel with what the keys themselves say as static facts.

    Each part of a key of several, and the leading pieces of keys like FOODS_1_001, which name a
    department or a group. A key that is unique to its series says nothing more than its number.
    """
    static, categories = dict(panel.static), dict(panel.categories)
    for place, name in enumerate(panel.key_names):
        values = [key[place] for key in panel.keys]
        pieces = [value.split("_") for value in values]
        depth = min(len(piece) for piece in pieces)
        levels = {name: values} | {
            f"{name}_{i + 1}": ["_".join(piece[: i + 1]) for piece in pieces]
            for i in range(depth - 1)
        }
        for level, labels in levels.items():
            different = sorted(set(labels))
            if 1 < len(different) < len(panel):
                codes = {label: float(i) for i, label in enumerate(different)}
                static[level] = np.array([codes[label] for label in labels])
                categories[level] = tuple(different)
    return replace(panel, static=static, categories=categories)
