"""The shadow report's three plots: for a page as Vega-Lite, for a file as SVG."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from routing.agreement import LEAST_TAKEN, PRECISIONS, Agreement
from service import drawing, plots

SERIES = 5  # queues that have a line of their own over time
MOST_QUEUES = 30

CURVE = "How much of the mail could be taken (to the right), and how much of that would be right"
TIME = "How often people agree, over time"
QUEUES = "How often people agree, by queue"


def curve_rows(agreement: Agreement) -> list[dict[str, Any]]:
    """Return the table behind the curve."""
    return [
        {
            "share taken": round(point.coverage, 4),
            "share right": round(point.precision, 4),
            "at least": round(point.precision_low, 4),
            "confidence": round(point.confidence, 4),
            "mails": point.mails,
        }
        for point in agreement.curve
    ]


def time_rows(agreement: Agreement) -> list[dict[str, Any]]:
    """Return the table behind the lines over time: everything, and the fullest queues."""
    shown = {None, *(queue.queue for queue in agreement.queues[:SERIES])}
    return [
        {
            agreement.period: period.start,
            "queue": period.queue or "all",
            "share right": round(period.share, 4),
            "mails": period.judged,
        }
        for period in agreement.periods
        if period.queue in shown
    ][-plots.MOST_ROWS :]


def queue_rows(agreement: Agreement) -> list[dict[str, Any]]:
    """Return the table behind the bars."""
    return [
        {
            "queue": queue.queue,
            "we put there": queue.ours,
            "people put there": queue.theirs,
            "both": queue.both,
            "right of ours": None if queue.precision is None else round(queue.precision, 4),
            "found of theirs": None if queue.recall is None else round(queue.recall, 4),
        }
        for queue in agreement.queues[:MOST_QUEUES]
    ]


def on_page(agreement: Agreement) -> dict[str, Markup]:
    """Return the plots for a page."""
    if not agreement.judged:
        return {}
    return {
        "curve": plots.figure(_curve_spec(agreement), curve_rows(agreement), CURVE),
        "time": plots.figure(_time_spec(agreement), time_rows(agreement), TIME),
        "queues": plots.figure(_queue_spec(), queue_rows(agreement), QUEUES),
    }


def _lowest(agreement: Agreement) -> float:
    """Return where the curve's axis begins: low enough to show it, and not lower."""
    points = [point for point in agreement.curve if point.mails >= LEAST_TAKEN]
    least = min((point.precision_low for point in points or agreement.curve), default=0.0)
    return max(0.0, int(least * 10) / 10)


def _curve_spec(agreement: Agreement) -> dict[str, Any]:
    x = {"field": "share taken", "type": "quantitative", "scale": {"domain": [0, 1]}}
    y = {"type": "quantitative", "scale": {"domain": [_lowest(agreement), 1]}}
    share = {"axis": {"format": ".0%"}}
    levels = [
        {
            "mark": {"type": "rule", "strokeDash": [4, 4]},
            "encoding": {"y": {"datum": precision, **y}},
        }
        for precision in PRECISIONS
    ]
    tooltip = [
        {"field": name, "type": "quantitative"}
        for name in ("share taken", "share right", "at least", "confidence", "mails")
    ]
    return {
        "height": 260,
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.18, "clip": True},
                "encoding": {
                    "x": {**x, **share, "title": "share taken, surest first"},
                    "y": {"field": "at least", **y, **share, "title": "share right"},
                    "y2": {"field": "share right"},
                },
            },
            {
                "mark": {"type": "line", "clip": True},
                "encoding": {"x": x, "y": {"field": "share right", **y}},
            },
            {
                "mark": {"type": "point", "opacity": 0, "size": 120, "clip": True},
                "encoding": {"x": x, "y": {"field": "share right", **y}, "tooltip": tooltip},
            },
            *levels,
        ],
    }


def _time_spec(agreement: Agreement) -> dict[str, Any]:
    return {
        "height": 220,
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": {"field": agreement.period, "type": "temporal", "title": None},
            "y": {
                "field": "share right",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%"},
            },
            "color": {
                "field": "queue",
                "type": "nominal",
                "title": None,
                "sort": None,
                "legend": {"columns": 3},
            },
        },
    }


def _queue_spec() -> dict[str, Any]:
    return {
        "transform": [{"fold": ["right of ours", "found of theirs"], "as": ["what", "share"]}],
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "queue", "type": "nominal", "sort": None, "title": None},
            "yOffset": {"field": "what"},
            "x": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%"},
                "title": None,
            },
            "color": {"field": "what", "type": "nominal", "title": None},
        },
    }


def in_file(agreement: Agreement) -> dict[str, tuple[Markup, str, list[dict[str, Any]]]]:
    """Return the plots as SVG, each with its caption and the table behind it."""
    if not agreement.judged:
        return {}
    return {
        "curve": (_curve_drawn(agreement), CURVE, curve_rows(agreement)),
        "time": (_time_drawn(agreement), TIME, time_rows(agreement)),
        "queues": (_queues_drawn(agreement), QUEUES, queue_rows(agreement)),
    }


def _curve_drawn(agreement: Agreement) -> Markup:
    curve = agreement.curve
    return drawing.lines(
        {
            "share right": [(point.coverage, point.precision) for point in curve],
            "at least": [(point.coverage, point.precision_low) for point in curve],
        },
        names=("share taken, surest first", "share right"),
        ticks=[(tenth / 10, f"{10 * tenth} %") for tenth in range(0, 11, 2)],
        lowest=_lowest(agreement),
        levels=PRECISIONS,
    )


def _time_drawn(agreement: Agreement) -> Markup:
    starts = sorted({period.start for period in agreement.periods})
    series: dict[str, list[tuple[float, float]]] = {"all": []}
    shown = [queue.queue for queue in agreement.queues[:SERIES]]
    for period in agreement.periods:
        if period.queue is None or period.queue in shown:
            name = period.queue or "all"
            series.setdefault(name, []).append((period.start.toordinal(), period.share))
    step = max(1, len(starts) // 6)
    return drawing.lines(
        series,
        names=(agreement.period, "share right"),
        ticks=[(start.toordinal(), f"{start:%d %b}") for start in starts[::step]],
    )


def _queues_drawn(agreement: Agreement) -> Markup:
    shown = agreement.queues[:MOST_QUEUES]
    rows = [(queue.queue, (queue.precision, queue.recall)) for queue in shown]
    return drawing.bars(rows, ("right of ours", "found of theirs"))
