"""The job `train`: a classifier of one's own labels from a file of texts.

Leaves `report.html` (it quotes the file's texts) and `model.tar`, the packed weights folder; the
folder itself lies among this machine's models, where its workers find it at once.

Options: `text` and `label`, the columns; `out_of_scope`, a label; `least_version`; `examples`,
false to keep no text with the model; and those of `mailroom train`: `encoder`, `teacher`,
`epochs`, `precision`, `seed`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.errors import Fault
from workers.jobs.assignment import Assignment

RECIPE = ("encoder", "hidden_size", "teacher", "epochs", "precision", "seed", "out_of_scope")
TOLD_SECONDS = 0.5
# Facts of the config that a list of models shows
FACTS = ("kind", "languages", "data", "taught", "licence", "scores", "created", "examples")


class NoFile(Fault):
    """A training without a file has nothing to learn from."""

    code = "empty_file"
    sentence = "There is no file to train on."
    transient = False


def run(
    job: Assignment, input_path: Path | None, folder: Path, told: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Train; raises the errors of `nlp.errors`, said before anything is trained."""
    if input_path is None:
        raise NoFile
    told({"stage": "looking at the file"})
    from nlp.parcel import pack
    from nlp.recipe import Recipe
    from nlp.trainer import Job, train_file

    options = job.options
    result = train_file(
        Job(
            name=job.name,
            file=input_path,
            models_dir=job.models_dir,
            text=str(options.get("text") or "text"),
            label=str(options.get("label") or "label"),
            device=job.device,
            threads=job.threads,
            least_version=int(options.get("least_version") or 1),
            examples=options.get("examples") is not False,
            recipe=Recipe(**{name: options[name] for name in RECIPE if options.get(name)}),
        ),
        said=Telling(told),
    )
    told({"stage": "packing the model"})
    pack(result.folder, folder / "model.tar")
    shutil.copyfile(result.folder / "report.html", folder / "report.html")
    facts = facts_of(result.folder)
    return {
        "version": result.version,
        "figures": result.figures,
        "warnings": list(result.warnings),
        "taught": result.way,
        "labels": facts["labels"],
        "curve": facts.pop("curve"),
        "model": {"name": job.name, "version": result.version, "facts": facts},
    }


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what a list of models says of a weights folder, with the training's curve."""
    from nlp.weights import config_of

    config = config_of(folder)
    history = config.get("history") or {}
    facts = {name: config.get(name) for name in FACTS}
    facts["labels"] = {head: len(labels) for head, labels in (config.get("heads") or {}).items()}
    facts["encoder"] = (config.get("recipe") or {}).get("encoder")
    facts["size"] = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    facts["curve"] = [
        {name: entry[name] for name in ("epoch", "loss", "dev_accuracy") if name in entry}
        for entry in history.get("epochs", ())
    ]
    return facts


class Telling:
    """Turns what a training says, piece by piece, into one object that a page can show whole."""

    def __init__(self, told: Callable[[dict[str, Any]], None]) -> None:
        self._told = told
        self._said: dict[str, Any] = {"warnings": []}
        self._stage = ""
        self._at = 0.0

    def __call__(self, values: dict[str, Any]) -> None:
        """Take what is new and pass the whole on, some times a second."""
        if "warning" in values:
            self._said["warnings"] = [*self._said["warnings"], values["warning"]]
        else:
            self._said |= {"stage": "training", **values} if "epoch" in values else values
        now = time.monotonic()
        if self._said.get("stage") == self._stage and now - self._at < TOLD_SECONDS:
            return
        self._stage, self._at = self._said.get("stage", ""), now
        self._told(dict(self._said))
