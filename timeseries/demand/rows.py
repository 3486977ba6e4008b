"""Which rows a model learns from and is checked on: series, origin, moment.

Shapes: N series, T moments, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ask:
    """How far ahead is asked: moments origin + gap + 1 to origin + gap + horizon."""

    horizon: int
    gap: int = 0

    @property
    def reach(self) -> int:
        """The last step ahead."""
        return self.gap + self.horizon


@dataclass(frozen=True)
class Rows:
    """R questions: what will `series` sell at `moment`, asked at `origin`?"""

    series: Ints
    origin: Ints
    moment: Ints

    def __len__(self) -> int:
        return len(self.series)

    def pairs(self, most: int, seed: int) -> npt.NDArray[np.bool_]:
        """Return which rows belong to at most `most` pairs of series and origin, drawn by lot.

        A network reads a pair's past once for all its rows: few whole pairs cost far less than
        the same number of rows from many.
        """
        code = self.series * (int(self.origin.max(initial=0)) + 1) + self.origin
        different, place = np.unique(code, return_inverse=True)
        if len(different) <= most:
            return np.ones(len(self), dtype=bool)
        chosen = np.zeros(len(different), dtype=bool)
        generator = np.random.default_rng(seed)
        chosen[generator.choice(len(different), most, replace=False)] = True
        return np.asarray(chosen[place])

    def take(self, chosen: npt.NDArray[np.bool_] | Ints) -> Rows:
        """Return some of the rows."""
        return Rows(self.series[chosen], self.origin[chosen], self.moment[chosen])

    @property
    def ahead(self) -> Ints:
        """Steps from the origin to the moment."""
        return self.moment - self.origin


def rows_at(panel: Panel, origins: Sequence[int], ask: Ask) -> Rows:
    """Return the rows of these origins whose target the panel knows."""
    parts = []
    for origin in origins:
        start = origin + ask.gap + 1
        known = np.isfinite(panel.y[:, start : origin + ask.reach + 1])
        series, step = np.nonzero(known)
        parts.append((series, np.full(len(series), origin), start + step))
    if not parts:
        return Rows(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    series, origin_of, moment = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(series.astype(np.int64), origin_of.astype(np.int64), moment.astype(np.int64))


def training_rows(
    panel: Panel, until: int, ask: Ask, *, limit: int, seed: int, pairs: int | None = None
) -> Rows:
    """Return at most `limit` rows to learn from: origins all over the past, none beyond `until`.

    With `pairs`, rows of at most so many pairs of a series and an origin, whole.

    The whole of a row's horizon lies within `until`, so that near and far moments are learnt
    from alike. The first origins wait until there is something to look back on.
    """
    season = panel.grid.season
    last = until - ask.reach
    # a year's worth of origins at least, but never the first third of a short history
    earliest = min(max(2 * season, until // 10), max(last - 1, 0))
    step = max(1, min(season, ask.horizon // 4 or 1)) if season > 1 else 1
    if ask.horizon > 4 * season > 4:
        step = season * (ask.horizon // (4 * season))
    origins = list(range(last, earliest - 1, -step))
    if not origins:
        origins = [max(0, last)]
    generator = np.random.default_rng(seed)
    known = np.isfinite(panel.y[:, : until + 1]).sum() / max(1, until + 1)
    expected = known * ask.horizon
    # origins are thinned before their rows are, or memory holds rows that nobody uses
    most = max(8, int(3 * limit / max(expected, 1)))
    if len(origins) > most:
        origins = sorted(generator.choice(origins, most, replace=False).tolist(), reverse=True)
    rows = rows_at(panel.until(until), origins, ask)
    if pairs is not None:
        rows = rows.take(rows.pairs(pairs, seed))
    if len(rows) > limit:
        rows = rows.take(np.sort(generator.choice(len(rows), limit, replace=False)))
    return rows
