"""Trained models between this machine's folder, the ledger and the file store.

The ledger knows every version and its file, so a worker on another machine, or after a restore,
fetches what it lacks; what is in the folder already is never fetched again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import structlog

from ledger import Ledger, Model, Viewer
from ledger.errors import LedgerError
from settings import Settings
from workers.addresses import models_folder, open_ledger

log = structlog.get_logger(__name__)

# What comes with the product; the file is read, no model is loaded
_SHIPPED = Path(__file__).resolve().parent.parent / "weights"


def shipped() -> list[dict[str, Any]]:
    """Return name, version, size and facts of each shipped model, as their configs say."""
    found = []
    for path in sorted(_SHIPPED.glob("*/config.json")):
        try:
            config = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # damaged: the doctor says so
        heads = {head: len(labels) for head, labels in (config.get("heads") or {}).items()}
        size = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
        facts = {name: config.get(name) for name in ("kind", "languages", "scores", "licence")}
        known = {"name": path.parent.name, "version": str(config.get("version", ""))}
        found.append(known | {"size": size, "facts": facts | {"labels": heads}})
    return found


def keep(ledger: Ledger, name: str, folder: Path, viewer: Viewer) -> Model:
    """Put a weights folder into the file store and remember it; raises LedgerError."""
    from nlp.parcel import pack
    from workers.jobs.train import facts_of

    facts = facts_of(folder)
    facts.pop("curve")
    with tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
        parcel = Path(scratch) / "model.tar"
        pack(folder, parcel)
        kept = ledger.files.put_file(parcel)
    return ledger.models.keep(
        viewer,
        name=name,
        version=folder.name,
        sha256=kept.sha256,
        size=kept.size,
        facts=facts,
    )


def fetch(ledger: Ledger, name: str, version: str, models_dir: Path) -> None:
    """Bring a version into this machine's folder, if it is not there and the ledger has it.

    Raises LedgerError, `nlp.errors.BadParcel` for a damaged file, and BadName for a name that
    would lead out of the folder.
    """
    from nlp.weights import check_spelling

    if not version.isdigit():
        return
    check_spelling(name)
    folder = models_dir / name / version
    if folder.exists():
        return
    sha256 = ledger.models.file_of(name, version)
    if sha256 is None:
        return
    from nlp.parcel import unpack

    with ledger.files.local(sha256) as parcel:
        unpack(parcel, folder)
    log.info("model_fetched", model=name, version=version)


def erase(ledger: Ledger, name: str, version: str, viewer: Viewer, models_dir: Path) -> None:
    """Erase a version with the examples it carries: in the ledger, its store, and here.

    Other machines erase theirs when their workers start (`sweep`). Raises NotFound and
    ModelAtWork.
    """
    ledger.models.delete(name, version, viewer)
    _erase_folder(name, version, models_dir)


def sweep(ledger: Ledger, models_dir: Path) -> None:
    """Erase what this machine still has of versions that were deleted; raises LedgerError."""
    if models_dir.is_dir():
        for name, version in ledger.models.deleted():
            _erase_folder(name, version, models_dir)


def _erase_folder(name: str, version: str, models_dir: Path) -> None:
    folder = models_dir / name / version
    plain = Path(name).name == name and version.isascii() and version.isdigit()
    if not plain or not folder.is_dir():
        return
    shutil.rmtree(folder, ignore_errors=True)
    log.info("model_erased", model=name, version=version)


def at_work(settings: Settings, model: str) -> str:
    """Return NAME@VERSION where a version of the trained model NAME is promoted, else `model`.

    What is shipped, a folder, or names its version already is left as it is; so is everything
    where there is no ledger yet. A promoted version that this machine lacks is fetched. Raises
    LedgerError, and `nlp.errors.BadParcel` for a damaged file.
    """
    from nlp import kinds, weights

    known = {*weights.shipped_names(), *kinds.names()}
    if "@" in model or model in known or Path(model).is_dir():
        return model
    ledger = open_ledger(settings)
    try:
        if not ledger.is_current():
            return model
        version = ledger.models.active(model)
        if version is None:
            return model
        fetch(ledger, model, version, models_folder(settings))
        return f"{model}@{version}"
    finally:
        ledger.close()


def keep_if_set_up(settings: Settings, name: str, folder: Path) -> None:
    """Remember a version that was trained on the command line, where there is a ledger."""
    ledger = open_ledger(settings)
    try:
        if ledger.is_current():
            keep(ledger, name, folder, Viewer())
    except LedgerError as error:  # the model is there all the same, on this machine
        log.warning("model_not_kept", model=name, reason=error.code)
    finally:
        ledger.close()


def least_version(settings: Settings, name: str) -> int:
    """Return the first version that no machine has given to a model of this name."""
    ledger = open_ledger(settings)
    try:
        return int(ledger.models.next_version(name)) if ledger.is_current() else 1
    except LedgerError:
        return 1
    finally:
        ledger.close()
