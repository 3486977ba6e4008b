"""Trained models between this machine's folder, the ledger and the file store.

The ledger knows every version and its file, so a worker on another machine, or after a restore,
fetches what it lacks; what is in the folder already is never fetched again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from ledger import Ledger, Model, Viewer

log = structlog.get_logger(__name__)

# What comes with the product; the file is read, no model is loaded
_SHIPPED = Path(__file__).resolve().parent.parent / "weights"
_PIECE = 1 << 20


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
        kept = ledger.files.put_pieces(_pieces(parcel))
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

    Raises LedgerError, and `nlp.errors.BadParcel` for a damaged file.
    """
    if not version.isdigit():
        return
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


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
