"""The backtest: every method asked at origins held back; it chooses blend and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from timeseries import intervals, measures
from timeseries.demand import assurance, baselines, blend, coldstart
from timeseries.demand.forecaster import DemandSettings, Forecaster, Held, ask_all, lowered
from timeseries.demand.rows import Rows, rows_at
from timeseries.demand.scale import Aim, Scale, spread
from timeseries.errors import TooShort
from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CAUTIONS = (0.0, 0.05, 0.1, 0.15, 0.2)  # more would follow a few rounds' level, not their noise
SAMPLE = 40  # series on which ETS and Theta are tried first


def recent_origins(panel: Panel, settings: DemandSettings) -> list[int]:
    """Return the origins of the latest rounds held back, the latest first."""
    ask, last = settings.ask, panel.last
    wanted = settings.rounds or max(2, min(8, 112 // settings.horizon))
    rounds = [last - ask.reach - i * settings.horizon for i in range(wanted)]
    needed = max(8, last // 3)
    origins = [origin for origin in rounds if origin >= needed]
    if not origins and last - ask.reach >= 2:
        origins = [last - ask.reach]
    if not origins:
        raise TooShort(
            f"the history has {last + 1} moments: a horizon of {settings.horizon} with a gap of "
            f"{settings.gap} needs {ask.reach + 3} at least"
        )
    return origins


def season_origin(panel: Panel, settings: DemandSettings) -> list[int]:
    """Return the origin a year ago, or nothing where the history is too short for it.

    Its round has the season that is asked for: before Christmas all goes otherwise than in May.
    """
    year, last = panel.grid.year, panel.last
    if not year or settings.gap + settings.horizon > year:
        return []
    origin = last - year
    # models that have not seen a year would answer, and err, otherwise than today's
    return [origin] if origin >= year else []


@dataclass
class Round:
    """The rows of an origin held back, with what each method forecast for them."""

    origin: int
    rows: Rows
    truth: Floats
    forecasts: dict[str, Floats]
    variance: Floats
    widths: Floats

    def spread(self, point: Floats, aim: Aim) -> Floats:
        """Return how far from these points the rows may well lie."""
        return spread(self.variance, point, aim) * self.widths


def ask(models: Forecaster, panel: Panel, origin: int) -> Round:
    """Return what every method said at an origin, and what came."""
    rows = rows_at(panel, [origin], models.settings.ask)
    scale = Scale(panel, models.aim, origin)
    # a series that cannot be forecast by itself would only blur who is best
    rows = rows.take(~coldstart.cold(scale.panel, origin)[rows.series])
    prepared = scale.prepare(rows)
    names = {"boosted", "network", *baselines.SIMPLE}
    if models.aim == "percentage":
        names.add("boosted_log")
    forecasts = ask_all(models, scale, origin, rows, prepared, names)
    truth = panel.y[rows.series, rows.moment]
    # the scale itself is not kept: it holds every feature of every moment
    return Round(origin, rows, truth, forecasts, scale.variance(rows), models.widths(prepared))


def choose(rounds: list[Round], panel: Panel, aim: Aim, settings: DemandSettings) -> Forecaster:
    """Return a forecaster with weights, intervals and the backtest's table."""
    rounds = [one for one in rounds if len(one.rows)]
    if not rounds:
        raise TooShort("no series has enough history for a backtest")
    # a year ago there may have been too little to fit a global model on
    rounds = [one for one in rounds if one.forecasts.keys() == rounds[0].forecasts.keys()]
    truth = np.concatenate([one.truth for one in rounds])
    group = np.concatenate([one.rows.series + i * len(panel) for i, one in enumerate(rounds)])
    scale = np.concatenate(
        [measures.naive_scale(panel.y[:, : one.origin + 1])[one.rows.series] for one in rounds]
    )
    forecasts = {
        name: np.concatenate([one.forecasts[name] for one in rounds])
        for name in rounds[0].forecasts
    }
    weights = blend.choose(truth, forecasts, group, scale, aim)
    simple = {name: f for name, f in forecasts.items() if name in baselines.SIMPLE}
    losses = {name: blend.loss(truth, f, group, scale, aim) for name, f in simple.items()}
    mixed = blend.mix(forecasts, weights, aim)
    caution, blended = _caution(rounds, truth, mixed, aim)
    table = _table(truth, forecasts | {"answer": blended}, group, scale, weights, aim)
    notices: list[str] = []
    if settings.statistics:
        table, notices = _with_statistics(table, rounds[0], panel, aim, blended)
    middle = blend.choose_middle(truth, forecasts, aim) if aim == "percentage" else None
    centre = blend.mix(forecasts, middle, aim) if middle else blended
    widths = _spreads(rounds, centre, aim)
    ahead = np.concatenate([one.rows.ahead for one in rounds])
    best = min(losses, key=lambda name: losses[name])
    held = Held(
        np.concatenate([np.full(len(one.rows), i) for i, one in enumerate(rounds)]),
        np.concatenate([one.rows.series for one in rounds]),
        np.concatenate([one.rows.moment for one in rounds]),
        ahead,
        truth,
        blended,
        centre,
        widths,
        simple[best],
    )
    covered = assurance.covered(held, aim)
    conformal = intervals.fit(truth, centre, widths, ahead, logarithm=aim == "percentage")
    return Forecaster(
        settings=settings,
        aim=aim,
        weights=weights,
        conformal=conformal,
        table=table,
        best_baseline=best,
        held=held,
        middle=middle,
        covered=covered,
        caution=caution,
        notices=tuple(notices),
    )


def _spreads(rounds: list[Round], point: Floats, aim: Aim) -> Floats:
    return np.concatenate(
        [
            one.spread(point[start : start + len(one.rows)], aim)
            for start, one in zip(_starts(rounds), rounds, strict=True)
        ]
    )


def _caution(rounds: list[Round], truth: Floats, mixed: Floats, aim: Aim) -> tuple[float, Floats]:
    """Return how far to lower the point, as the held-back rounds chose, and the lowered points.

    A percentage error punishes too much more than too little: of a lognormal its best point lies
    a squared spread below the median, and models underestimate their own spread.
    """
    if aim != "percentage":
        return 0.0, mixed
    widths, sold = _spreads(rounds, mixed, aim), truth > 0
    tried = {
        caution: float(np.abs(lowered(mixed, widths, caution, aim)[sold] / truth[sold] - 1).mean())
        for caution in CAUTIONS
    }
    best = min(tried, key=lambda caution: tried[caution])
    return best, lowered(mixed, widths, best, aim)


def _starts(rounds: list[Round]) -> list[int]:
    return [0, *np.cumsum([len(one.rows) for one in rounds])[:-1].tolist()]


def _table(
    truth: Floats,
    forecasts: dict[str, Floats],
    group: Ints,
    scale: Floats,
    weights: dict[str, float],
    aim: Aim,
) -> list[dict[str, Any]]:
    lines = [
        {
            "method": name,
            **measures.measure(truth, forecast, group, scale),
            "weight": 1.0 if name == "answer" else weights.get(name, 0.0),
            "rows": len(truth),
        }
        for name, forecast in forecasts.items()
    ]
    by = "mape" if aim == "percentage" else "rmsse"
    return sorted(lines, key=lambda line: float(line[by]))


def _with_statistics(
    table: list[dict[str, Any]], last: Round, panel: Panel, aim: Aim, blended: Floats
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the table with ETS and Theta, run on a sample of series in the latest round.

    Beside them stands the answer on the same rows, for a sample is not the whole.
    """
    if not baselines.installed():
        return table, ["ETS and Theta were left out: pip install 'openmailroom[series]'"]
    different = np.unique(last.rows.series)
    step = max(1, len(different) // SAMPLE)
    chosen = different[::step][:SAMPLE]
    inside = np.isin(last.rows.series, chosen)
    rows, truth = last.rows.take(inside), last.truth[inside]
    scale = measures.naive_scale(panel.y[:, : last.origin + 1])[rows.series]
    lines = baselines.statistical(
        panel.until(last.origin), last.origin, chosen, int(rows.ahead.max())
    )
    place = np.searchsorted(chosen, rows.series), rows.ahead - 1
    found = {name: line[place] for name, line in lines.items()}
    found["answer, same sample"] = blended[: len(last.rows)][inside]
    for name, forecast in found.items():
        known = np.isfinite(forecast)
        if not known.any():
            continue
        measured = measures.measure(truth[known], forecast[known], rows.series[known], scale[known])
        table.append(
            {"method": name, **measured, "weight": 0.0, "rows": int(known.sum()), "sample": True}
        )
    return table, []
