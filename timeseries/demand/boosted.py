"""Global gradient boosting over all series (LightGBM; the extra `series`).

Under the aim `percentage` the trees minimise the percentage error itself: absolute error of
sales over what the past expects, each row weighing the inverse of it. Under `squared` they
minimise what the mean scaled error is made of: squared error, each series weighing the inverse
of its own size and of how badly a simple forecast does on it.

A second, smaller fit tells how far off a row tends to be, beside its series' own spread: errors
before Christmas are not those of May, and an interval should know.

Shapes: R rows, F features.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from timeseries.demand.scale import Prepared
from timeseries.errors import NotInstalled

Floats = npt.NDArray[np.float64]
WIDTHS = (0.05, 5.0)  # a row's usual error is so many of its series' spreads, no fewer, no more


@dataclass(frozen=True, kw_only=True)
class TreeSettings:
    """How the trees are grown."""

    rounds: int = 300
    learning_rate: float = 0.05
    leaves: int = 31
    smallest_leaf: int = 200
    feature_share: float = 0.4
    seeds: int = 1  # fits averaged
    threads: int = 1
    left_out: tuple[str, ...] = ()  # features not used
    width_rounds: int = 120  # of the fit that tells how far off a row tends to be
    seed: int = 0


def installed() -> bool:
    """Return whether LightGBM is at hand."""
    return importlib.util.find_spec("lightgbm") is not None


class Trees:
    """Fitted trees of one aim; `names` are the features they read, in order."""

    def __init__(
        self, boosters: list[Any], names: list[str], width: Any = None, log: Any = None
    ) -> None:
        self.boosters, self.names, self.width, self.log = boosters, names, width, log

    def predict(self, prepared: Prepared) -> Floats:
        """Return forecasts of the rows, in sales."""
        return prepared.forecast(self._scaled(prepared.columns(self.names), prepared.aim))

    def predict_log(self, prepared: Prepared) -> Floats:
        """Return forecasts by the trees of logarithms; what `predict` says where there are none."""
        if self.log is None:
            return self.predict(prepared)
        found = self.log.predict(prepared.columns(self.names), num_threads=1)
        return prepared.forecast(np.asarray(found, dtype=np.float64))

    def widths(self, prepared: Prepared) -> Floats:
        """Return how far off a row tends to be, as a multiple of its series' spread."""
        if self.width is None:
            return np.ones(len(prepared.matrix))
        found = self.width.predict(prepared.columns(self.names), num_threads=1)
        return np.asarray(np.clip(found, *WIDTHS), dtype=np.float64)

    def _scaled(self, matrix: npt.NDArray[np.float32], aim: str) -> Floats:
        found = np.mean([b.predict(matrix, num_threads=1) for b in self.boosters], axis=0)
        return np.log(np.maximum(found, 1e-6)) if aim == "percentage" else found

    def texts(self) -> list[str]:
        """Return the trees in LightGBM's own readable format."""
        return [booster.model_to_string() for booster in self.boosters]

    def width_text(self) -> str | None:
        """Return the fit of the widths likewise, None where there is none."""
        return None if self.width is None else str(self.width.model_to_string())

    def log_text(self) -> str | None:
        """Return the trees of logarithms likewise, None where there are none."""
        return None if self.log is None else str(self.log.model_to_string())


def from_texts(
    texts: list[str], names: list[str], width: str | None = None, log: str | None = None
) -> Trees:
    """Return the trees that the texts describe. Raises NotInstalled without LightGBM."""
    if not installed():
        raise NotInstalled("this model needs LightGBM: pip install 'openmailroom[series]'")
    import lightgbm

    told, logs = (lightgbm.Booster(model_str=text) if text else None for text in (width, log))
    return Trees([lightgbm.Booster(model_str=text) for text in texts], names, told, logs)


def fit(
    prepared: Prepared,
    sales: Floats,
    weight: Floats | None,
    settings: TreeSettings,
    spread: Callable[[Floats], Floats] | None = None,
) -> Trees:
    """Return trees fitted to rows and their sales; `weight` multiplies the aim's own weights.

    With `spread`, which gives the rows' spreads for their forecasts, they also tell widths.
    """
    import lightgbm

    names = [name for name in prepared.names if name not in set(settings.left_out)]
    target = prepared.target(sales)
    own = np.ones(len(target)) if weight is None else weight
    if prepared.aim == "percentage":
        # a row without sales has no percentage: it counts like the smallest sale
        target = np.exp(np.clip(target, -5, 5))
        own = own / np.maximum(target, 0.05)
    data = lightgbm.Dataset(
        prepared.columns(names),
        target,
        weight=own,
        feature_name=names,
        categorical_feature=[name for name in prepared.categories if name in names],
        free_raw_data=False,
    )
    boosters = []
    for number in range(settings.seeds):
        options = _options(settings, number)
        options["objective"] = "l1" if prepared.aim == "percentage" else "l2"
        boosters.append(lightgbm.train(options, data, settings.rounds))
    trees = Trees(boosters, names)
    if prepared.aim == "percentage":
        trees.log = _fit_log(trees, prepared, sales, weight, settings)
    if spread is not None and settings.width_rounds:
        trees.width = _fit_width(trees, prepared, sales, spread, settings)
    return trees


def _fit_log(
    trees: Trees, prepared: Prepared, sales: Floats, weight: Floats | None, settings: TreeSettings
) -> Any:
    """Return trees of the squared error of logarithms: they err otherwise, and in the middle."""
    import lightgbm

    data = lightgbm.Dataset(
        prepared.columns(trees.names),
        np.clip(prepared.target(sales), -1.5, 1.5),
        weight=weight,
        feature_name=trees.names,
        categorical_feature=[name for name in prepared.categories if name in trees.names],
    )
    options = _options(settings, settings.seeds) | {"objective": "l2"}
    return lightgbm.train(options, data, settings.rounds)


def _fit_width(
    trees: Trees,
    prepared: Prepared,
    sales: Floats,
    spread: Callable[[Floats], Floats],
    settings: TreeSettings,
) -> Any:
    """Return trees that tell a row's error as a multiple of its spread.

    Errors on the rows learnt from are too small, but alike so: the held-back rounds set the size.
    """
    import lightgbm

    matrix = prepared.columns(trees.names)
    found = prepared.forecast(trees._scaled(matrix, prepared.aim))
    if prepared.aim == "percentage":
        sold = sales > 0
        error = np.abs(np.log1p(sales) - np.log1p(found)) / spread(found)
    else:
        sold = np.ones(len(sales), dtype=bool)
        error = np.abs(sales - found) / spread(found)
    error = np.minimum(error, np.quantile(error[sold], 0.995))
    data = lightgbm.Dataset(
        matrix[sold],
        error[sold],
        feature_name=trees.names,
        categorical_feature=[name for name in prepared.categories if name in trees.names],
    )
    options = _options(settings, 0) | {
        "objective": "l2",
        "num_leaves": 15,
        "min_data_in_leaf": 2 * settings.smallest_leaf,
    }
    return lightgbm.train(options, data, settings.width_rounds)


def _options(settings: TreeSettings, number: int) -> dict[str, Any]:
    return {
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.smallest_leaf,
        "lambda_l2": 10.0,
        "feature_fraction": settings.feature_share,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 20.0,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "seed": settings.seed + number + 1,
        "verbose": -1,
    }
