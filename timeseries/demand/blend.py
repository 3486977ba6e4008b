"""Choosing among forecasts by what they did in rounds held back.

Shapes: R rows, M methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from timeseries import measures
from timeseries.demand.scale import Aim

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS = 20  # greedy picks, with replacement: a weight is a multiple of 1/STEPS
MARGIN = 0.002  # a blend must beat the best method by this share to be worth its parts


def mix(forecasts: Mapping[str, Floats], weights: Mapping[str, float], aim: Aim) -> Floats:
    """Return the blend: of logarithms under `percentage`, of sales under `squared`."""
    used = {name: weight for name, weight in weights.items() if weight > 0}
    if aim == "percentage":
        total = sum(w * np.log1p(np.maximum(forecasts[n], 0)) for n, w in used.items())
        return np.asarray(np.expm1(total))
    return np.asarray(sum(w * forecasts[n] for n, w in used.items()))


def loss(truth: Floats, forecast: Floats, group: Ints, scale: Floats, aim: Aim) -> float:
    """Return what is minimised: mape, or mean rmsse where a series in a round is one group."""
    if aim == "percentage":
        sold = truth > 0
        return float(np.abs(forecast[sold] / truth[sold] - 1).mean())
    return measures.rmsse(forecast - truth, group, scale)


def choose(
    truth: Floats, forecasts: Mapping[str, Floats], group: Ints, scale: Floats, aim: Aim
) -> dict[str, float]:
    """Return each method's weight (Caruana et al. 2004: greedy ensemble selection).

    Where the blend does not beat the best single method clearly, that method has all of it.
    """
    return _greedy(forecasts, aim, lambda forecast: loss(truth, forecast, group, scale, aim))


def choose_middle(truth: Floats, forecasts: Mapping[str, Floats], aim: Aim) -> dict[str, float]:
    """Return weights likewise of the blend that lies in the middle: least absolute error.

    What errs least in percent lies below it, the more so the more a series varies: quantiles
    measured around that would order too little of what sells unevenly.
    """
    return _greedy(forecasts, aim, lambda forecast: float(np.abs(forecast - truth).mean()))


def _greedy(
    forecasts: Mapping[str, Floats], aim: Aim, lost: Callable[[Floats], float]
) -> dict[str, float]:
    single = {name: lost(forecast) for name, forecast in forecasts.items()}
    best = min(single, key=lambda name: single[name])
    counts = dict.fromkeys(forecasts, 0)
    # as good as the best, which may be perfect: a half more than nothing is nothing
    usable = [name for name in forecasts if single[name] <= 1.5 * single[best]] or [best]
    for step in range(STEPS):
        tried = {}
        for name in usable:
            weights = {n: (counts[n] + (n == name)) / (step + 1) for n in usable}
            tried[name] = lost(mix(forecasts, weights, aim))
        counts[min(tried, key=lambda name: tried[name])] += 1
    weights = {name: count / STEPS for name, count in counts.items() if count}
    blended = lost(mix(forecasts, weights, aim))
    return weights if blended < single[best] * (1 - MARGIN) else {best: 1.0}
