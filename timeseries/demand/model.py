"""A fitted forecaster as a weights folder, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sequence.artifact import Artifact, load_artifact, save_artifact
from sequence.errors import ArtifactDamaged
from timeseries.demand import boosted
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.fitting import DemandSettings, Forecaster
from timeseries.demand.learning import NetworkSettings
from timeseries.demand.network import DemandNetwork
from timeseries.intervals import Conformal

TREES = "trees.json"
FORMAT = 1


def save(
    model: Forecaster,
    folder: Path,
    *,
    name: str,
    version: str,
    card: str,
    facts: dict[str, Any] | None = None,
) -> None:
    """Write a forecaster; `facts` (columns, data, scores) go into its config.

    Raises ArtifactError when the folder is there already.
    """
    settings = model.settings
    config: dict[str, Any] = {
        "format": FORMAT,
        "task": "demand",
        "name": name,
        "version": version,
        "settings": {**asdict(settings), "tree": None, "learning": None},
        "tree": asdict(settings.tree),
        "learning": asdict(settings.learning),
        "aim": model.aim,
        "weights": model.weights,
        "middle": model.middle,
        "caution": model.caution,
        "covered": model.covered,
        "conformal": model.conformal.to_json(),
        "table": model.table,
        "best_baseline": model.best_baseline,
        "keys": [list(key) for key in model.keys],
        "names": model.names,
        "categories": {name: list(labels) for name, labels in model.categories.items()},
        **(facts or {}),
    }
    tensors, files = {}, {}
    if model.network is not None:
        config["network"] = asdict(model.network.config)
        tensors = model.network.state_dict()
    if model.trees is not None:
        found = {
            "names": model.trees.names,
            "trees": model.trees.texts(),
            "width": model.trees.width_text(),
            "log": model.trees.log_text(),
        }
        files[TREES] = json.dumps(found).encode()
    save_artifact(folder, config=config, tensors=tensors, card=card, files=files)


def load(folder: Path) -> Forecaster:
    """Return the forecaster of a weights folder.

    Raises the artifact errors of `sequence`; NotInstalled when its trees need LightGBM.
    """
    artifact = load_artifact(folder)
    config = artifact.config
    if config.get("task") != "demand":
        raise ArtifactDamaged(f"{folder} is no demand model")
    model = Forecaster(
        settings=_settings(config),
        aim=config["aim"],
        weights=config["weights"],
        conformal=Conformal.from_json(config["conformal"]),
        table=config["table"],
        best_baseline=config["best_baseline"],
        middle=config.get("middle"),
        caution=config["caution"],
        covered=config.get("covered") or {},
        keys=tuple(tuple(key) for key in config["keys"]),
        names=config["names"],
        categories={name: tuple(labels) for name, labels in config["categories"].items()},
    )
    _parts(model, artifact)
    return model


def _settings(config: dict[str, Any]) -> DemandSettings:
    tree = config["tree"] | {"left_out": tuple(config["tree"]["left_out"])}
    return DemandSettings(
        **{
            **config["settings"],
            "tree": TreeSettings(**tree),
            "learning": NetworkSettings(**config["learning"]),
        }
    )


def _parts(model: Forecaster, artifact: Artifact) -> None:
    if TREES in artifact.files:
        found = json.loads(artifact.files[TREES])
        model.trees = boosted.from_texts(
            found["trees"], found["names"], found.get("width"), found.get("log")
        )
    if "network" in artifact.config:
        shape = artifact.config["network"]
        shape = shape | {"categories": tuple(shape["categories"])}
        model.network = DemandNetwork(DemandNetwork.Config(**shape))
        model.network.load_state_dict(artifact.tensors)
        model.network.eval()
