"""Fitting demand: every method runs in the same backtest, the winner or a blend answers.

The last rounds of the history are held back, and where it is long enough one of the same season
a year ago; global models are fitted on what is before them and asked at each round's origin. That
chooses the blend and how wide the intervals are. Then the global models that take part are fitted
again on everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sequence.training import Progress
from timeseries import measures
from timeseries.demand import backtest, boosted, learning
from timeseries.demand.forecaster import DemandSettings, Forecast, Forecaster, Held
from timeseries.demand.network import DemandNetwork
from timeseries.demand.rows import Rows, training_rows
from timeseries.demand.scale import Prepared, Scale, choose_aim
from timeseries.intervals import Conformal
from timeseries.panel import Panel

__all__ = ["DemandSettings", "Forecast", "Forecaster", "Held", "fit", "refit"]

Floats = npt.NDArray[np.float64]
Tell = Callable[[str, Progress | None], None]

FEWEST_ROWS = 50  # a global model needs to learn anything


def fit(panel: Panel, settings: DemandSettings, *, on_step: Tell | None = None) -> Forecaster:
    """Return a forecaster for the time after the panel's last known target.

    Raises TooShort when there is too little history to hold anything back.
    """
    tell = on_step or (lambda what, progress: None)
    aim = choose_aim(panel, settings.aim)
    recent = backtest.recent_origins(panel, settings)
    season = backtest.season_origin(panel, settings)
    rounds: list[backtest.Round] = []
    for origins in (season, recent):
        if origins:
            tell("features", None)
            # what a round may know also decides which plan is the main one
            scale = Scale(panel, aim, panel.last, choose_until=origins[-1])
            tell("backtest", None)
            models = _fit_models(scale, origins[-1], settings, tell)
            rounds = [backtest.ask(models, panel, origin) for origin in origins] + rounds
    chosen = backtest.choose(rounds, panel, aim, settings)
    tell("final fit", None)
    return _with_models(chosen, _fit_models(scale, panel.last, settings, tell, _parts(chosen)))


def refit(model: Forecaster, panel: Panel, *, on_step: Tell | None = None) -> Forecaster:
    """Return the same choice of methods with its global models fitted on all that `panel` tells."""
    tell = on_step or (lambda what, progress: None)
    scale = Scale(panel, model.aim, panel.last)
    return _with_models(
        replace(model), _fit_models(scale, panel.last, model.settings, tell, _parts(model))
    )


def _parts(model: Forecaster) -> set[str]:
    # the trees also tell how wide an interval is, whoever answers
    return {*model.weights, *(model.middle or {}), "boosted"}


def _with_models(model: Forecaster, models: Forecaster) -> Forecaster:
    model.trees, model.network = models.trees, models.network
    model.keys, model.names, model.categories = models.keys, models.names, models.categories
    return model


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
    return boosted.fit(prepared, sales, weight, tree, lambda point: scale.spread(rows, point))


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
    root = np.sqrt(_window_error(scale, rows, simple, settings) / naive)
    weight = prepared.unit**2 / (naive * np.maximum(root, settings.smallest_root))
    weight = np.minimum(weight, np.quantile(weight, 0.999))
    return np.asarray(weight / weight.mean())


def _window_error(scale: Scale, rows: Rows, simple: Floats, settings: DemandSettings) -> Floats:
    """Return the mean squared error of a level over the whole window that a row belongs to.

    Rows are drawn by lot: the few of a window that were drawn would tell its error badly.
    """
    end, steps = rows.origin + settings.ask.reach, settings.horizon
    mean = scale.builder.sums.mean(rows.series, end, steps)[0]
    square = scale.builder.squares.mean(rows.series, end, steps)[0]
    return np.asarray(np.maximum(square - 2 * simple * mean + simple**2, 0))
