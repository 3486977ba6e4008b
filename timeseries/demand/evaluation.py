"""Scoring a forecast on rows held back, round by round."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sequence.artifact import read_config
from sequence.training import Progress
from timeseries import measures, moments, panel, roles
from timeseries.demand.fitting import DemandSettings, Forecast, Forecaster, fit, refit
from timeseries.demand.model import load
from timeseries.demand.rows import Ask, Rows, rows_at
from timeseries.errors import BadRequest, MissingColumn
from timeseries.panel import Panel
from timeseries.request import Request
from timeseries.roles import Roles
from timeseries.tables import History

Floats = npt.NDArray[np.float64]
Tell = Callable[[str, Progress | None], None]
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


def evaluate_demand(
    history: History,
    future: pl.DataFrame,
    request: Request,
    folder: Path | None,
    on_step: Tell | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return the measures on the future's rows, fitting on the history where no model is."""
    started = clock.perf_counter()
    said = roles.recognise(
        history.table,
        series=request.series,
        time=request.time,
        target=request.target,
        known=request.known,
        companions=history.companions,
    )
    if said.target not in future.columns:
        raise MissingColumn(f"the rows to score have no {said.target}")
    future = _cut(future, said.time, request.until)
    whole, origin, ask = lay_out(history, future, said, request)
    if request.rounds < 1:
        raise BadRequest("at least one round")
    chosen = DemandSettings(
        horizon=ask.horizon, gap=ask.gap, seed=request.seed, threads=request.threads
    )
    chosen = replace(chosen, **settings)
    model = fit(whole.until(origin), chosen, on_step=on_step) if folder is None else load(folder)
    fitted = clock.perf_counter()
    again = refit if folder is None else None
    found = score_rounds(model, whole, origin, ask, request.rounds, refit=again)
    seconds = clock.perf_counter() - fitted
    return {
        "version": "fitted" if folder is None else _version(folder),
        "rounds": request.rounds,
        "horizon": ask.horizon,
        "gap": ask.gap,
        **found,
        "rows_per_second": found["rows"] / max(seconds, 1e-9),
        "seconds": clock.perf_counter() - started,
        "weights": model.weights,
        "backtest": model.table,
        "notices": [*whole.notices, *model.notices],
    }


def _version(folder: Path) -> str:
    return str(read_config(folder).get("version"))


def _cut(future: pl.DataFrame, time: str, until: str | None) -> pl.DataFrame:
    if until is None:
        return future
    parsed = moments.parse(future[time])
    if parsed.dtype.is_integer():
        if not until.isdigit():
            raise BadRequest(f"--until {until!r} is no number, as {time} is")
        return future.filter(parsed <= int(until))
    try:
        last = date.fromisoformat(until)
    except ValueError as error:
        raise BadRequest(f"--until {until!r} is no date: write it like 2026-03-31") from error
    kept = future.filter(parsed.cast(pl.Date) <= last)
    if kept.is_empty():
        raise BadRequest(f"no row is dated up to {until}")
    return kept


def lay_out(
    history: History, future: pl.DataFrame, said: Roles, request: Request
) -> tuple[Panel, int, Ask]:
    """Return one panel with the future's targets in it, the first origin, and what is asked.

    The panel is cut at an origin before anything is asked of it. The origin lies `gap` moments
    before the first one to be scored: at the end of the history less the gap, where the file
    follows on the history.
    """
    panel.refuse_negative(history.table, said)
    whole, rows = panel.build_panel(
        history.table, said, companions=history.companions, future=future
    )
    if rows is None:
        raise BadRequest("there are no rows to score")
    first = int(rows.moment.min())
    origin = first - 1 - request.gap
    reach = int(rows.moment.max()) - first + 1
    horizon = request.horizon or -(-reach // request.rounds)
    if horizon < 1 or request.gap < 0 or origin < 1:
        raise BadRequest("horizon and gap must leave some history before the first forecast")
    y = whole.y.copy()
    y[rows.series, rows.moment] = rows.truth
    return replace(whole, y=y), origin, Ask(horizon, request.gap)


def score_rounds(
    model: Forecaster,
    whole: Panel,
    origin: int,
    ask: Ask,
    rounds: int,
    *,
    refit: Callable[[Forecaster, Panel], Forecaster] | None = None,
) -> dict[str, Any]:
    """Return the measures of the model and of the best simple method over rolling origins.

    Each round's forecasts see nothing after their own origin; the intervals learn from the
    rounds before, as far as their moments are over by then. With `refit` the global models do so
    too, each round anew.
    """
    parts: dict[str, list[Any]] = {
        name: [] for name in ("truth", "point", "simple", "series", "cold")
    }
    inside: dict[float, list[Any]] = {0.8: [], 0.95: []}
    past: list[tuple[Rows, Forecast]] = []
    for number in range(rounds):
        at = origin + number * ask.horizon
        rows = rows_at(whole, [at], ask)
        if not len(rows):
            continue
        known = whole.until(at)
        if past and refit is not None:
            model = refit(model, known)
        model = model.recalibrated(known, past)
        answer = model.forecast(whole, at, rows.series, rows.moment, LEVELS)
        truth = whole.y[rows.series, rows.moment]
        simple = model.baseline(whole, at, rows.series, rows.moment)
        for name, values in zip(
            parts, (truth, answer.point, simple, rows.series, answer.cold), strict=True
        ):
            parts[name].append(values)
        past.append((rows, answer))
        for level, covered in inside.items():
            low, high = answer.intervals[level]
            covered.append((truth >= low) & (truth <= high))
    if not parts["truth"]:
        raise BadRequest("no row of the file lies within the horizon")
    whole_parts = {name: np.concatenate(values) for name, values in parts.items()}
    truth, series = whole_parts["truth"], whole_parts["series"]
    scale = measures.naive_scale(whole.y[:, : origin + 1])[series]
    own = measures.measure(truth, whole_parts["point"], series, scale)
    simple_measures = measures.measure(truth, whole_parts["simple"], series, scale)
    return {
        "rows": len(truth),
        "rows_cold": int(whole_parts["cold"].sum()),
        **own,
        "coverage_80": float(np.concatenate(inside[0.8]).mean()),
        "coverage_95": float(np.concatenate(inside[0.95]).mean()),
        "baseline": model.best_baseline,
        **{f"baseline_{name}": value for name, value in simple_measures.items()},
    }
