"""Means over the past of many series at once, for any rows (series, moment) asked for.

Every sum ends at the moment given: nothing after it is read, which the tests of the features
prove by changing it.

Shapes: N series, T moments, R rows asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Sums:
    """Running sums of N x T values, NaN left out, along every `stride`-th moment."""

    def __init__(self, values: Floats, stride: int = 1) -> None:
        self.stride = stride
        known = np.isfinite(values)
        self.total = _running(np.where(known, values, 0.0), stride)
        self.count = _running(known.astype(np.float64), stride)

    def mean(self, series: Ints, end: Ints, steps: int) -> tuple[Floats, Floats]:
        """Return the mean and the count of the `steps` strides that end at `end`, itself included.

        `end` may lie before the first moment: then the mean is NaN and the count 0.
        """
        upper = end + self.stride
        lower = upper - steps * self.stride
        total = self._at(self.total, series, upper) - self._at(self.total, series, lower)
        count = self._at(self.count, series, upper) - self._at(self.count, series, lower)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0.5, total / count, np.nan), count

    def between(self, series: Ints, start: Ints, stop: Ints) -> tuple[Floats, Floats]:
        """Return the mean and the count from `start` to `stop`, both included (stride 1)."""
        if self.stride != 1:
            raise ValueError("spans are of single moments")
        total = self._at(self.total, series, stop + 1) - self._at(self.total, series, start)
        count = self._at(self.count, series, stop + 1) - self._at(self.count, series, start)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0.5, total / count, np.nan), count

    def _at(self, sums: Floats, series: Ints, place: Ints) -> Floats:
        # before the first stride lies only zero; on a stride each class of moments has its own
        inside = np.clip(place, 0, sums.shape[1] - 1)
        return np.where(place >= 0, sums[series, inside], 0.0)


def _running(values: Floats, stride: int) -> Floats:
    """Return sums so that column t + stride holds everything on t's stride up to t."""
    n, moments = values.shape
    padded = -(-moments // stride) * stride
    wide = np.zeros((n, padded))
    wide[:, :moments] = values
    sums = np.zeros((n, padded + stride))
    sums[:, stride:] = wide.reshape(n, -1, stride).cumsum(axis=1).reshape(n, padded)
    return sums


def at(values: npt.NDArray[np.floating[Any]], series: Ints, moment: Ints) -> Floats:
    """Return values[series, moment], NaN where the moment lies outside."""
    inside = (moment >= 0) & (moment < values.shape[1])
    return np.where(inside, values[series, np.clip(moment, 0, values.shape[1] - 1)], np.nan)


def since(happened: npt.NDArray[np.bool_]) -> Floats:
    """Return, N x T, the steps since it last happened, now included; NaN when it never did."""
    moment = np.arange(happened.shape[1])
    last = np.maximum.accumulate(np.where(happened, moment, -1), axis=1)
    return np.where(last >= 0, moment - last, np.nan)


def ahead(happens: npt.NDArray[np.bool_]) -> Floats:
    """Return, N x T, the steps until it next happens, now included; NaN when it never will."""
    return since(happens[:, ::-1])[:, ::-1]


def smoothed(values: Floats, half_life: float) -> Floats:
    """Return, N x T, the mean of everything up to a moment, what is older counting less.

    A value counts half as much after `half_life` further ones; NaN is skipped, and stands where
    nothing is known yet.
    """
    rate = 1 - 0.5 ** (1 / half_life)
    found = np.empty(values.shape)
    total, weight = np.zeros(len(values)), np.zeros(len(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        for t in range(values.shape[1]):
            known = np.isfinite(values[:, t])
            step = np.where(known, rate, 0.0)
            total += step * (np.where(known, values[:, t], 0.0) - total)
            weight += step * (1 - weight)
            found[:, t] = np.where(weight > 0, total / weight, np.nan)
    return found
