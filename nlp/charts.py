"""Charts of a report as SVG: lines and points over ticked axes; nothing is loaded, nothing runs.

Colours and fonts are the page's: its style sheet knows the classes `line0`, `line1`, `grid`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 14, 42
TICKS = 5  # at most so many steps of an axis, about
DOT, MOST_DOT = 2.5, 10.0  # radius of a point in pixels, and of the heaviest

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points joined in order; with `weights` dots instead, each as large as what it stands for."""

    points: Sequence[Point]
    weights: Sequence[float] = ()
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What an axis is called and where it begins and ends; None: where the points do."""

    name: str
    low: float | None = None
    high: float | None = None
    percent: bool = False
    whole: bool = False  # ticks at whole numbers only: epochs

    def spanned(self, values: Sequence[float]) -> tuple[float, float, list[float]]:
        """Return where the axis begins and ends, and its ticks."""
        low = min(values, default=0.0) if self.low is None else self.low
        high = max(values, default=1.0) if self.high is None else self.high
        step = _step((high - low) or abs(high) or 1.0)
        if self.whole:
            step = max(1.0, step)
        if self.low is None:
            low = math.floor(low / step + 1e-9) * step
        if self.high is None:
            high = math.ceil(high / step - 1e-9) * step
        if high <= low:
            high = low + step
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        return low, high, [number * step for number in range(first, last + 1)]

    def text(self, value: float) -> str:
        """Return a tick's label."""
        return f"{100 * value:.3g} %" if self.percent else f"{value:.3g}"


def _step(span: float) -> float:
    """Return the step among 1, 2 and 5 times a power of ten that makes some five of a span."""
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)


def chart(lines: Sequence[Line], x: Axis, y: Axis) -> str:
    """Return the lines over their axes as an SVG element; names are escaped."""
    points = [point for line in lines for point in line.points]
    x_low, x_high, x_ticks = x.spanned([point[0] for point in points])
    y_low, y_high, y_ticks = y.spanned([point[1] for point in points])
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (right - LEFT)

    def up(value: float) -> float:
        return base - (value - y_low) / (y_high - y_low) * (base - TOP)

    drawn = []
    for tick in y_ticks:
        drawn.append(f'<path class="grid" d="M{LEFT} {up(tick):.1f}H{right}"/>')
        drawn.append(_text(LEFT - 6, up(tick) + 4, y.text(tick), "end"))
    for tick in x_ticks:
        drawn.append(f'<path class="grid" d="M{across(tick):.1f} {base}v4"/>')
        drawn.append(_text(across(tick), base + 16, x.text(tick), "middle"))
    drawn.append(_text(right, HEIGHT - 6, x.name, "end"))
    for number, line in enumerate(lines):
        placed = [(across(a), up(b)) for a, b in line.points]
        if line.weights or len(placed) == 1:
            drawn += _dots(placed, line.weights or [0.0], number)
        else:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
            dashes = ' stroke-dasharray="4 4"' if line.dashed else ""
            drawn.append(f'<polyline class="line line{number}" points="{path}"{dashes}/>')
    label = f"{y.name} by {x.name}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
    )


def _dots(placed: Sequence[Point], weights: Sequence[float], number: int) -> list[str]:
    """Return a line's points, their areas as large as their weights."""
    most = max(weights) or 1.0
    return [
        f'<circle class="dot dot{number}" cx="{a:.1f}" cy="{b:.1f}"'
        f' r="{max(DOT, MOST_DOT * math.sqrt(weight / most)):.1f}"/>'
        for (a, b), weight in zip(placed, weights, strict=True)
    ]


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
