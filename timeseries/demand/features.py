"""What is known at an origin about a sale later on: one row for a series, an origin, a moment.

Targets are read up to the origin only; plans (promotions, prices, holidays, which days are open)
are read at the moment itself and around it, for they are known ahead. The features come as
levels, in the scale of the values (logarithms or counts), and as numbers free of any scale.

Shapes: N series, T moments, R rows, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from timeseries import calendars, plans
from timeseries.panel import Panel
from timeseries.windows import Sums, at, since, smoothed

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTHS = {  # steps that a mean goes back, by the step's unit
    "second": (1, 6, 24, 72),
    "hour": (6, 24, 48, 168, 336, 672),
    "day": (7, 14, 28, 56, 91, 182, 364),
    "week": (1, 2, 4, 8, 13, 26, 52),
    "month": (1, 3, 6, 12, 24),
    "number": (1, 2, 4, 8, 13, 26, 52),
}
MOST_LABELS = 200  # a text column of more values is a number at best
HALF_LIVES = (4, 10, 25, 60)  # of the weight of rare sales, in steps
MOST_LIKES = 100  # series that share a part of their key: more say nothing of one of them
SLOTS = (1, 2, 4, 8, 13, 26, 52)  # times back on the same place of the short cycle


@dataclass
class Table:
    """Features of R rows: `values` is R x F; `levels` and `categories` name some of them."""

    names: list[str]
    values: npt.NDArray[np.float32]
    levels: tuple[str, ...]
    categories: tuple[str, ...]
    base: Floats = field(repr=False)  # R: what the past alone expects, in the values' scale

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """Return one feature of all rows."""
        return self.values[:, self.names.index(name)]


class Builder:
    """Builds features for rows of one panel; what all rows share is computed once."""

    def __init__(self, panel: Panel, *, logarithm: bool, choose_until: int | None = None) -> None:
        """Compute what rows share; the main event is chosen by sales up to `choose_until`."""
        self.panel = panel
        self.value = np.log1p(np.maximum(panel.y, 0)) if logarithm else panel.y
        self.logarithm = logarithm
        season = panel.grid.season
        self.event = plans.main_event(panel if choose_until is None else panel.until(choose_until))
        self.sums = Sums(self.value)
        self.slots = Sums(self.value, season)
        self.by_event = [
            (Sums(np.where(self.event == code, self.value, np.nan), season),
             Sums(np.where(self.event == code, self.value, np.nan)))
            for code in (0, 1)
        ]  # fmt: skip
        self.squares = Sums(self.value**2)
        self.zeros = Sums(np.where(np.isfinite(panel.y), panel.y == 0, np.nan))
        self.sold = since(panel.y > 0)
        self.seen = since(np.isfinite(panel.y))
        # of rare sales one series' own last weeks say little: older ones and its likes' say more
        self.smoothed = {} if logarithm else {life: smoothed(panel.y, life) for life in HALF_LIVES}
        self.likes = {} if logarithm else self._likes()
        self.residual = self._residuals()
        self.residual_sums = Sums(self.residual)
        self.plan = plans.features(panel, self.event)

    def _likes(self) -> dict[str, tuple[Sums, Floats]]:
        """Return, by part of the key, what others that share it sold, and how long ago."""
        found, y = {}, self.panel.y
        known = np.isfinite(y)
        sold = np.where(known, y, 0.0)
        for place, name in enumerate(self.panel.key_names):
            labels = [key[place] for key in self.panel.keys]
            different, group = np.unique(labels, return_inverse=True)
            if not 1 < len(labels) / len(different) <= MOST_LIKES:
                continue
            total, count = (np.zeros((len(different), y.shape[1])) for _ in range(2))
            np.add.at(total, group, sold)
            np.add.at(count, group, known.astype(float))
            others = count[group] - known
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(others > 0.5, (total[group] - sold) / others, np.nan)
            found[name] = Sums(mean), since(np.nan_to_num(mean) > 0)
        return found

    def _residuals(self) -> Floats:
        """Return each value less what the weeks before it expected of it."""
        n, moments = self.value.shape
        series = np.repeat(np.arange(n), moments)
        moment = np.tile(np.arange(moments), n)
        expected = self._expected(series, moment - 1, moment)
        return self.value - expected.reshape(n, moments)

    def _last_slot(self, origin: Ints, moment: Ints) -> Ints:
        """Return the last moment up to the origin on the same place of the short cycle."""
        season = self.panel.grid.season
        return moment - -(-(moment - origin) // season) * season

    def _same_event(
        self, series: Ints, end: Ints, moment: Ints, steps: int, *, slot: bool
    ) -> Floats:
        planned = at(self.event, series, moment)
        place = 0 if slot else 1
        off, on = (sums[place].mean(series, end, steps)[0] for sums in self.by_event)
        return np.where(planned == 1, on, off)

    def _expected(self, series: Ints, origin: Ints, moment: Ints) -> Floats:
        """Return the year's mean of the same weekday and event, or the best there is instead."""
        last = self._last_slot(origin, moment)
        width = self.panel.grid.year or 52
        choices = (
            self._same_event(series, last, moment, SLOTS[-1], slot=True),
            self._same_event(series, origin, moment, width, slot=False),
            self.slots.mean(series, last, SLOTS[-1])[0],
            self.sums.mean(series, origin, self.value.shape[1])[0],
        )
        found = choices[0]
        for choice in choices[1:]:
            found = np.where(np.isfinite(found), found, choice)
        return found

    def build(self, series: Ints, origin: Ints, moment: Ints) -> Table:
        """Return the features of the rows, which must have origin < moment."""
        expected = self._expected(series, origin, moment)
        recent, count = self.residual_sums.mean(series, origin, WIDTHS[self.panel.grid.unit][2])
        base = expected + np.nan_to_num(recent) * count / (count + 2)
        levels = self._levels(series, origin, moment)
        free = self._free(series, origin, moment)
        planned = {name: at(values, series, moment) for name, values in self.plan.values.items()}
        days = calendars.features(self.panel.grid, moment)
        facts = self._facts(series, moment)
        columns = levels | free | planned | days | facts
        values = np.empty((len(series), len(columns)), dtype=np.float32)
        for i, column in enumerate(columns.values()):
            values[:, i] = column
        categories = [name for name in columns if name in self.panel.categories]
        few = [name for name in categories if len(self.panel.categories[name]) <= MOST_LABELS]
        return Table(list(columns), values, tuple(levels), tuple(few), base)

    def _levels(self, series: Ints, origin: Ints, moment: Ints) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        grid = self.panel.grid
        for width in WIDTHS[grid.unit]:
            found[f"mean_{width}"] = self.sums.mean(series, origin, width)[0]
        for life, values in self.smoothed.items():
            found[f"smoothed_{life}"] = at(values, series, origin)
        last = self._last_slot(origin, moment)
        if grid.season > 1:
            for times in SLOTS:
                found[f"slot_{times}"] = self.slots.mean(series, last, times)[0]
        if self.plan.has_event:
            for times in (8, 26, 52):
                found[f"event_slot_{times}"] = self._same_event(
                    series, last, moment, times, slot=True
                )
            for width in WIDTHS[grid.unit][2::2]:
                found[f"event_{width}"] = self._same_event(
                    series, origin, moment, width, slot=False
                )
        if grid.year:
            # a year that is not over at the origin has no answer yet
            ago = np.where(moment - grid.year <= origin, moment - grid.year, -1)
            half = max(1, grid.season // 2)
            found["year_ago"] = at(self.value, series, ago)
            stop = np.minimum(ago + half, origin)
            found["year_ago_around"] = np.where(
                ago >= 0, self.sums.between(series, np.maximum(ago - half, 0), stop)[0], np.nan
            )
        return found

    def _free(self, series: Ints, origin: Ints, moment: Ints) -> dict[str, Floats]:
        grid = self.panel.grid
        found = {"horizon": (moment - origin).astype(float)}
        widths = WIDTHS[grid.unit]
        for width in widths[1:6:2]:
            mean, count = self.sums.mean(series, origin, width)
            square = self.squares.mean(series, origin, width)[0]
            found[f"spread_{width}"] = np.sqrt(np.maximum(square - mean**2, 0))
            found[f"observed_{width}"] = count / width
            found[f"zeros_{width}"] = self.zeros.mean(series, origin, width)[0]
        for width in widths[:5]:
            found[f"residual_{width}"] = self.residual_sums.mean(series, origin, width)[0]
        found["since_sale"] = at(self.sold, series, origin)
        found["since_row"] = at(self.seen, series, origin)
        for name, (sums, since_sale) in self.likes.items():
            usual = np.maximum(sums.mean(series, origin, self.value.shape[1])[0], 0.02)
            for width in widths[:5:2]:
                recent = sums.mean(series, origin, width)[0]
                found[f"same_{name}_{width}"] = recent / usual
            found[f"same_{name}_since"] = at(since_sale, series, origin)
        if grid.year:
            found |= self._year_ago(series, origin, moment)
        return found

    def _year_ago(self, series: Ints, origin: Ints, moment: Ints) -> dict[str, Floats]:
        """Return what was unusual a year (and two) before the moment."""
        grid = self.panel.grid
        found = {}
        for years in (1, 2):
            ago = np.where(moment - years * grid.year <= origin, moment - years * grid.year, -1)
            near = max(1, grid.season // 2)
            for name, half in (("", near), ("_wide", 3 * near + 1)):
                start, stop = np.maximum(ago - half, 0), np.minimum(ago + half, origin)
                mean = self.residual_sums.between(series, start, stop)[0]
                found[f"residual_year_{years}{name}"] = np.where(ago >= 0, mean, np.nan)
        return found

    def _facts(self, series: Ints, moment: Ints) -> dict[str, Floats]:
        found = {name: values[series] for name, values in self.panel.static.items()}
        found |= calendars.since_dates(self.panel, series, moment)
        return found
