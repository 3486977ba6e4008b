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
    "num_leaves": 15,
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
SEEDS = 3  # fits averaged, each on its own draw of the good rows: frauds nobody can see are noise
GOOD_SHARE = 0.35  # of the good rows a fit sees, where there are many
MANY = 200_000


def installed() -> bool:
    """Return whether LightGBM is at hand."""
    return importlib.util.find_spec("lightgbm") is not None


class Trees:
    """Fitted trees, averaged; `texts` are LightGBM's own readable format, never a pickle."""

    def __init__(self, texts: list[str]) -> None:
        if not installed():
            raise NotInstalled("this model needs LightGBM: pip install 'openmailroom[series]'")
        import lightgbm

        self.texts = texts
        self.boosters: list[Any] = [lightgbm.Booster(model_str=text) for text in texts]

    def predict(self, matrix: Floats) -> Floats:
        """Return the log odds of fraud of N x F features."""
        found = [b.predict(matrix, raw_score=True, num_threads=1) for b in self.boosters]
        return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def fit(matrix: Floats, fraud: npt.NDArray[np.bool_], seed: int, threads: int) -> Trees:
    """Return trees fitted to features and labels."""
    import lightgbm

    generator = np.random.default_rng(seed)
    share = GOOD_SHARE if len(fraud) > MANY else 1.0
    texts = []
    for number in range(SEEDS):
        rows = np.flatnonzero(fraud | (generator.random(len(fraud)) < share))
        data = lightgbm.Dataset(
            matrix[rows],
            fraud[rows].astype(np.int8),
            weight=np.where(fraud[rows], 1.0, 1 / share),
            feature_name=list(NAMES),
        )
        settings = SETTINGS | {"seed": seed + number + 1, "num_threads": threads}
        texts.append(lightgbm.train(settings, data, ROUNDS).model_to_string())
    return Trees(texts)
