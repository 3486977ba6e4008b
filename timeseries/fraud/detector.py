"""A fitted fraud detector: features in, a calibrated chance of fraud out; kept as a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sequence import Padded
from sequence.artifact import load_artifact, save_artifact
from sequence.errors import ArtifactDamaged
from timeseries.fraud.boosted import Trees
from timeseries.fraud.features import NAMES
from timeseries.fraud.network import FraudNetwork
from timeseries.fraud.sequences import KEPT

Floats = npt.NDArray[np.float64]

TREES = "trees.json"
FORMAT = 1


@dataclass
class Detector:
    """The network and the trees, how they are blended, and where an alert begins.

    `weight` is the network's share of the blended log odds. `threshold` is the chance of fraud
    at which the alert budget was met. `typical` is an unsuspicious transaction's features.
    """

    network: FraudNetwork
    trees: Trees | None
    weight: float
    slope: float
    intercept: float
    threshold: float
    delay: int
    usual_amount: float
    typical: Floats
    name: str = "fraud"
    version: str = "1"

    def log_odds(self, matrix: Floats, before: Padded) -> tuple[Floats, npt.NDArray[np.float32]]:
        """Return the blended log odds of N x F features, and the attention on steps before."""
        if self.network.training:  # telling every layer costs a fifth of a payment's score
            self.network.eval()
        with torch.inference_mode():
            odds, weights = self.network(torch.from_numpy(matrix.astype(np.float32)), before)
        blended = odds.numpy().astype(np.float64)
        if self.trees is not None and self.weight < 1:
            blended = self.weight * blended + (1 - self.weight) * self.trees.predict(matrix)
        return self.slope * blended + self.intercept, weights.numpy()

    def save(
        self, folder: Path, *, card: str, name: str, version: str, facts: dict[str, Any]
    ) -> None:
        """Write the weights folder; `facts` go into its config (scores on dev, seed, data)."""
        config = {
            "format": FORMAT,
            "task": "fraud",
            "name": name,
            "version": version,
            "features": list(NAMES),
            "kept": KEPT,
            "network": asdict(self.network.config),
            "weight": self.weight if self.trees is not None else 1.0,
            "slope": self.slope,
            "intercept": self.intercept,
            "threshold": self.threshold,
            "delay": self.delay,
            "usual_amount": self.usual_amount,
            "typical": [float(value) for value in self.typical],
            **facts,
        }
        files = {TREES: json.dumps(self.trees.texts).encode()} if self.trees is not None else {}
        save_artifact(
            folder, config=config, tensors=self.network.state_dict(), card=card, files=files
        )


def load(folder: Path) -> Detector:
    """Return the detector of a weights folder, its files checked.

    Raises the artifact errors of `sequence`; NotInstalled when its trees need LightGBM.
    """
    artifact = load_artifact(folder)
    config = artifact.config
    if config.get("task") != "fraud" or config.get("features") != list(NAMES):
        raise ArtifactDamaged(f"{folder} is no fraud detector of this version: train it again")
    network = FraudNetwork(FraudNetwork.Config(**config["network"]))
    network.load_state_dict(artifact.tensors)
    network.eval()
    trees = Trees(json.loads(artifact.files[TREES])) if TREES in artifact.files else None
    return Detector(
        network=network,
        trees=trees,
        weight=config["weight"],
        slope=config["slope"],
        intercept=config["intercept"],
        threshold=config["threshold"],
        delay=config["delay"],
        usual_amount=config["usual_amount"],
        typical=np.array(config["typical"]),
        name=config["name"],
        version=config["version"],
    )
