"""Gradient boosting over the transaction's features (LightGBM; the extra `series`)."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt

from timeseries.errors import NotInstalled
from timeseries.fraud.features import NAMES

Floats = npt.NDArray[np.float64]

SETTINGS = {
    "objective": "binary",
    "num_leaves": 31,
    "learning_rate": 0.03,
    "min_data_in_leaf": 50,
    "lambda_l2": 5.0,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbose": -1,
    "deterministic": True,
}
ROUNDS = 400


def installed() -> bool:
    """Return whether LightGBM is at hand."""
    return importlib.util.find_spec("lightgbm") is not None


class Trees:
    """Fitted trees; `text` is LightGBM's own readable format, never a pickle."""

    def __init__(self, text: str) -> None:
        if not installed():
            raise NotInstalled("this model needs LightGBM: pip install 'openmailroom[series]'")
        import lightgbm

        self.text = text
        self.booster: Any = lightgbm.Booster(model_str=text)

    def predict(self, matrix: Floats) -> Floats:
        """Return the log odds of fraud of N x F features."""
        found = self.booster.predict(matrix, raw_score=True, num_threads=1)
        return np.asarray(found, dtype=np.float64)


def fit(matrix: Floats, fraud: npt.NDArray[np.bool_], seed: int, threads: int) -> Trees:
    """Return trees fitted to features and labels."""
    import lightgbm

    data = lightgbm.Dataset(matrix, fraud.astype(np.int8), feature_name=list(NAMES))
    settings = SETTINGS | {"seed": seed + 1, "num_threads": threads}
    return Trees(lightgbm.train(settings, data, ROUNDS).model_to_string())
