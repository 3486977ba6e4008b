"""Global gradient boosting over all series (LightGBM; the extra `series`).

Under the aim `percentage` the trees minimise the percentage error itself: absolute error of
sales over what the past expects, each row weighing the inverse of it. Under `squared` they
minimise what the mean scaled error is made of: squared error, each series weighing the inverse
of its own size and of how badly a simple forecast does on it.

Shapes: R rows, F features.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from timeseries.demand.scale import Prepared
from timeseries.errors import NotInstalled

Floats = npt.NDArray[np.float64]


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
    seed: int = 0


def installed() -> bool:
    """Return whether LightGBM is at hand."""
    return importlib.util.find_spec("lightgbm") is not None


class Trees:
    """Fitted trees of one aim; `names` are the features they read, in order."""

    def __init__(self, boosters: list[Any], names: list[str]) -> None:
        self.boosters, self.names = boosters, names

    def predict(self, prepared: Prepared) -> Floats:
        """Return forecasts of the rows, in sales."""
        matrix = prepared.columns(self.names)
        found = np.mean([b.predict(matrix, num_threads=1) for b in self.boosters], axis=0)
        if prepared.aim == "percentage":
            found = np.log(np.maximum(found, 1e-6))
        return prepared.forecast(found)

    def texts(self) -> list[str]:
        """Return the trees in LightGBM's own readable format."""
        return [booster.model_to_string() for booster in self.boosters]


def from_texts(texts: list[str], names: list[str]) -> Trees:
    """Return the trees that `texts` describe. Raises NotInstalled without LightGBM."""
    if not installed():
        raise NotInstalled("this model needs LightGBM: pip install 'openmailroom[series]'")
    import lightgbm

    return Trees([lightgbm.Booster(model_str=text) for text in texts], names)


def fit(prepared: Prepared, sales: Floats, weight: Floats | None, settings: TreeSettings) -> Trees:
    """Return trees fitted to rows and their sales; `weight` multiplies the aim's own weights."""
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
    return Trees(boosters, names)


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
