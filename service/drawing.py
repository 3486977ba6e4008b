"""Line and bar charts as SVG, for a report that is one file and runs no scripts.

Shares run from 0 to 1 and are written in percent. Colours are those of the file's own style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

WIDTH, HEIGHT, LEFT, FOOT, TOP, RIGHT = 640, 300, 52, 40, 26, 26
COLOURS = 6  # classes c1 to c6

Points = Sequence[tuple[float, float]]


def lines(
    series: Mapping[str, Points],
    *,
    names: tuple[str, str],
    ticks: Sequence[tuple[float, str]],
    lowest: float = 0.0,
    levels: Sequence[float] = (),
) -> Markup:
    """Return a chart of lines: `names` are the axes', `ticks` places on the x axis with words.

    The y axis shows shares from `lowest` to 1; at each of `levels` there is a dashed line.
    """
    places = [x for points in series.values() for x, _ in points]
    first, last = min(places, default=0.0), max(places, default=1.0)
    drawn = [_frame(names), *_heights(lowest)]
    drawn += [
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _across(x, first, last), HEIGHT - FOOT + 16, words
        )
        for x, words in ticks
        if first <= x <= last
    ]
    drawn += [
        Markup('<path class="level" d="M{} {:.1f}H{}"/>').format(
            LEFT, _down(level, lowest), WIDTH - RIGHT
        )
        for level in levels
        if level >= lowest
    ]
    for i, (name, points) in enumerate(series.items()):
        colour = f"c{i % COLOURS + 1}"
        path = " ".join(f"{_across(x, first, last):.1f},{_down(y, lowest):.1f}" for x, y in points)
        drawn.append(Markup('<polyline class="{}" points="{}"/>').format(colour, path))
        if len(points) <= 40:
            drawn += [
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
                    colour, _across(x, first, last), _down(y, lowest)
                )
                for x, y in points
            ]
        drawn.append(
            Markup('<text class="{} key" x="{}" y="14">{}</text>').format(
                colour, 104 + 88 * i, _short(name, 12)
            )
        )
    return _svg(drawn, HEIGHT)


def bars(rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str]) -> Markup:
    """Return groups of horizontal bars: each row's name, and its shares by `names`."""
    thick, gap = 11, 12
    group = thick * len(names) + gap
    height = TOP + group * len(rows) + 8
    left = 150
    drawn = [
        Markup('<text class="c{} key" x="{}" y="14">{}</text>').format(
            i % COLOURS + 1, left + 120 * i, name
        )
        for i, name in enumerate(names)
    ]
    for place, (name, shares) in enumerate(rows):
        top = TOP + place * group
        middle = top + thick * len(names) / 2 + 4
        drawn.append(
            Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                left - 8, middle, _short(name, 22)
            )
        )
        for i, share in enumerate(shares):
            long = (share or 0.0) * (WIDTH - left - 60)
            drawn.append(
                Markup('<rect class="c{}" x="{}" y="{}" width="{:.1f}" height="{}"/>').format(
                    i % COLOURS + 1, left, top + i * thick, long, thick - 2
                )
            )
            words = "–" if share is None else f"{share:.0%}"
            drawn.append(
                Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(
                    left + long + 5, top + i * thick + 9, words
                )
            )
    return _svg(drawn, height)


def _svg(drawn: Sequence[Markup], height: float) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {:.0f}" role="img">').format(WIDTH, height)
    return opening + Markup("").join(drawn) + Markup("</svg>")


def _frame(names: tuple[str, str]) -> Markup:
    base, right = HEIGHT - FOOT, WIDTH - RIGHT
    return Markup(
        '<path class="axis" d="M{} {}V{}H{}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
        '<text class="tick" x="4" y="14">{}</text>'
    ).format(LEFT, TOP, base, right, right, HEIGHT - 6, names[0], names[1])


def _heights(lowest: float) -> list[Markup]:
    steps = [lowest + (1 - lowest) * i / 4 for i in range(5)]
    return [
        Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{:.0%}</text>').format(
            LEFT - 6, _down(step, lowest) + 4, step
        )
        for step in steps
    ]


def _across(x: float, first: float, last: float) -> float:
    share = (x - first) / (last - first) if last > first else 0.5
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _down(y: float, lowest: float) -> float:
    share = (max(y, lowest) - lowest) / (1 - lowest) if lowest < 1 else 1.0
    return HEIGHT - FOOT - share * (HEIGHT - FOOT - TOP)


def _short(name: str, characters: int = 14) -> str:
    return name if len(name) <= characters else f"{name[: characters - 1]}…"
