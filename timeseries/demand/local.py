"""Forecasts of a few series at once, each by itself: the pure function behind `mailroom.demand`.

No model is trained: simple methods, and ETS and Theta where statsforecast is installed, compete
in a backtest on the series' own past, and the winner answers with the errors it made there as
its intervals. Histories of many series with plans ahead are for `timeseries.demand.fitting`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from timeseries import intervals, measures
from timeseries.demand import baselines, blend
from timeseries.demand.scale import Aim, choose_aim
from timeseries.errors import BadRequest, BadTime, BadValue, SeriesError, TooShort
from timeseries.moments import CYCLES, Grid, Unit
from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]

FEWEST = 4  # values that say something
ROUNDS = 6  # of the backtest at most
DEAR = 20  # series up to which ETS and Theta take part
LONGEST = 1000  # steps ahead


def forecast(
    series: Sequence[Mapping[str, Any]],
    horizon: int,
    quantiles: Sequence[float] = (0.025, 0.1, 0.5, 0.9, 0.975),
) -> list[dict[str, Any]]:
    """Return one answer a series, in order; a bad one is `{"error": {"code", "message"}}`.

    A series is `{"id", "values"}`, oldest first, null where nothing is known, and may have
    `start` (a date, datetime or number), `step` (`hour`, `day`, `week`, `month`, `number`) and
    `season` (steps). Its answer has `method`, `forecast`: `[{"step", "moment", "mean",
    "quantiles": {"0.1": …}}]`, and the `backtest` table. Raises BadRequest when the horizon or
    the quantiles make no sense.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= LONGEST:
        raise BadRequest(f"horizon is {horizon!r}: a whole number from 1 to {LONGEST}")
    levels = tuple(sorted(float(level) for level in quantiles))
    if not levels or not all(0 < level < 1 for level in levels):
        raise BadRequest("quantiles are numbers between 0 and 1, at least one")
    dear = len(series) <= DEAR
    return [_answer(item, horizon, levels, dear=dear) for item in series]


def _answer(
    item: Mapping[str, Any], horizon: int, levels: tuple[float, ...], *, dear: bool
) -> dict[str, Any]:
    try:
        if not isinstance(item, Mapping):
            raise BadRequest("a series is an object with its values")
        panel = _panel(item)
        return {"id": item.get("id")} | _forecast(panel, horizon, levels, dear=dear)
    except SeriesError as error:
        name = item.get("id") if isinstance(item, Mapping) else None
        return {"id": name, "error": error.to_json()}


def _panel(item: Mapping[str, Any]) -> Panel:
    values = item.get("values")
    if not isinstance(values, list | tuple):
        raise BadRequest("values is missing: a list of numbers, oldest first")
    y = np.array([_value(value, i + 1) for i, value in enumerate(values)], dtype=np.float64)
    known = int(np.isfinite(y).sum())
    if known < FEWEST:
        raise TooShort(
            f"{known} value{'s say' if known != 1 else ' says'} too little: {FEWEST} are needed"
        )
    grid = _grid(item)
    return Panel(grid, ((str(item.get("id", "")),),), ("id",), y[None], np.isfinite(y)[None])


def _value(value: object, place: int) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        raise BadValue(f"{value!r} is no number", row=place)
    if value < 0:
        raise BadValue(f"{value} is negative: demand cannot be", row=place)
    return float(value)


def _grid(item: Mapping[str, Any]) -> Grid:
    start, step = item.get("start"), item.get("step")
    if step is None:
        step = "number" if start is None or isinstance(start, int) else "day"
    if step not in get_args(Unit) or step == "second":
        raise BadRequest(f"step {step!r} is none of hour, day, week, month, number")
    season, year = CYCLES[step]
    if item.get("season") is not None:
        season = item["season"]
        if isinstance(season, bool) or not isinstance(season, int) or season < 1:
            raise BadRequest(f"season is {season!r}: a whole number of steps")
    return Grid(cast(Unit, step), _start(start, step), season, year)


def _start(start: object, step: str) -> int:
    if start is None:
        return 1 if step == "number" else 0
    if step == "number":
        if isinstance(start, bool) or not isinstance(start, int):
            raise BadTime(f"start is {start!r}: a whole number where steps are numbers")
        return start
    try:
        moment = datetime.fromisoformat(str(start)).replace(tzinfo=None)
    except ValueError as error:
        raise BadTime(f"start {start!r} is no moment: write it like 2026-03-31") from error
    days = (moment.date() - date(1970, 1, 1)).days
    if step == "month":
        return (moment.year - 1970) * 12 + moment.month - 1
    return days * 24 + moment.hour if step == "hour" else days


def _forecast(
    panel: Panel, horizon: int, levels: tuple[float, ...], *, dear: bool
) -> dict[str, Any]:
    aim = choose_aim(panel)
    last = panel.last
    reach = min(horizon, max(1, last // 3))
    origins = [last - reach - i * max(1, reach // 2) for i in range(ROUNDS)]
    origins = [origin for origin in origins if origin >= max(2, last // 3)] or [last - 1]
    truth, forecasts, ahead = _backtest(panel, origins, reach, dear=dear)
    table = _table(truth, forecasts, panel, origins[-1], aim)
    method = str(table[0]["method"])
    errors = np.log1p(truth) - np.log1p(forecasts[method])
    if aim == "squared":
        errors = truth - forecasts[method]
    spread = max(float(np.sqrt(np.mean(errors**2))), 1e-6)
    conformal = intervals.fit(
        truth,
        forecasts[method],
        np.full(len(truth), spread),
        ahead,
        logarithm=aim == "percentage",
    )
    point = _methods(panel, last, horizon, dear=dear)[method]
    steps = np.arange(1, horizon + 1)
    # beyond what the backtest reached, errors are taken to grow like a random walk's
    wider = spread * np.sqrt(np.maximum(steps / reach, 1.0))
    found = conformal.quantiles(point, wider, np.minimum(steps, reach), levels)
    return {
        "method": method,
        "forecast": [
            {
                "step": int(step),
                "moment": _written(panel.grid, last + int(step)),
                "mean": round(float(point[step - 1]), 4),
                "quantiles": {
                    f"{level:g}": round(float(value), 4)
                    for level, value in zip(levels, found[step - 1], strict=True)
                },
            }
            for step in steps
        ],
        "backtest": table,
    }


def _backtest(
    panel: Panel, origins: list[int], reach: int, *, dear: bool
) -> tuple[Floats, dict[str, Floats], npt.NDArray[np.int64]]:
    truths, parts, steps = [], [], []
    for origin in origins:
        truth = panel.y[0, origin + 1 : origin + 1 + reach]
        known = np.isfinite(truth)
        if not known.any():
            continue
        found = _methods(panel, origin, reach, dear=dear)
        truths.append(truth[known])
        parts.append({name: line[: len(truth)][known] for name, line in found.items()})
        steps.append(np.flatnonzero(known) + 1)
    if not truths:
        raise TooShort("the latest values are all unknown: there is nothing to check against")
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(truths), together, np.concatenate(steps)


def _methods(panel: Panel, origin: int, steps: int, *, dear: bool) -> dict[str, Floats]:
    """Return every method's forecast of the next steps."""
    moment = origin + 1 + np.arange(steps)
    series = np.zeros(steps, dtype=np.int64)
    found = {
        name: method(panel.until(origin), origin, series, moment)
        for name, method in baselines.SIMPLE.items()
        if name != "event_median"  # a lone series has no plan
    }
    if dear and baselines.installed():
        lines = baselines.statistical(panel, origin, series[:1], steps)
        for name, line in lines.items():
            found[name] = np.where(np.isfinite(line[0]), line[0], found["recent_mean"])
    return found


def _table(
    truth: Floats, forecasts: dict[str, Floats], panel: Panel, origin: int, aim: Aim
) -> list[dict[str, Any]]:
    scale = np.full(len(truth), measures.naive_scale(panel.y[:, : origin + 1])[0])
    if not np.isfinite(scale[0]) or scale[0] <= 0:
        scale = np.ones(len(truth))
    group = np.zeros(len(truth), dtype=np.int64)
    if aim == "percentage" and not (truth > 0).any():
        aim = "squared"
    lines: list[dict[str, Any]] = []
    for name, line in forecasts.items():
        measured = measures.measure(truth, line, group, scale)
        told = {key: value if math.isfinite(value) else None for key, value in measured.items()}
        lines.append({"method": name, **told, "loss": blend.loss(truth, line, group, scale, aim)})
    lines.sort(key=lambda line: float(line["loss"]))
    return lines


def _written(grid: Grid, i: int) -> str | int:
    moment = grid.moment(i)
    return moment if isinstance(moment, int) else moment.isoformat()
