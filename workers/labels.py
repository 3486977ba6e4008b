"""Which answers each head of a kind or of a trained model can give, read without loading either."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nlp import kinds
from routing.rules_file import PRIORITIES

SHIPPED = Path(__file__).resolve().parent.parent / "weights"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def labels_of(name: str, models_dir: Path | None) -> dict[str, tuple[str, ...]]:
    """Return every head's labels; empty for a name that is neither a kind nor a trained model."""
    if name in kinds.names():
        kind = kinds.get(name)
        written = _heads(SHIPPED / kind.weights / "config.json")
        heads = {head: written.get(head) or labels for head, labels in kind.heads.items()}
        return heads | ({"priority": PRIORITIES} if name == "email" else {})
    folder = models_dir / name if models_dir and _NAME.fullmatch(name) else None
    if folder is None or not folder.is_dir():
        return {}
    versions = sorted((one.name for one in folder.iterdir() if one.name.isdigit()), key=int)
    return _heads(folder / versions[-1] / "config.json") if versions else {}


def _heads(config: Path) -> dict[str, tuple[str, ...]]:
    try:
        heads = json.loads(config.read_text(encoding="utf-8")).get("heads") or {}
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(head): tuple(map(str, labels)) for head, labels in heads.items()}
