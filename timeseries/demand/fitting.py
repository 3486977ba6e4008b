"""Fitting demand: every method runs in the same backtest, the winner or a blend answers.

The last rounds of the history are held back; global models are fitted on what is before them
and asked at each round's origin. That chooses the blend and how wide the intervals are. Then the
global models that take part are fitted again on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sequence.training import Progress
from timeseries import intervals, measures
from timeseries.demand import baselines, blend, boosted, coldstart, learning
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.features import MOST_LABELS
from timeseries.demand.learning import NetworkSettings
from timeseries.demand.network import DemandNetwork
from timeseries.demand.rows import Ask, Rows, rows_at, training_rows
from timeseries.demand.scale import Aim, Prepared, Scale, choose_aim
from timeseries.errors import TooShort
from timeseries.intervals import Conformal
from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tell = Callable[[str, Progress | None], None]

CAUTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
FEWEST_ROWS = 50  # a global model needs to learn anything
SAMPLE = 40  # series on which ETS and Theta are tried first


@dataclass(frozen=True, kw_only=True)
class DemandSettings:
    """How to fit; the defaults are what the backtests on real sales chose."""

    horizon: int
    gap: int = 0
    aim: str = "auto"  # percentage, squared
    trees: bool = True  # LightGBM, where it is installed
    network: bool = True
    statistics: bool = True  # ETS and Theta, where statsforecast is installed
    rounds: int = 0  # of the backtest; 0: as many as the horizon asks for
    row_limit: int = 300_000  # of the trees: ten times as many rare sales gained nothing
    pair_limit: int = 8_000  # series and origins that the network reads
    smallest_root: float = 0.25  # of a window's scaled error, or quiet windows rule the fit
    tree: TreeSettings = field(default_factory=TreeSettings)
    learning: NetworkSettings = field(default_factory=NetworkSettings)
    threads: int = 1
    seed: int = 0

    @property
    def ask(self) -> Ask:
        """What is asked of every method."""
        return Ask(self.horizon, self.gap)


@dataclass
class Forecast:
    """Answers for rows: the point, quantiles and central intervals."""

    point: Floats
    quantiles: Floats
    levels: tuple[float, ...]
    intervals: dict[float, tuple[Floats, Floats]]
    spread: Floats
    cold: npt.NDArray[np.bool_]


@dataclass
class Held:
    """The rows of the backtest, latest round first, with what was forecast for them."""

    round: Ints
    series: Ints
    moment: Ints
    ahead: Ints
    truth: Floats
    point: Floats
    spread: Floats
    simple: Floats  # by the best simple method


@dataclass
class Forecaster:
    """Fitted methods, their weights, and the intervals that the backtest measured.

    `table` is the backtest: a line a method, best first.
    """

    settings: DemandSettings
    aim: Aim
    weights: dict[str, float]
    conformal: Conformal
    table: list[dict[str, Any]]
    best_baseline: str
    caution: float = 0.0  # how far the point lies below the middle, in squared spreads
    trees: boosted.Trees | None = None
    network: DemandNetwork | None = None
    notices: tuple[str, ...] = ()
    held: Held | None = None  # the backtest's rows; not kept with the weights
    keys: tuple[tuple[str, ...], ...] = ()  # the series it was fitted on
    names: list[str] = field(default_factory=list)  # the features
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def arrange(self, panel: Panel) -> Panel:
        """Return a panel whose text codes mean what they meant when this was fitted."""
        return panel if panel.categories == self.categories else panel.recoded(self.categories)

    def codes(self, panel: Panel) -> Ints:
        """Return each series' number in the network, from 1; 0 for a series it never met."""
        place = {key: i + 1 for i, key in enumerate(self.keys)}
        return np.array([place.get(key, 0) for key in panel.keys], dtype=np.int64)

    def forecast(
        self, panel: Panel, origin: int, series: Ints, moment: Ints, levels: tuple[float, ...]
    ) -> Forecast:
        """Return forecasts of rows as known at `origin`; later targets are not looked at."""
        scale = Scale(self.arrange(panel), self.aim, origin)
        rows = Rows(series, np.full(len(series), origin), moment)
        prepared = scale.prepare(rows)
        forecasts = ask_all(self, scale, origin, rows, prepared, set(self.weights))
        point = blend.mix(forecasts, self.weights, self.aim)
        point = lowered(point, scale.spread(rows, point), self.caution, self.aim)
        point, is_cold = coldstart.fill(scale.panel, origin, series, moment, point)
        spread = scale.spread(rows, point) * np.where(is_cold, 2.0, 1.0)
        ahead = rows.ahead
        return Forecast(
            point,
            self.conformal.quantiles(point, spread, ahead, levels),
            levels,
            {
                level: self.conformal.interval(point, spread, ahead, level)
                for level in intervals.LEVELS
            },
            spread,
            is_cold,
        )

    def recalibrated(self, panel: Panel, past: Sequence[tuple[Rows, Floats, Floats]]) -> Forecaster:
        """Return the same forecaster with intervals from its latest errors.

        `past` are rounds that it answered since it was fitted: rows, points and spreads. Only
        rows whose target the panel tells count; the oldest held-back rows make room for them.
        """
        if self.held is None or not past:
            return self
        held, parts = self.held, []
        for rows, point, spread in past:
            truth = panel.y[rows.series, rows.moment]
            told = np.isfinite(truth)
            parts.append((truth[told], point[told], spread[told], rows.ahead[told]))
        new = [np.concatenate(column)[::-1] for column in zip(*parts, strict=True)]
        old = (held.truth, held.point, held.spread, held.ahead)
        # the latest first, on both sides
        pool = [np.concatenate(pair)[: len(held.truth)] for pair in zip(new, old, strict=True)]
        conformal = intervals.fit(*pool, logarithm=self.aim == "percentage")
        return replace(self, conformal=conformal)

    def baseline(self, panel: Panel, origin: int, series: Ints, moment: Ints) -> Floats:
        """Return the forecast of the simple method that did best in the backtest."""
        method = baselines.SIMPLE[self.best_baseline]
        return method(panel.until(origin), origin, series, moment)


def ask_all(
    models: Forecaster, scale: Scale, origin: int, rows: Rows, prepared: Prepared, names: set[str]
) -> dict[str, Floats]:
    """Return the forecasts of the named methods for rows of one origin."""
    found: dict[str, Floats] = {}
    if "boosted" in names and models.trees is not None:
        found["boosted"] = models.trees.predict(prepared)
    if "network" in names and models.network is not None:
        past, codes = models.settings.learning.past, models.codes(scale.panel)
        named = tuple(name for name in models.names if name in models.categories)
        few = tuple(name for name in named if len(models.categories[name]) <= MOST_LABELS)
        arranged = prepared.arranged(models.names, few)
        found["network"] = learning.predict(models.network, scale, rows, arranged, past, codes)[0]
    for name, method in baselines.SIMPLE.items():
        if name in names:
            found[name] = method(scale.panel, origin, rows.series, rows.moment)
    wanted = names & {"auto_ets", "auto_theta"}
    if wanted:
        chosen = np.unique(rows.series)
        steps = int(rows.ahead.max())
        lines = baselines.statistical(scale.panel, origin, chosen, steps)
        place = np.searchsorted(chosen, rows.series), rows.ahead - 1
        fallback = baselines.recent_mean(scale.panel, origin, rows.series, rows.moment)
        for name in wanted:
            line = lines[name][place]
            found[name] = np.where(np.isfinite(line), line, fallback)
    return found


def backtest_origins(panel: Panel, settings: DemandSettings) -> list[int]:
    """Return the origins of the rounds held back, the latest first."""
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


def fit(panel: Panel, settings: DemandSettings, *, on_step: Tell | None = None) -> Forecaster:
    """Return a forecaster for the time after the panel's last known target.

    Raises TooShort when there is too little history to hold anything back.
    """
    tell = on_step or (lambda what, progress: None)
    aim = choose_aim(panel, settings.aim)
    origins = backtest_origins(panel, settings)
    tell("features", None)
    scale = Scale(panel, aim, panel.last, choose_until=origins[-1])
    tell("backtest", None)
    models = _fit_models(scale, origins[-1], settings, tell)
    rounds = [_round(models, panel, aim, origin, settings) for origin in origins]
    chosen = _choose(rounds, models, panel, aim, settings)
    tell("final fit", None)
    final = _fit_models(scale, panel.last, settings, tell, only=set(chosen.weights))
    chosen.trees, chosen.network = final.trees, final.network
    chosen.keys, chosen.names, chosen.categories = final.keys, final.names, final.categories
    return chosen


def _fit_models(
    scale: Scale,
    until: int,
    settings: DemandSettings,
    tell: Tell,
    only: set[str] | None = None,
) -> Forecaster:
    """Return a forecaster with the global models fitted on what is known at `until`."""
    empty = Conformal(True, (1,), np.zeros((1, 1)), np.zeros((1, 1)))
    models = Forecaster(settings, scale.aim, {}, empty, [], "recent_mean")
    models.keys, models.categories = scale.panel.keys, scale.panel.categories
    trees = settings.trees and boosted.installed() and (only is None or "boosted" in only)
    network = settings.network and (only is None or "network" in only)
    models.names = scale.names()
    if trees:
        tell("boosted", None)
        models.trees = _fit_trees(scale, until, settings)
    if network:
        models.network = _fit_network(scale, until, settings, tell)
    return models


def _fit_trees(scale: Scale, until: int, settings: DemandSettings) -> boosted.Trees | None:
    """Return trees fitted on what is known at `until`, or None when there is too little."""
    rows = training_rows(
        scale.panel, until, settings.ask, limit=settings.row_limit, seed=settings.seed
    )
    if len(rows) < FEWEST_ROWS:
        return None
    prepared = scale.prepare(rows)
    sales = scale.panel.y[rows.series, rows.moment]
    weight = _weights(scale, rows, prepared, sales, until, settings)
    tree = replace(settings.tree, threads=settings.threads, seed=settings.seed)
    if len(rows) < 50 * tree.smallest_leaf:
        tree = replace(tree, smallest_leaf=max(5, len(rows) // 100), leaves=15)
    return boosted.fit(prepared, sales, weight, tree)


def _fit_network(
    scale: Scale, until: int, settings: DemandSettings, tell: Tell
) -> DemandNetwork | None:
    """Return the network trained on what is known at `until`, or None with too little."""
    rows = training_rows(
        scale.panel,
        until,
        settings.ask,
        limit=4 * settings.row_limit,
        seed=settings.seed,
        pairs=settings.pair_limit,
    )
    if len(rows) < FEWEST_ROWS:
        return None
    prepared = scale.prepare(rows)
    sales = scale.panel.y[rows.series, rows.moment]
    return learning.fit(
        scale,
        rows,
        prepared,
        sales,
        _weights(scale, rows, prepared, sales, until, settings),
        replace(settings.learning, seed=settings.seed),
        on_step=lambda progress: tell("network", progress),
    )


def _weights(
    scale: Scale,
    rows: Rows,
    prepared: Prepared,
    sales: Floats,
    until: int,
    settings: DemandSettings,
) -> Floats | None:
    """Return weights that make squared errors add up to the mean scaled error.

    The root of a window's mean squared error changes by error / root: so each window weighs the
    inverse of the root, taken from the recent mean's errors.
    """
    if scale.aim != "squared":
        return None
    naive = measures.naive_scale(scale.panel.y[:, : until + 1])
    usual = np.nanmedian(naive) if np.isfinite(naive).any() else 1.0
    naive = np.where(np.isfinite(naive) & (naive > 0), naive, usual)[rows.series]
    mean = next(name for name in prepared.names if name.startswith("mean_2"))
    simple = np.nan_to_num(prepared.matrix[:, prepared.names.index(mean)]) * prepared.unit
    window = rows.series * (rows.origin.max() + 1) + rows.origin
    _, group = np.unique(window, return_inverse=True)
    total = np.bincount(group, weights=(sales - simple) ** 2 / naive)
    root = np.sqrt(total / np.bincount(group))[group]
    weight = prepared.unit**2 / (naive * np.maximum(root, settings.smallest_root))
    weight = np.minimum(weight, np.quantile(weight, 0.999))
    return np.asarray(weight / weight.mean())


@dataclass
class _Round:
    origin: int
    rows: Rows
    truth: Floats
    forecasts: dict[str, Floats]
    spread: Callable[[Floats], Floats]


def _round(
    models: Forecaster, panel: Panel, aim: Aim, origin: int, settings: DemandSettings
) -> _Round:
    rows = rows_at(panel, [origin], settings.ask)
    scale = Scale(panel, aim, origin)
    # a series that cannot be forecast by itself would only blur who is best
    rows = rows.take(~coldstart.cold(scale.panel, origin)[rows.series])
    prepared = scale.prepare(rows)
    names = {"boosted", "network", *baselines.SIMPLE}
    forecasts = ask_all(models, scale, origin, rows, prepared, names)
    truth = panel.y[rows.series, rows.moment]
    return _Round(origin, rows, truth, forecasts, lambda point: scale.spread(rows, point))


def _choose(
    rounds: list[_Round], models: Forecaster, panel: Panel, aim: Aim, settings: DemandSettings
) -> Forecaster:
    """Return a forecaster with weights, intervals and the backtest's table."""
    rounds = [one for one in rounds if len(one.rows)]
    if not rounds:
        raise TooShort("no series has enough history for a backtest")
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
    spread = _spreads(rounds, blended)
    ahead = np.concatenate([one.rows.ahead for one in rounds])
    conformal = intervals.fit(truth, blended, spread, ahead, logarithm=aim == "percentage")
    best = min(losses, key=lambda name: losses[name])
    held = Held(
        np.concatenate([np.full(len(one.rows), i) for i, one in enumerate(rounds)]),
        np.concatenate([one.rows.series for one in rounds]),
        np.concatenate([one.rows.moment for one in rounds]),
        ahead,
        truth,
        blended,
        spread,
        simple[best],
    )
    return Forecaster(
        settings=settings,
        aim=aim,
        weights=weights,
        conformal=conformal,
        table=table,
        best_baseline=best,
        held=held,
        caution=caution,
        notices=tuple(notices),
    )


def _spreads(rounds: list[_Round], point: Floats) -> Floats:
    return np.concatenate(
        [
            one.spread(point[start : start + len(one.rows)])
            for start, one in zip(_starts(rounds), rounds, strict=True)
        ]
    )


def _caution(rounds: list[_Round], truth: Floats, mixed: Floats, aim: Aim) -> tuple[float, Floats]:
    """Return how far to lower the point, as the held-back rounds chose, and the lowered points.

    A percentage error punishes too much more than too little: of a lognormal its best point lies
    a squared spread below the median, and models underestimate their own spread.
    """
    if aim != "percentage":
        return 0.0, mixed
    spread, sold = _spreads(rounds, mixed), truth > 0
    tried = {
        caution: float(np.abs(lowered(mixed, spread, caution, aim)[sold] / truth[sold] - 1).mean())
        for caution in CAUTIONS
    }
    best = min(tried, key=lambda caution: tried[caution])
    return best, lowered(mixed, spread, best, aim)


def lowered(point: Floats, spread: Floats, caution: float, aim: Aim) -> Floats:
    """Return points `caution` squared spreads lower, in the logarithm."""
    if aim != "percentage" or caution == 0:
        return point
    return np.asarray(np.expm1(np.maximum(np.log1p(point) - caution * spread**2, 0)))


def _starts(rounds: list[_Round]) -> list[int]:
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
    table: list[dict[str, Any]], last: _Round, panel: Panel, aim: Aim, blended: Floats
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
