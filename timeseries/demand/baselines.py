"""Simple methods that a model has to beat, for all series at once.

Each takes a panel as known at an origin and gives a forecast for rows (series, moment) after it.
ETS and Theta come from statsforecast, one series after another, and are dear: they run on a
sample first.

Shapes: N series, T moments, R rows.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from timeseries import plans
from timeseries.errors import NotInstalled
from timeseries.panel import Panel
from timeseries.windows import Sums, at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Method = Callable[[Panel, int, Ints, Ints], Floats]

SMOOTHING = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # of SES; the best one-step error decides
CROSTON = 0.1  # Croston's own smoothing (Croston 1972; Syntetos and Boylan 2005)


def seasonal_naive(panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
    """Return the last value on the same place of the short cycle."""
    season = panel.grid.season
    found = np.full(len(series), np.nan)
    place = moment - -(-(moment - origin) // season) * season
    for back in range(8):  # closed days have no value: look further back
        value = at(panel.y, series, place - back * season)
        found = np.where(np.isfinite(found), found, np.where(place <= origin, value, np.nan))
    return _or_mean(found, panel, origin, series)


def recent_mean(panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
    """Return the mean of the last 28 days (or four cycles, or four steps)."""
    width = 28 if panel.grid.unit == "day" else max(4, 4 * panel.grid.season)
    found = Sums(panel.y[:, : origin + 1]).mean(series, np.full(len(series), origin), width)[0]
    return _or_mean(found, panel, origin, series)


def event_median(panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
    """Return the median of the series' values on the same weekday with the same promotion.

    Of the last year, where there is that much; of all weekdays where there are too few.
    """
    season, width = panel.grid.season, panel.grid.year or panel.y.shape[1]
    event = plans.main_event(panel.until(origin))
    start = max(0, origin + 1 - width)
    recent = panel.y[:, start : origin + 1]
    slots = (np.arange(start, origin + 1)) % season
    on = event[:, start : origin + 1]
    found = np.full(len(series), np.nan)
    for code in (0, 1):
        for slot in range(season):
            rows = (moment % season == slot) & (at(event, series, moment) == code)
            if rows.any():
                chosen = np.where((slots == slot) & (on == code), recent, np.nan)
                found[rows] = _median(chosen)[series[rows]]
        rows = ~np.isfinite(found) & (at(event, series, moment) == code)
        if rows.any():
            found[rows] = _median(np.where(on == code, recent, np.nan))[series[rows]]
    return _or_mean(found, panel, origin, series)


def _median(values: Floats) -> Floats:
    """Return each row's median, NaN where a row has no value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows of NaN only
        found: Floats = np.nanmedian(values, axis=1)
    return found


def exponential_smoothing(panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
    """Return simple exponential smoothing's level, the rate chosen by each series' past."""
    y = panel.y[:, : origin + 1]
    known = np.isfinite(y)
    start = _first_values(y)
    level = np.repeat(start[None], len(SMOOTHING), axis=0)
    error = np.zeros_like(level)
    rate = np.array(SMOOTHING)[:, None]
    for t in range(y.shape[1]):
        step = np.where(known[:, t], np.nan_to_num(y[:, t]) - level, 0.0)
        error += step**2
        level = level + rate * step
    best = level[np.argmin(error, axis=0), np.arange(len(y))]
    return _or_mean(best[series], panel, origin, series)


def croston_sba(panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
    """Return Croston's rate for intermittent demand, less its bias (Syntetos and Boylan 2005)."""
    y = panel.y[:, : origin + 1]
    size, interval = np.full(len(y), np.nan), np.full(len(y), np.nan)
    waited = np.ones(len(y))
    for t in range(y.shape[1]):
        value = y[:, t]
        sold = value > 0
        first = sold & ~np.isfinite(size)
        later = sold & ~first
        size[first], interval[first] = value[first], waited[first]
        size[later] += CROSTON * (value[later] - size[later])
        interval[later] += CROSTON * (waited[later] - interval[later])
        waited = np.where(sold, 1.0, waited + np.isfinite(value))
    rate = (1 - CROSTON / 2) * size / interval
    silent = np.isfinite(y).any(axis=1) & ~np.isfinite(rate)
    rate[silent] = 0.0
    return _or_mean(rate[series], panel, origin, series)


def _first_values(y: Floats) -> Floats:
    known = np.isfinite(y)
    first = np.argmax(known, axis=1)
    return np.where(known.any(axis=1), np.nan_to_num(y[np.arange(len(y)), first]), 0.0)


def _or_mean(found: Floats, panel: Panel, origin: int, series: Ints) -> Floats:
    """Return forecasts with the series' mean, or everyone's, where a method had none."""
    if np.isfinite(found).all():
        return np.maximum(found, 0)
    y = panel.y[:, : origin + 1]
    mean = Sums(y).mean(np.arange(len(y)), np.full(len(y), origin), y.shape[1])[0]
    everyone = mean[np.isfinite(mean)].mean() if np.isfinite(mean).any() else 0.0
    own = np.where(np.isfinite(mean), mean, everyone)[series]
    return np.maximum(np.where(np.isfinite(found), found, own), 0)


SIMPLE: dict[str, Method] = {
    "seasonal_naive": seasonal_naive,
    "recent_mean": recent_mean,
    "event_median": event_median,
    "exponential_smoothing": exponential_smoothing,
    "croston_sba": croston_sba,
}


def installed() -> bool:
    """Return whether statsforecast is at hand."""
    return importlib.util.find_spec("statsforecast") is not None


def statistical(panel: Panel, origin: int, chosen: Ints, steps: int) -> dict[str, Floats]:
    """Return AutoETS' and AutoTheta's forecasts, len(chosen) x steps each (statsforecast).

    Holes in a series are filled by the last value on the same weekday, which both methods need.
    A series on which a method fails gets NaN. Raises NotInstalled.
    """
    if not installed():
        raise NotInstalled("ETS and Theta need statsforecast: pip install 'openmailroom[series]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own imports and fits
        from statsforecast.models import AutoETS, AutoTheta

        season = max(1, panel.grid.season)
        found: dict[str, Floats] = {}
        for name, model in (
            ("auto_ets", AutoETS(season_length=season)),
            ("auto_theta", AutoTheta(season_length=season)),
        ):
            lines = [_one(model, panel.y[i, : origin + 1], season, steps) for i in chosen]
            found[name] = np.maximum(np.array(lines), 0)
    return found


def _one(model: object, history: Floats, season: int, steps: int) -> Floats:
    values = filled(history, season)
    if len(values) < max(4, 2 * season + 1):
        return np.full(steps, np.nan)
    try:
        mean = model.forecast(y=values, h=steps)["mean"]  # type: ignore[attr-defined]
    except (ValueError, ZeroDivisionError, FloatingPointError, IndexError, RuntimeError):
        return np.full(steps, np.nan)
    return np.asarray(mean, dtype=np.float64)


def filled(history: Floats, season: int) -> Floats:
    """Return a series from its first value on, holes filled from the same place a cycle ago."""
    known = np.flatnonzero(np.isfinite(history))
    if not len(known):
        return history[:0]
    values = history[known[0] :].copy()
    for i in np.flatnonzero(~np.isfinite(values)):
        values[i] = values[i - season] if i >= season else values[i - 1]
    return values
