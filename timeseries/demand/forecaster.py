"""What a fit of demand gives: methods, their weights and intervals, and how they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from timeseries import intervals, measures
from timeseries.demand import baselines, blend, boosted, coldstart, learning
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.features import MOST_LABELS
from timeseries.demand.learning import NetworkSettings
from timeseries.demand.network import DemandNetwork
from timeseries.demand.rows import Ask, Rows
from timeseries.demand.scale import Aim, Prepared, Scale
from timeseries.intervals import LEVELS, Conformal
from timeseries.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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
    smallest_root: float = 0.03  # of a window's scaled error, or quiet windows rule the fit
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
    """Answers for rows: the point, quantiles and central intervals.

    `middle` is what quantiles and intervals were measured around.
    """

    point: Floats
    middle: Floats
    quantiles: Floats
    levels: tuple[float, ...]
    intervals: dict[float, tuple[Floats, Floats]]
    spread: Floats
    cold: npt.NDArray[np.bool_]

    def covered(self, truth: Floats, rows: npt.NDArray[np.bool_], level: float) -> float:
        """Return the share of these rows whose truth lay in its interval."""
        low, high = self.intervals[level]
        return measures.coverage(truth[rows], low[rows], high[rows])


@dataclass
class Held:
    """The rows of the backtest, latest round first, with what was forecast for them."""

    round: Ints
    series: Ints
    moment: Ints
    ahead: Ints
    truth: Floats
    point: Floats
    middle: Floats  # what the intervals lie around
    spread: Floats
    simple: Floats  # by the best simple method


@dataclass
class Forecaster:
    """Fitted methods, their weights, and the intervals that the backtest measured.

    `weights` blend the point, `middle` what quantiles lie around (None: the point itself).
    `table` is the backtest: a line a method, best first. `covered` is the share of each level's
    held-back sales that lay in intervals measured on the other rounds.
    """

    settings: DemandSettings
    aim: Aim
    weights: dict[str, float]
    conformal: Conformal
    table: list[dict[str, Any]]
    best_baseline: str
    middle: dict[str, float] | None = None
    covered: dict[str, float] = field(default_factory=dict)
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

    def widths(self, prepared: Prepared) -> Floats:
        """Return how far off rows tend to be, as multiples of their series' spread."""
        if self.trees is None:
            return np.ones(len(prepared.matrix))
        return self.trees.widths(prepared)

    def forecast(
        self, panel: Panel, origin: int, series: Ints, moment: Ints, levels: tuple[float, ...]
    ) -> Forecast:
        """Return forecasts of rows as known at `origin`; later targets are not looked at."""
        scale = Scale(self.arrange(panel), self.aim, origin)
        rows = Rows(series, np.full(len(series), origin), moment)
        prepared = scale.prepare(rows)
        names = {*self.weights, *(self.middle or {})}
        forecasts = ask_all(self, scale, origin, rows, prepared, names)
        mixed = blend.mix(forecasts, self.weights, self.aim)
        widths = self.widths(prepared)
        point = lowered(mixed, scale.spread(rows, mixed) * widths, self.caution, self.aim)
        middle = blend.mix(forecasts, self.middle, self.aim) if self.middle else point
        point, is_cold = coldstart.fill(scale.panel, origin, series, moment, point)
        middle, _ = coldstart.fill(scale.panel, origin, series, moment, middle)
        spread = scale.spread(rows, middle) * widths * np.where(is_cold, 2.0, 1.0)
        ahead = rows.ahead
        return Forecast(
            point,
            middle,
            self.conformal.quantiles(middle, spread, ahead, levels),
            levels,
            {
                level: self.conformal.interval(middle, spread, ahead, level)
                for level in intervals.LEVELS
            },
            spread,
            is_cold,
        )

    def recalibrated(self, panel: Panel, past: Sequence[tuple[Rows, Forecast]]) -> Forecaster:
        """Return the same forecaster with intervals from its latest errors.

        `past` are rounds that it answered since it was fitted. Only rows whose target the panel
        tells count; the oldest held-back rows make room for them. Where earlier intervals covered
        too little they are made wider than the errors ask for.
        """
        if self.held is None or not past:
            return self
        held, parts, missed = self.held, [], []
        for rows, answer in past:
            truth = panel.y[rows.series, rows.moment]
            told = np.isfinite(truth)
            columns = (truth, answer.middle, answer.spread, rows.ahead)
            parts.append(tuple(column[told] for column in columns))
            if told.any():
                missed.append([level - answer.covered(truth, told, level) for level in LEVELS])
        new = [np.concatenate(column)[::-1] for column in zip(*parts, strict=True)]
        old = (held.truth, held.middle, held.spread, held.ahead)
        # the latest first, on both sides
        pool = [np.concatenate(pair)[: len(held.truth)] for pair in zip(new, old, strict=True)]
        aims = intervals.adapted(missed)
        conformal = intervals.fit(*pool, logarithm=self.aim == "percentage", aims=aims)
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
    if "boosted_log" in names and models.trees is not None:
        found["boosted_log"] = models.trees.predict_log(prepared)
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


def lowered(point: Floats, spread: Floats, caution: float, aim: Aim) -> Floats:
    """Return points `caution` squared spreads lower, in the logarithm."""
    if aim != "percentage" or caution == 0:
        return point
    return np.asarray(np.expm1(np.maximum(np.log1p(point) - caution * spread**2, 0)))
