"""The scale a model works in: logarithms for sales that are always there, counts for rare ones.

Shapes: N series, T moments, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from timeseries.demand.features import Builder, Table
from timeseries.demand.rows import Rows
from timeseries.errors import BadRequest
from timeseries.panel import Panel
from timeseries.windows import Sums

Floats = npt.NDArray[np.float64]
Aim = Literal["percentage", "squared"]

INTERMITTENT = 0.15  # share of zeros from which on sales are rare


def choose_aim(panel: Panel, said: str = "auto") -> Aim:
    """Return what to minimise: the percentage error, or the squared one where zeros are many.

    A percentage of nothing says nothing, and the median of rare sales is 0.
    """
    if said in ("percentage", "squared"):
        return said  # type: ignore[return-value]
    if said != "auto":
        raise BadRequest(f"aim {said!r} is none of auto, percentage, squared")
    known = panel.y[np.isfinite(panel.y)]
    rare = len(known) > 0 and float((known == 0).mean()) > INTERMITTENT
    return "squared" if rare else "percentage"


@dataclass
class Prepared:
    """Rows ready for a model: features free of the series' own scale, and the way back.

    Under `percentage` a forecast is expm1(base + prediction); under `squared` it is
    unit * prediction, unit being the series' typical step.
    """

    matrix: npt.NDArray[np.float32]
    names: list[str]
    categories: tuple[str, ...]
    base: Floats
    unit: Floats
    aim: Aim

    def columns(self, names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the named features, R x len(names); one that is not here is NaN throughout."""
        if list(names) == self.names:
            return self.matrix
        place = {name: i for i, name in enumerate(self.names)}
        found = np.full((len(self.matrix), len(names)), np.nan, dtype=np.float32)
        for i, name in enumerate(names):
            if name in place:
                found[:, i] = self.matrix[:, place[name]]
        return found

    def arranged(self, names: list[str], categories: tuple[str, ...]) -> Prepared:
        """Return the same rows with the features of another fit, in its order."""
        return replace(self, matrix=self.columns(names), names=names, categories=categories)

    def forecast(self, prediction: Floats) -> Floats:
        """Return the sales that a prediction in the model's scale stands for."""
        if self.aim == "percentage":
            return np.expm1(np.clip(self.base + prediction, 0, 40))
        return np.maximum(prediction * self.unit, 0)

    def target(self, sales: Floats) -> Floats:
        """Return sales in the model's scale."""
        if self.aim == "percentage":
            return np.log1p(np.maximum(sales, 0)) - self.base
        return sales / self.unit


class Scale:
    """Prepares rows of one panel; what is known at an origin only is used, unit included."""

    def __init__(
        self, panel: Panel, aim: Aim, until: int, *, choose_until: int | None = None
    ) -> None:
        self.panel, self.aim = panel.until(until), aim
        self.builder = Builder(self.panel, logarithm=aim == "percentage", choose_until=choose_until)
        self.residual_squares = Sums(self.builder.residual**2)

    def prepare(self, rows: Rows) -> Prepared:
        """Return the rows' features, levels taken relative to what the past expects."""
        table = self.builder.build(rows.series, rows.origin, rows.moment)
        unit = self._unit(rows)
        base = self._base(table)
        values = table.values
        for name in table.levels:
            column = values[:, table.names.index(name)]
            if self.aim == "percentage":
                column -= base.astype(np.float32)
            else:
                column /= unit.astype(np.float32)
        if self.aim == "squared":
            for name in table.names:
                if name.startswith(("residual", "spread_")):
                    values[:, table.names.index(name)] /= unit.astype(np.float32)
        return Prepared(values, table.names, table.categories, base, unit, self.aim)

    def names(self) -> list[str]:
        """Return the features' names, in order."""
        first = np.zeros(1, dtype=np.int64)
        return self.prepare(Rows(first, first, first + 1)).names

    def _base(self, table: Table) -> Floats:
        known = np.isfinite(table.base)
        everyone = float(np.median(table.base[known])) if known.any() else 0.0
        return np.where(known, table.base, everyone)

    def _unit(self, rows: Rows) -> Floats:
        """Return the size of the series' sales at the origin: its mean plus its spread."""
        if self.aim == "percentage":
            return np.ones(len(rows))
        width = self.panel.y.shape[1]
        square, count = self.builder.squares.mean(rows.series, rows.origin, width)
        size = np.sqrt(np.maximum(square, 0))
        size = np.where((count > 0) & (size > 0), size, np.nan)
        known = size[np.isfinite(size)]
        return np.where(np.isfinite(size), size, known.mean() if len(known) else 1.0)

    def variance(self, rows: Rows) -> Floats:
        """Return how far rows have lain from what was expected, squared: their series' own."""
        grid = self.panel.grid
        width = max(26 * grid.season, 26)
        mean, count = self.builder.residual_sums.mean(rows.series, rows.origin, width)
        square = self.residual_squares.mean(rows.series, rows.origin, width)[0]
        variance = np.maximum(square - np.nan_to_num(mean) ** 2, 0)
        typical = float(np.nanmedian(variance)) if np.isfinite(variance).any() else 1.0
        weight = count / (count + 20)
        return np.asarray(weight * np.nan_to_num(variance) + (1 - weight) * typical)

    def spread(self, rows: Rows, forecast: Floats) -> Floats:
        """Return how far from the forecast a row may well lie, in the scale of the errors."""
        return spread(self.variance(rows), forecast, self.aim)


def spread(variance: Floats, forecast: Floats, aim: Aim) -> Floats:
    """Return how far from the forecast a row of that variance may well lie."""
    if aim == "squared":
        variance = (variance + np.maximum(forecast, 0.02)) / 2
    return np.asarray(np.sqrt(np.maximum(variance, 1e-4)))
