"""Which answers each head of a kind or of a trained model can give, read without loading either."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import TypeGuard

from nlp import kinds
from routing.rules import LABEL_IN_QUEUE, Rule, Rules
from routing.rules_file import PRIORITIES

SHIPPED = Path(__file__).resolve().parent.parent / "weights"
MOST_QUEUES = 100  # of one rule; a head with more labels is no list to choose from
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


def queues_of(rules: Rules, models_dir: Path | None) -> tuple[str, ...]:
    """Return every queue that rules can choose, triage last.

    Those a rule names by a label are those of the kinds and trained models that have it.
    """
    heads = {head for rule in rules.rules for head in LABEL_IN_QUEUE.findall(rule.then.queue or "")}
    said = list(rules.queues()[:-1])
    if heads:
        trained = [one.name for one in models_dir.iterdir()] if _is_folder(models_dir) else []
        known = [labels_of(name, models_dir) for name in (*kinds.names(), *sorted(trained))]
        for rule in rules.rules:
            said += _filled(rule, heads, known)
    return (*dict.fromkeys(said), rules.triage)


def _filled(rule: Rule, heads: set[str], known: list[dict[str, tuple[str, ...]]]) -> list[str]:
    """Return a rule's queue with each label that it can hold, where it names just one head."""
    named = set(LABEL_IN_QUEUE.findall(rule.then.queue or "")) & heads
    if len(named) != 1:
        return []
    (head,) = named
    wanted = [c.wanted for c in rule.when if c.subject == f"label.{head}"]
    labels = [label for one in known for label in one.get(head, ())]
    fit = [label for label in labels if all(_fits(label, patterns) for patterns in wanted)]
    if len(fit) > MOST_QUEUES:
        return []
    written = rule.then.queue or ""
    return [written.replace(f"{{{head}}}", label) for label in fit]


def _fits(label: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(label.casefold(), one.casefold()) for one in patterns)


def _is_folder(path: Path | None) -> TypeGuard[Path]:
    return path is not None and path.is_dir()


def _heads(config: Path) -> dict[str, tuple[str, ...]]:
    try:
        heads = json.loads(config.read_text(encoding="utf-8")).get("heads") or {}
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(head): tuple(map(str, labels)) for head, labels in heads.items()}
