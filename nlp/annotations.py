"""Files of texts with marked stretches: JSON lines with `text` and `spans` (start, end, label)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.clauses import Marked
from nlp.errors import BadFile, NotEnoughData
from nlp.tables import read_columns

FEWEST_TEXTS = 10
FEWEST_MARKS = 50


@dataclass(frozen=True)
class Annotated:
    """A text and the stretches that people marked in it."""

    text: str
    marks: tuple[Marked, ...]


def read_annotations(path: Path, *, text: str = "text", spans: str = "spans") -> list[Annotated]:
    """Return the file's texts with their marks, offsets checked against the text.

    Raises BadFile, with the row, when a mark does not lie in its text.
    """
    columns = read_columns(path, [text, spans])
    rows = zip(columns[text], columns[spans], strict=True)
    return [
        Annotated(body, tuple(_mark(value, body, path, number) for value in marks or []))
        for number, (body, marks) in enumerate(rows, start=1)
        if isinstance(body, str) and body.strip()
    ]


def labels_of(rows: Sequence[Annotated]) -> tuple[str, ...]:
    """Return the labels that the marks have, in alphabetical order.

    Raises NotEnoughData when there are too few texts or marks to learn from.
    """
    counts = Counter(mark.label for row in rows for mark in row.marks)
    if len(rows) < FEWEST_TEXTS or counts.total() < FEWEST_MARKS:
        raise NotEnoughData(
            f"{len(rows)} texts with {counts.total()} marked stretches; at least {FEWEST_TEXTS} "
            f"texts and {FEWEST_MARKS} stretches are needed"
        )
    return tuple(sorted(counts))


def _mark(value: Any, text: str, path: Path, row: int) -> Marked:
    match value:
        case {"start": int(start), "end": int(end), "label": str(label)}:
            if 0 <= start < end <= len(text):
                return Marked(start, end, label)
    raise BadFile(f"{path.name}, row {row}: {value!r} is no stretch of its text")
