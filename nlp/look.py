"""A look at a file of labelled texts before anything is trained on it: columns, labels, enough?

`python -m nlp.look` answers one such question (JSON on standard input and output) in a process
of its own, whose memory its parent may limit: the file is a stranger's. It loads no torch.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp import tables
from nlp.errors import NoSuchField, NotEnoughData, ReadingError
from nlp.examples import check_enough

TEXT_NAMES = ("text", "body", "message", "content", "review", "description", "question", "title")
LABEL_NAMES = ("label", "category", "queue", "intent", "class", "target", "topic", "sentiment")
SAMPLE_ROWS = 2_000
MOST_COLUMNS = 200
MOST_LABELS = 2_000
SHOWN_LABELS = 40
SHOWN_CHARACTERS = 160
LONG_LABEL = 80  # characters; what is longer is no label


def look(path: Path, text: str | None = None, label: str | None = None) -> dict[str, Any]:
    """Return what a training on a file would find, or the `problem` that stands in its way.

    Without `text` or `label` the likeliest column is taken. Raises TableError when the file
    cannot be read at all.
    """
    names = tables.column_names(path)[:MOST_COLUMNS]
    columns = _sampled(path, names)
    text = text or _likeliest(columns, _as_text)
    label = label or _likeliest({n: v for n, v in columns.items() if n != text}, _as_label)
    found: dict[str, Any] = {
        "columns": [{"name": name, "example": _example(columns[name])} for name in columns],
        "text": text,
        "label": label,
        "rows": 0,
        "warnings": [],
        "problem": None,
    }
    if text is None or label is None:
        found["problem"] = "Which column holds the text, and which the label?"
        return found
    if text == label:
        found["problem"] = "Text and label must be two columns."
        return found
    return found | _judge(path, text, label)


def _judge(path: Path, text: str, label: str) -> dict[str, Any]:
    """Return the rows, labels, warnings and what is not enough, by training's own rules."""
    try:
        table = tables.read_table(path, text=text, label=label)
    except NoSuchField as error:
        return {"problem": f"{error}."}
    counts = Counter(table.labels)
    found: dict[str, Any] = {
        "rows": len(table),
        "unlabelled": len(table.unlabelled),
        "left_out": table.left_out - len(table.unlabelled),
        "labels": len(counts),
        "counts": counts.most_common(SHOWN_LABELS),
        "characters": sum(map(len, table.texts)) // max(1, len(table)),
        "sample": [[t[:SHOWN_CHARACTERS], v] for t, v in _sample(table)],
    }
    if len(counts) > MOST_LABELS:
        found["problem"] = (
            f"{len(counts):,} different labels in {len(table):,} rows: is {label!r} the label?"
        )
        return found
    try:
        found["warnings"] = check_enough(table.labels)
    except NotEnoughData as error:
        words = str(error)
        found["problem"] = f"{words[:1].upper()}{words[1:]}."
    return found


def _sample(table: tables.Table) -> list[tuple[str, str]]:
    rows = range(0, len(table), max(1, len(table) // 5))
    return [(table.texts[i], table.labels[i]) for i in list(rows)[:5]]


def _sampled(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return some rows of every column that has any value."""
    columns: dict[str, list[Any]] = {}
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        for row in tables.first_rows(path, SAMPLE_ROWS):
            for name in names:
                columns.setdefault(name, []).append(row.get(name))
        return columns
    found = tables.read_columns(path, names)
    step = {name: max(1, len(values) // SAMPLE_ROWS) for name, values in found.items()}
    return {name: values[:: step[name]] for name, values in found.items()}


def _likeliest(columns: Mapping[str, Sequence[Any]], score: Any) -> str | None:
    scored = [(score(name, values), name) for name, values in columns.items()]
    best = max(scored, default=(0.0, None))
    return best[1] if best[0] > 0 else None


def _as_text(name: str, values: Sequence[Any]) -> float:
    """Return how much a column looks like texts: long, different, and called so."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(values) / 2 or not texts:
        return 0.0
    length = sum(map(len, texts)) / len(texts)
    words = sum(" " in value.strip() for value in texts) / len(texts)
    different = len(set(texts)) / len(texts)
    return min(length, 400) / 400 * different + words + _called(name, TEXT_NAMES)


def _as_label(name: str, values: Sequence[Any]) -> float:
    """Return how much a column looks like labels: few, short, often again, and called so."""
    labels = [str(value).strip() for value in values if value is not None]
    labels = [value for value in labels if value]
    different = len(set(labels))
    if different < 2 or max(map(len, labels)) > LONG_LABEL or different > MOST_LABELS:
        return 0.0
    again = 1 - different / len(labels)
    fractions = any(isinstance(value, float) and value != int(value) for value in values if value)
    return max(0.0, again - (0.5 if fractions else 0)) + _called(name, LABEL_NAMES) * (again > 0)


def _called(name: str, names: Sequence[str]) -> float:
    """Return up to 1 for a telling name, more for those that come first."""
    lowered = name.lower()
    for place, telling in enumerate(names):
        if lowered == telling:
            return 1.0 - 0.03 * place
    return 0.4 if any(telling in lowered for telling in names) else 0.0


def _example(values: Sequence[Any]) -> str:
    shown = next((str(value) for value in values if value not in (None, "")), "")
    return shown[:SHOWN_CHARACTERS]


def main() -> None:
    """Answer the question on standard input."""
    asked = json.load(sys.stdin)
    limit = int(asked["memory_bytes"])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    answer: dict[str, Any]
    try:
        answer = look(Path(asked["path"]), asked.get("text"), asked.get("label"))
    except ReadingError as error:
        answer = {"error": {"code": error.code, "message": str(error)}}
    except MemoryError:
        answer = {"error": {"code": "too_large", "message": "The file is too large to look at."}}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
