"""Conformal intervals: how wide past forecasts would have had to be, by how far ahead.

A forecast's error is set in relation to a spread that grows with it, and the errors of rounds
that were held back give the quantiles (split conformal prediction, Vovk et al. 2005; normalised
scores, Lei et al. 2018). Because demand is never negative the lower end stops at 0; an interval
is chosen so wide that it covered its share of the held-back rows after that, which matters where
most days sell nothing. From round to round the aim follows what earlier intervals missed.

Shapes: R rows, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = (0.8, 0.95)
BUCKETS = 4  # parts of the horizon with errors of their own
SMALLEST = 200  # rows a part needs, or it shares with its neighbours
PACE = 0.4  # of the answer to a round that was covered too little or too much
NARROWEST, WIDEST = 0.15, 0.995  # how far below its level an aim may fall, and where it ends
GRID = np.concatenate(
    [[0.0025, 0.005], np.arange(0.01, 1.0, 0.01), [0.995, 0.9975]]
)  # of the quantiles kept


@dataclass(frozen=True)
class Conformal:
    """Quantiles of past scaled errors, one line a part of the horizon.

    `edges` are the last step of each part. `logarithm`: errors are of logarithms, else of
    counts. `central` gives for each level the quantile pair that covered it.
    """

    logarithm: bool
    edges: tuple[int, ...]
    errors: Floats  # parts x len(GRID)
    central: Floats  # parts x len(LEVELS): the lower quantile's level; the upper is 1 less it

    def quantiles(
        self, forecast: Floats, spread: Floats, horizon: Ints, levels: Sequence[float]
    ) -> Floats:
        """Return R x Q quantiles of what may come, never negative, never crossing."""
        part = self._part(horizon)
        found = np.empty((len(forecast), len(levels)))
        for i, level in enumerate(levels):
            error = np.array([np.interp(level, GRID, line) for line in self.errors])
            found[:, i] = self._apply(forecast, spread, error[part])
        return np.maximum.accumulate(found, axis=1) if list(levels) == sorted(levels) else found

    def interval(
        self, forecast: Floats, spread: Floats, horizon: Ints, level: float
    ) -> tuple[Floats, Floats]:
        """Return the low and high ends of the central interval of that level (0.8 or 0.95)."""
        part = self._part(horizon)
        lower = self.central[:, LEVELS.index(level)]
        ends = []
        for outer in (lower, 1 - lower):
            error = np.array(
                [np.interp(at, GRID, line) for at, line in zip(outer, self.errors, strict=True)]
            )
            ends.append(self._apply(forecast, spread, error[part]))
        return ends[0], ends[1]

    def _part(self, horizon: Ints) -> Ints:
        return np.minimum(np.searchsorted(self.edges, horizon), len(self.edges) - 1)

    def _apply(self, forecast: Floats, spread: Floats, error: Floats) -> Floats:
        if self.logarithm:
            found = np.expm1(np.log1p(forecast) + spread * error)
        else:
            found = forecast + spread * error
        return np.maximum(found, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, from which `from_json` makes the same again."""
        return {
            "logarithm": self.logarithm,
            "edges": list(self.edges),
            "errors": self.errors.tolist(),
            "central": self.central.tolist(),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Conformal:
        """Return the intervals that `to_json` described."""
        return cls(
            found["logarithm"],
            tuple(found["edges"]),
            np.array(found["errors"]),
            np.array(found["central"]),
        )


def adapted(missed: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the levels to aim at, given the shares that earlier rounds' intervals covered.

    `missed` has a line a round: by how much each of `LEVELS` was covered too little (too much:
    negative). Adaptive conformal inference (Gibbs and Candes 2021): where errors drift, coverage
    still comes out right in the long run.
    """
    total = np.sum(np.array(missed).reshape(-1, len(LEVELS)), axis=0)
    aims = np.array(LEVELS) + PACE * total
    return tuple(float(aim) for aim in np.clip(aims, np.array(LEVELS) - NARROWEST, WIDEST))


def fit(
    truth: Floats,
    forecast: Floats,
    spread: Floats,
    horizon: Ints,
    *,
    logarithm: bool,
    aims: Sequence[float] = LEVELS,
) -> Conformal:
    """Return intervals from rows that were held back when the forecasts were made.

    `aims` are the shares of these rows that the intervals of `LEVELS` cover.
    """
    if logarithm:
        error = (np.log1p(truth) - np.log1p(forecast)) / spread
    else:
        error = (truth - forecast) / spread
    edges = _edges(horizon)
    part = np.minimum(np.searchsorted(edges, horizon), len(edges) - 1)
    errors, central = [], []
    for i in range(len(edges)):
        rows = part == i
        errors.append(np.quantile(error[rows], GRID))
        central.append(
            [
                _central(truth[rows], forecast[rows], spread[rows], errors[-1], level, logarithm)
                for level in aims
            ]
        )
    return Conformal(logarithm, tuple(edges), np.array(errors), np.array(central))


def _edges(horizon: Ints) -> list[int]:
    """Return the last step of each part of the horizon, parts of enough rows each."""
    last = int(horizon.max())
    wanted = max(1, min(BUCKETS, last, len(horizon) // SMALLEST))
    cuts = np.unique(np.quantile(horizon, np.arange(1, wanted + 1) / wanted).astype(int))
    cuts[-1] = last
    return [int(cut) for cut in np.unique(cuts)]


def _central(
    truth: Floats, forecast: Floats, spread: Floats, line: Floats, level: float, logarithm: bool
) -> float:
    """Return the lower quantile level whose interval covered `level`, by bisection."""
    low, high = float(GRID[0]), 0.5
    single = Conformal(logarithm, (1,), line[None], np.full((1, len(LEVELS)), 0.0))
    horizon = np.ones(len(truth), dtype=np.int64)
    for _ in range(30):
        middle = (low + high) / 2
        ends = single.quantiles(forecast, spread, horizon, (middle, 1 - middle))
        covered = np.mean((truth >= ends[:, 0]) & (truth <= ends[:, 1]))
        low, high = (middle, high) if covered > level else (low, middle)
    return low
