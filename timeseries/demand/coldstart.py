"""Series with little or no history: what series like them will sell.

Shapes: N series, R rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 15
SHARPNESS = 4.0  # a neighbour one fact further away counts a fiftieth


def cold(panel: Panel, origin: int) -> npt.NDArray[np.bool_]:
    """Return which series have too little history at the origin for a forecast of their own."""
    needed = max(4, panel.grid.season)
    return np.isfinite(panel.y[:, : origin + 1]).sum(axis=1) < needed


def likeness(panel: Panel, chosen: Ints, among: Ints) -> tuple[Ints, Floats]:
    """Return, for each chosen series, the most similar ones of `among`, and how much each counts.

    A category that differs counts one, a number by how many spreads it is off, at most one.
    """
    distance = np.zeros((len(chosen), len(among)))
    for name, values in panel.static.items():
        left, right = values[chosen][:, None], values[among][None]
        if name in panel.categories:
            apart = (left != right).astype(float)
        else:
            spread = np.nanstd(values) if np.isfinite(values).any() else 1.0
            apart = np.minimum(np.abs(left - right) / max(float(spread), 1e-9), 1.0)
        distance += np.nan_to_num(apart, nan=0.5)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    apart = np.take_along_axis(distance, nearest, axis=1)
    return nearest, np.exp(-SHARPNESS * (apart - apart[:, :1]))


def fill(
    panel: Panel, origin: int, series: Ints, moment: Ints, forecast: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return forecasts with the cold series' rows taken from their likes, and which rows those are.

    A row of a cold series gets the mean of its neighbours' forecasts at that moment, or of any
    moment where they have none then.
    """
    is_cold = cold(panel, origin)
    rows = is_cold[series]
    warm = np.unique(series[~rows])
    if not rows.any() or not len(warm):
        return forecast, rows
    moments = np.unique(moment)
    table = np.full((len(warm), len(moments)), np.nan)
    place = np.searchsorted(warm, series[~rows]), np.searchsorted(moments, moment[~rows])
    table[place] = forecast[~rows]
    chosen = np.unique(series[rows])
    neighbours, shares = likeness(panel, chosen, warm)
    own_level = _levels(panel, origin)
    found = forecast.copy()
    for i, one in enumerate(chosen):
        like = table[neighbours[i]]
        known = np.isfinite(like)
        share = np.where(known, shares[i][:, None], 0.0)
        total = np.where(known, like * share, 0.0)
        line = total.sum(axis=0) / np.maximum(share.sum(axis=0), 1e-12)
        usual = total.sum() / max(share.sum(), 1e-12)
        line = np.where(known.any(axis=0), line, usual)
        mine = rows & (series == one)
        level = _own_share(own_level[one], own_level[warm[neighbours[i]]], shares[i])
        found[mine] = level * line[np.searchsorted(moments, moment[mine])]
    return found, rows


def _levels(panel: Panel, origin: int) -> Floats:
    y = panel.y[:, : origin + 1]
    known = np.isfinite(y)
    count = known.sum(axis=1)
    mean = np.where(known, y, 0).sum(axis=1) / np.maximum(count, 1)
    return np.stack([np.where(count > 0, mean, np.nan), count], axis=1)


def _own_share(own: Floats, likes: Floats, share: Floats) -> float:
    """Return by how much the few points a series has stand above or below its likes' mean."""
    told = np.isfinite(likes[:, 0])
    usual = float(np.average(likes[told, 0], weights=share[told])) if told.any() else 0.0
    if not np.isfinite(own[0]) or usual <= 0:
        return 1.0
    weight = own[1] / (own[1] + 2)
    return float((1 - weight) + weight * own[0] / usual)
