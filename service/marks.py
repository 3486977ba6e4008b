"""Stretches of a text marked for a page: evidence shaded by its weight, entities labelled.

Everything counts Unicode code points, as Python does and as outcomes do. A long text is cut to
a window first, so that a page costs the same for a note and for five million characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WINDOW = 20_000  # characters shown at once
SHADES = 5
HUES = 8  # colours told apart; labels beyond share them, and every mark names its label


@dataclass(frozen=True)
class Span:
    """A stretch to mark, inside the text's bounds."""

    start: int
    end: int
    weight: float = 1.0
    label: str = ""
    confidence: float | None = None
    value: str = ""


@dataclass(frozen=True)
class Piece:
    """A run of the text under the same marks."""

    text: str
    shade: int = 0  # 1 faint to 5 strong; 0: not evidence
    against: bool = False  # the evidence spoke against the label
    label: str = ""
    hue: int = 0  # 1 to 8, by label
    opens: bool = False  # the mark begins here: a link can point at it
    closes: bool = False  # the mark ends here: its label is written
    start: int = 0


@dataclass(frozen=True)
class Window:
    """The part of a text that is on the page."""

    start: int
    end: int
    of: int

    @property
    def before(self) -> int | None:
        """Where the part before begins, or None at the beginning."""
        return max(0, self.start - WINDOW) if self.start else None

    @property
    def after(self) -> int | None:
        """Where the part after begins, or None at the end."""
        return self.end if self.end < self.of else None


def window_of(length: int, at: int) -> Window:
    """Return the window that holds a place in a text of that length."""
    place = min(max(at, 0), max(length - 1, 0))
    start = place // WINDOW * WINDOW
    return Window(start, min(start + WINDOW, length), length)


def spans_of(found: Iterable[Mapping[str, Any]], length: int) -> list[Span]:
    """Return what an outcome lists as spans in order, without those outside the text."""
    spans = []
    for item in found:
        start, end = item.get("start"), item.get("end")
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length):
            continue
        spans.append(
            Span(
                start,
                end,
                weight=float(item.get("weight") or 0.0),
                label=str(item.get("label") or ""),
                confidence=item.get("confidence"),
                value=str(item.get("value") or ""),
            )
        )
    return sorted(spans, key=lambda span: (span.start, -span.end))


def hues_of(labels: Iterable[str]) -> dict[str, int]:
    """Return a colour number for each label, in alphabetical order, so that it stays the same."""
    return {label: 1 + i % HUES for i, label in enumerate(sorted(set(labels)))}


def mark_evidence(text: str, spans: Sequence[Span], window: Window) -> list[Piece]:
    """Return the window's pieces, each as dark as the heaviest evidence on it."""
    heaviest = max((abs(span.weight) for span in spans), default=0.0)

    def piece(start: int, end: int, on: list[Span]) -> Piece:
        if not on or not heaviest:
            return Piece(text[start:end], start=start)
        span = max(on, key=lambda span: abs(span.weight))
        shade = max(1, round(SHADES * abs(span.weight) / heaviest))
        opens = any(other.start == start for other in on)
        return Piece(
            text[start:end], shade=shade, against=span.weight < 0, opens=opens, start=start
        )

    return [piece(*run) for run in runs(spans, window)]


def mark_entities(
    text: str, spans: Sequence[Span], window: Window, hues: Mapping[str, int]
) -> list[Piece]:
    """Return the window's pieces, each under the innermost entity that covers it."""

    def piece(start: int, end: int, on: list[Span]) -> Piece:
        if not on:
            return Piece(text[start:end], start=start)
        span = min(on, key=lambda span: (span.end - span.start, -span.start))
        return Piece(
            text[start:end],
            label=span.label,
            hue=hues.get(span.label, 1),
            opens=span.start == start,
            closes=span.end == end,
            start=start,
        )

    return [piece(*run) for run in runs(spans, window)]


def runs(spans: Sequence[Span], window: Window) -> Iterable[tuple[int, int, list[Span]]]:
    """Yield the window cut at every border of a span, with the spans that cover each run."""
    inside = [span for span in spans if span.end > window.start and span.start < window.end]
    borders = {window.start, window.end}
    for span in inside:
        borders.add(max(span.start, window.start))
        borders.add(min(span.end, window.end))
    places = sorted(borders)
    opening = 0
    on: list[Span] = []
    for start, end in pairwise(places):
        while opening < len(inside) and inside[opening].start <= start:
            on.append(inside[opening])
            opening += 1
        on = [span for span in on if span.end > start]
        yield start, end, list(on)


def snippet(text: str, span: Span, characters: int = 60) -> str:
    """Return what a span names, on one line and not too long."""
    words = " ".join(text[span.start : span.start + characters + 1].split())
    if span.end - span.start <= characters:
        return " ".join(text[span.start : span.end].split())
    return f"{words[:characters]}…"
