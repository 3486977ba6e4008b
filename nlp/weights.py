"""Where weights are: those shipped with the product, and those people trained.

Shipped: `weights/NAME/`. Trained: `MODELS/NAME/VERSION/`, versions being whole numbers. A model
is named NAME (its newest version), NAME@VERSION, or by its folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp import kinds
from nlp.errors import BadName, NameTaken, ReadingError, UnknownModel
from sequence.artifact import MANIFEST, read_config
from sequence.errors import ArtifactError

SHIPPED = Path(__file__).resolve().parent.parent / "weights"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Listed:
    """A model that is there: what its config says, and how large it is."""

    name: str
    version: str
    folder: Path
    shipped: bool
    size: int  # bytes of all its files
    config: dict[str, Any]
    damaged: str | None = None  # what is wrong with it, if anything is


def config_of(folder: Path) -> dict[str, Any]:
    """Return what a weights folder says of itself; raises ArtifactMissing, ArtifactDamaged."""
    return read_config(folder)


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped models, in alphabetical order."""
    if not SHIPPED.is_dir():
        return ()
    return tuple(sorted(f.name for f in SHIPPED.iterdir() if (f / MANIFEST).is_file()))


def versions(name: str, models_dir: Path | None) -> list[str]:
    """Return the trained versions of a name, oldest first."""
    folder = models_dir / name if models_dir else None
    if folder is None or not folder.is_dir():
        return []
    found = [f.name for f in folder.iterdir() if f.name.isdigit() and (f / MANIFEST).is_file()]
    return sorted(found, key=int)


def check_spelling(name: str) -> None:
    """Raise BadName unless a model may be called so: a folder of that name leads nowhere else."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name!r} is no name for a model: letters, digits, '.', '_' and '-', 64 at most"
        )


def check_name(name: str) -> None:
    """Raise BadName unless a model of one's own may be called so, NameTaken if one of ours is."""
    check_spelling(name)
    if name in shipped_names() or name in kinds.names():
        raise NameTaken(f"{name!r} is a shipped model: choose another name")


def next_version(name: str, models_dir: Path, *, least: int = 1) -> str:
    """Return the version that a training of this name would make, `least` or after the newest.

    Raises BadName, and NameTaken for a shipped model's name or a document kind's.
    """
    check_name(name)
    taken = versions(name, models_dir)
    return str(max(least, int(taken[-1]) + 1 if taken else 1))


def find(model: str, models_dir: Path | None = None, version: str | None = None) -> Path:
    """Return the weights folder of a kind, a shipped or trained name, NAME@VERSION or a folder.

    Raises UnknownModel, which says what there is.
    """
    if (Path(model) / MANIFEST).is_file():
        return Path(model)
    name, _, said = model.partition("@")
    wanted = version or said or None
    if not _NAME.fullmatch(name):
        raise UnknownModel(f"no model {model!r}: it is no name, and no weights folder")
    weights = kinds.get(name).weights if name in kinds.names() else name
    there = versions(name, models_dir)
    if weights in shipped_names() and wanted not in there:
        shipped = SHIPPED / weights
        version_shipped = str(read_config(shipped).get("version"))
        if wanted in (None, version_shipped):
            return shipped
        there.append(version_shipped)
    if models_dir is None or not there:
        known = sorted({*shipped_names(), *trained_names(models_dir)})
        raise UnknownModel(f"no model {model!r}; there are {', '.join(known) or 'none'}")
    if wanted is not None and wanted not in there:
        raise UnknownModel(f"{name} has no version {wanted}; it has {', '.join(there)}")
    return models_dir / name / (wanted or there[-1])


def trained_names(models_dir: Path | None) -> list[str]:
    """Return the names that have a trained version, in alphabetical order."""
    if models_dir is None or not models_dir.is_dir():
        return []
    return sorted(f.name for f in models_dir.iterdir() if versions(f.name, models_dir))


def listing(models_dir: Path | None) -> list[Listed]:
    """Return every model, shipped ones first; a damaged one is listed with what is wrong."""
    folders = [(name, SHIPPED / name, True) for name in shipped_names()]
    for name in trained_names(models_dir):
        root = models_dir or Path()
        folders += [(name, root / name / v, False) for v in versions(name, models_dir)]
    listed = []
    for name, folder, shipped in folders:
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        config: dict[str, Any] = {}
        damaged = None
        try:
            config = read_config(folder)
        except (ArtifactError, ReadingError) as error:
            damaged = str(error)
        version = str(config.get("version", "")) if shipped else folder.name
        listed.append(Listed(name, version, folder, shipped, size, config, damaged))
    return listed
