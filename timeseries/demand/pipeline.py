"""From a table of sales to a table of forecasts, with everything a page shows about it.

Rows without a target after a history are the plan ahead: which days are open, and what
promotions, prices and holidays they have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sequence.training import Progress
from timeseries import intervals, measures, panel, roles
from timeseries.demand import assurance
from timeseries.demand import plan as newsvendor
from timeseries.demand.fitting import DemandSettings, Forecaster, Held, fit
from timeseries.demand.plan import Costs
from timeseries.demand.scale import Aim
from timeseries.errors import BadRequest
from timeseries.panel import Panel
from timeseries.roles import Roles
from timeseries.tables import History

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Tell = Callable[[str, Progress | None], None]

QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
LOOK_BACK = 8  # cycles in which a series must have been open on a weekday to be asked for it


@dataclass
class Answer:
    """Forecasts as a table, and what stands behind them as plain JSON values.

    `table` has the series' columns, the time, `forecast`, a `q…` a quantile, `low_80`,
    `high_80`, `low_95`, `high_95`, and `cold` where series like it were asked instead.
    """

    table: pl.DataFrame
    roles: Roles
    model: Forecaster
    facts: dict[str, Any] = field(default_factory=dict)


def run(
    history: History,
    *,
    horizon: int,
    said: Roles | None = None,
    plan: pl.DataFrame | None = None,
    model: Forecaster | None = None,
    costs: Costs | None = None,
    settings: dict[str, Any] | None = None,
    on_step: Tell | None = None,
) -> Answer:
    """Return forecasts of the `horizon` moments after the history of each series.

    `model` answers without fitting. Raises the errors of `timeseries.errors`, with rows.
    """
    if horizon < 1:
        raise BadRequest("the horizon is at least 1")
    chosen = said or roles.recognise(history.table, companions=history.companions)
    past, ahead = _split(history.table, chosen)
    panel.refuse_negative(past, chosen)
    if plan is not None:
        ahead = plan
    notices = []
    if ahead is None:
        dropped = [name for name in chosen.known if name in history.table.columns]
        if dropped:
            notices.append(
                f"{', '.join(dropped)} are not told for the time ahead and were left out: give "
                "them in rows without sales after the history"
            )
        chosen = replace(chosen, known=())
    whole, rows = panel.build_panel(past, chosen, companions=history.companions, future=ahead)
    origin = whole.last
    if rows is None:
        whole = _longer(whole, horizon)
        series, moment = _asked(whole, origin, horizon)
    else:
        inside = rows.moment <= origin + horizon
        if not inside.any():
            raise BadRequest("no row of the plan lies within the horizon")
        series, moment = rows.series[inside], rows.moment[inside]
    fitted = model or fit(
        whole.until(origin), DemandSettings(horizon=horizon, **(settings or {})), on_step=on_step
    )
    table = _table(fitted, whole, origin, series, moment, chosen)
    facts = describe(fitted, whole, costs or Costs())
    facts["notices"] = [*notices, *whole.notices, *fitted.notices]
    return Answer(table, chosen, fitted, measures.plain(facts))


def _split(table: pl.DataFrame, said: Roles) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return the history, and the rows after its end that tell a plan but no sales."""
    from timeseries import moments

    if not table[said.target].null_count():
        return table, None
    when = moments.parse(table[said.time])
    told = table[said.target].is_not_null()
    if not told.any():
        raise BadRequest(f"{said.target} is empty in every row")
    last = when.filter(told).max()
    ahead = table.filter((when > last) & ~told)
    return table.filter(when <= last), ahead if len(ahead) else None


def _longer(whole: Panel, steps: int) -> Panel:
    """Return the panel with room for the steps ahead, on which nothing is known."""
    n = len(whole)
    room = np.full((n, steps), np.nan)
    known = {}
    for name, values in whole.known.items():
        known[name] = np.concatenate([values, room], axis=1)
    absent = np.zeros((n, steps), dtype=bool)
    return replace(
        whole,
        y=np.concatenate([whole.y, room], axis=1),
        present=np.concatenate([whole.present, absent], axis=1),
        known=known,
    )


def _asked(whole: Panel, origin: int, horizon: int) -> tuple[Ints, Ints]:
    """Return the rows ahead: the weekdays on which each series has lately had a row.

    They are marked present in the panel, as a plan's rows would be.
    """
    season = whole.grid.season
    moment = origin + 1 + np.arange(horizon)
    open_at = np.zeros((len(whole), horizon), dtype=bool)
    for step, at in enumerate(moment.tolist()):
        slots = [at - season * k for k in range(1, LOOK_BACK + horizon // season + 2)]
        recent = [slot for slot in slots if 0 <= slot <= origin][:LOOK_BACK]
        open_at[:, step] = whole.present[:, recent].any(axis=1) if recent else True
    silent = ~open_at.any(axis=1)
    open_at[silent] = True  # a series that has been away is asked for every moment
    whole.present[:, origin + 1 :] = open_at
    series, steps = np.nonzero(open_at)
    return series.astype(np.int64), moment[steps]


def _table(
    fitted: Forecaster, whole: Panel, origin: int, series: Ints, moment: Ints, said: Roles
) -> pl.DataFrame:
    answer = fitted.forecast(whole, origin, series, moment, QUANTILES)
    columns: dict[str, Any] = {
        name: [whole.keys[i][place] for i in series] for place, name in enumerate(said.series)
    }
    columns[said.time] = [whole.grid.moment(int(i)) for i in moment]
    columns["forecast"] = answer.point
    for i, level in enumerate(QUANTILES):
        columns[f"q{level:g}"] = answer.quantiles[:, i]
    for level in intervals.LEVELS:
        low, high = answer.intervals[level]
        columns[f"low_{level * 100:g}"], columns[f"high_{level * 100:g}"] = low, high
    columns["cold"] = answer.cold
    return pl.DataFrame(columns).sort([*said.series, said.time])


def describe(fitted: Forecaster, whole: Panel, costs: Costs) -> dict[str, Any]:
    """Return the backtest's table, the weights and the plan simulation, as plain JSON values."""
    facts: dict[str, Any] = {
        "aim": fitted.aim,
        "weights": fitted.weights,
        "baseline": fitted.best_baseline,
        "backtest": fitted.table,
        "covered": fitted.covered,
        "series": len(whole),
        "moments": whole.last + 1,
    }
    if fitted.held is not None:
        facts["plan"] = simulate(fitted, costs)
    return facts


def simulate(fitted: Forecaster, costs: Costs) -> list[dict[str, float | str]]:
    """Return what ordering by the quantiles would have led to in the backtest: `simulate_all`."""
    return simulate_all(fitted, (costs,))[0]


def simulate_all(fitted: Forecaster, costs: Sequence[Costs]) -> list[list[dict[str, float | str]]]:
    """Return, for each pair of costs, what ordering by the quantiles would have led to.

    Three plans over all rounds of the backtest: the model's quantile, the best simple method's
    own quantile, and its forecast as it is. Both quantiles lie around errors of the other rounds;
    of a single round's own errors where there is no other.
    """
    held = fitted.held
    if held is None:
        return []
    ratios = [each.ratio for each in costs]
    stocks = {
        name: _stocks(held, centre, fitted.aim, ratios)
        for name, centre in (("model", held.middle), (fitted.best_baseline, held.simple))
    }
    found = []
    for place, each in enumerate(costs):
        plans = {
            f"{name}, quantile {each.ratio:.2f}": stock[:, place] for name, stock in stocks.items()
        }
        plans[f"{fitted.best_baseline}, as forecast"] = held.simple
        found.append(newsvendor.compare(plans, held.truth, each))
    return found


def _stocks(held: Held, centre: Floats, aim: Aim, ratios: Sequence[float]) -> Floats:
    """Return, R x len(ratios), the quantiles of each held-back row."""
    parts = list(assurance.others(held, centre, aim))
    if not parts:
        own = intervals.fit(
            held.truth, centre, held.spread, held.ahead, logarithm=aim == "percentage"
        )
        parts = [(np.ones(len(centre), dtype=bool), own)]
    # a round that no other stands beside is ordered as it was forecast
    found = np.repeat(centre[:, None], len(ratios), axis=1)
    for rows, conformal in parts:
        found[rows] = conformal.quantiles(centre[rows], held.spread[rows], held.ahead[rows], ratios)
    return found


def fan(answer: Answer, history: pl.DataFrame, key: Sequence[str]) -> list[dict[str, Any]]:
    """Return one series' past and forecast as rows for a plot, in order of time.

    A row has the time, `actual` or `forecast` with `low_80` … `high_95`, and the plan's columns
    where the history tells them.
    """
    said = answer.roles
    chosen = [
        pl.col(name).cast(pl.String) == value for name, value in zip(said.series, key, strict=True)
    ]
    past = history.filter(*chosen).sort(said.time) if chosen else history.sort(said.time)
    ahead = answer.table.filter(*chosen) if chosen else answer.table
    known = [name for name in said.known if name in past.columns]
    rows = [
        {said.time: _plain(row[said.time]), "actual": row[said.target]}
        | {name: row[name] for name in known}
        for row in past.iter_rows(named=True)
        if row[said.target] is not None
    ]
    wanted = ("forecast", "low_80", "high_80", "low_95", "high_95")
    rows += [
        {said.time: _plain(row[said.time])} | {name: round(row[name], 3) for name in wanted}
        for row in ahead.iter_rows(named=True)
    ]
    return rows


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
