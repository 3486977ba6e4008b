"""Our columns beside the user's: what they are called and what a reading puts into them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ledger.results import needs_review
from nlp import kinds

PREFIX = "mailroom_"
_ENCODER = json.JSONEncoder(separators=(",", ":"))  # json.dumps would make one for every cell
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def ours(kind: str, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return our columns by what they mean: `sentiment`, `sentiment_confidence`, and so on.

    One whose name the user's table has already gets a prefix.
    """
    found = kinds.get(kind)
    heads = [*found.heads, *(["priority"] if kind == "email" else [])]
    names = [name for head in heads for name in (head, f"{head}_confidence")]
    names += ["needs_review", "entities" if found.entities else "evidence", "error"]
    theirs = set(taken)
    columns = {}
    for name in names:
        column = name
        while column in theirs:
            column = PREFIX + column
        columns[name] = column
    return columns


def answer(
    columns: dict[str, str], outcome: dict[str, Any] | None, error: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the values of our columns for a row, by what they mean; None where not known."""
    if outcome is None:
        return dict.fromkeys(columns) | {"error": error}
    labels = outcome.get("labels") or {}
    values: dict[str, Any] = {}
    for name in columns:
        if name in labels:
            values[name] = labels[name]["value"]
            values[f"{name}_confidence"] = labels[name]["confidence"]
        elif name not in values:
            values[name] = None
    values["needs_review"] = needs_review(outcome)
    if "entities" in columns:
        values["entities"] = outcome.get("entities") or []
    else:
        found = {head: label.get("evidence") or [] for head, label in labels.items()}
        values["evidence"] = {head: spans for head, spans in found.items() if spans}
    return values | {"error": None}


def cell(value: Any) -> str:
    """Return a value of ours as a cell of text, which never begins as a formula does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return str(value)
    text = value if isinstance(value, str) else compact(value)
    return "'" + text if text.startswith(FORMULA) else text


def compact(value: Any) -> str:
    """Return JSON in plain ASCII without blanks."""
    return _ENCODER.encode(value)
