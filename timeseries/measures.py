"""How good a forecast is.

Shapes: R rows scored.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def measure(truth: Floats, forecast: Floats, series: Ints, scale: Floats) -> dict[str, float]:
    """Return mape, rmspe, wape and rmsse, as fractions.

    `mape` and `rmspe` are over rows whose truth is not 0; `wape` is the sum of the errors over
    the sum of the truth; `rmsse` is the mean over series of the root mean squared scaled error
    (M5, Makridakis et al. 2022), `scale` being each row's series' `naive_scale`, series whose
    history never changed left out. NaN where nothing can be said.
    """
    error = forecast - truth
    sold = truth > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = error[sold] / truth[sold]
    total = np.abs(truth).sum()
    return {
        "mape": _mean(np.abs(share)),
        "rmspe": float(np.sqrt(_mean(share**2))),
        "wape": float(np.abs(error).sum() / total) if total else float("nan"),
        "rmsse": rmsse(error, series, scale),
    }


def rmsse(error: Floats, series: Ints, scale: Floats) -> float:
    """Return the mean over series of sqrt(mean squared error / scale)."""
    usable = np.isfinite(scale) & (scale > 0)
    if not usable.any():
        return float("nan")
    count = np.bincount(series[usable])
    total = np.bincount(series[usable], weights=error[usable] ** 2 / scale[usable])
    return float(np.sqrt(total[count > 0] / count[count > 0]).mean())


def naive_scale(y: Floats) -> Floats:
    """Return, for N x T histories, the mean squared step from one value to the next one told.

    It starts with the first sale, as in the M5; NaN for a series with fewer than two values.
    """
    found = np.full(len(y), np.nan)
    for i, line in enumerate(y):
        told = line[np.isfinite(line)]
        sold = np.flatnonzero(told > 0)
        told = told[sold[0] :] if len(sold) else told[:0]
        if len(told) > 1:
            found[i] = np.mean(np.diff(told) ** 2)
    return found


def coverage(truth: Floats, low: Floats, high: Floats) -> float:
    """Return the share of truths that lie in their interval."""
    return _mean(((truth >= low) & (truth <= high)).astype(float))


def pinball(truth: Floats, quantile: Floats, level: float) -> float:
    """Return the mean pinball loss of a quantile forecast."""
    error = truth - quantile
    return _mean(np.maximum(level * error, (level - 1) * error))


def plain(value: Any) -> Any:
    """Return measures as JSON knows them: a number that is none becomes null, at any depth."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
