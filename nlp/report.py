"""The page about a training: learning curve, confusions, calibration, worst mistakes.

One HTML file that loads nothing: drawings are SVG written here. It quotes texts of the training
file, so it stays in the data folder with the model.

Shapes: N rows of dev, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp import measures
from nlp.classifier import Probabilities

WIDTH, HEIGHT, EDGE = 420, 240, 36
WORST = 20
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--a:#2563eb;--b:#d97706}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:currentColor}
table{border-collapse:collapse;width:100%;margin:1rem 0}
td,th{border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
figure{display:inline-block;margin:0 1rem 0 0}
"""


def render(
    config: Mapping[str, Any],
    head: str,
    answer: Probabilities,
    truth: NDArray[np.int64],
    texts: Sequence[str],
    epochs: Sequence[Mapping[str, float]],
) -> str:
    """Return the page, complete."""
    title = f"{config['name']}, version {config['version']}"
    figures = config["scores"][head]
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(_story(config))}</p>",
        _figures(figures),
        f"<h2>Learning curve</h2>{_curve(epochs)}",
        f"<h2>Calibration</h2>{_calibration(answer, truth)}",
        f"<h2>Share handled without a person</h2>{_coverage(answer, truth)}",
        f"<h2>Most frequent confusions</h2>{_confusions(answer, truth)}",
        f"<h2>Labels</h2>{_labels(answer, truth)}",
        f"<h2>Worst mistakes</h2>{_mistakes(answer, truth, texts)}",
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def _story(config: Mapping[str, Any]) -> str:
    data = config["data"]
    return (
        f"{data['rows']:,} rows of {data['file']}, {data['dev_rows']:,} for dev. Taught: "
        f"{config['taught']}. All figures below are of dev."
    )


def _figures(figures: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}<td class=n>{value:.4f}"
        for name, value in figures.items()
    )
    return f"<table>{rows}</table>"


def _plot(lines: Mapping[str, list[tuple[float, float]]], x_name: str, y_name: str) -> str:
    """Return line charts with axes from 0 to the largest value, as SVG."""
    points = [point for line in lines.values() for point in line] or [(0.0, 0.0)]
    most_x = max(x for x, _ in points) or 1.0
    most_y = max(y for _, y in points) or 1.0

    def place(x: float, y: float) -> str:
        across = EDGE + x / most_x * (WIDTH - 2 * EDGE)
        return f"{across:.1f},{HEIGHT - EDGE - y / most_y * (HEIGHT - 2 * EDGE):.1f}"

    colours = ("var(--a)", "var(--b)", "#64748b")
    drawn = []
    for i, (name, line) in enumerate(lines.items()):
        colour = colours[i % len(colours)]
        path = " ".join(place(x, y) for x, y in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{EDGE + 8 + 110 * i}" y="14" fill="{colour}">{escape(name)}</text>')
    base, right = HEIGHT - EDGE, WIDTH - EDGE
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">'
        f'<path d="M{EDGE} {EDGE}V{base}H{right}" fill="none" stroke="currentColor"/>'
        f"{''.join(drawn)}"
        f'<text x="{right}" y="{base + 26}" text-anchor="end">{escape(x_name)} (to {most_x:.3g})'
        f'</text><text x="{EDGE}" y="{EDGE - 8}">{escape(y_name)} (to {most_y:.3g})</text>'
        "</svg></figure>"
    )


def _curve(epochs: Sequence[Mapping[str, float]]) -> str:
    def line(name: str) -> list[tuple[float, float]]:
        return [(entry["epoch"], entry[name]) for entry in epochs if name in entry]

    losses = _plot({"training loss": line("loss")}, "epoch", "loss")
    return losses + _plot({"dev accuracy": line("dev_accuracy")}, "epoch", "accuracy")


def _calibration(answer: Probabilities, truth: NDArray[np.int64]) -> str:
    confidence, right = answer.values.max(1), answer.values.argmax(1) == truth
    bins = measures.calibration_bins(confidence, right)
    found = [(mean, hit) for count, mean, hit in bins if count]
    return _plot({"found": found, "perfect": [(0.0, 0.0), (1.0, 1.0)]}, "confidence", "share right")


def _coverage(answer: Probabilities, truth: NDArray[np.int64]) -> str:
    right = answer.values.argmax(1) == truth
    order = np.argsort(-answer.values.max(1), kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    at = np.unique(np.linspace(0, max(0, len(order) - 1), 60).astype(int))
    line = [((i + 1) / len(order), float(precision[i])) for i in at[: len(order)].tolist()]
    return _plot({"precision": line}, "share of rows, surest first", "share right")


def _confusions(answer: Probabilities, truth: NDArray[np.int64]) -> str:
    known = truth >= 0
    cells = measures.confusion(answer.values[known].argmax(1), truth[known], len(answer.names))
    if len(answer.names) <= 12:
        return _matrix(cells, answer.names)
    np.fill_diagonal(cells, 0)
    worst = np.argsort(-cells, axis=None, kind="stable")[:WORST]
    rows = [
        f"<tr><td>{escape(answer.names[i])}<td>{escape(answer.names[j])}<td class=n>{cells[i, j]}"
        for i, j in zip(*np.unravel_index(worst, cells.shape), strict=True)
        if cells[i, j]
    ]
    return f"<table><tr><th>is<th>was called<th>times{''.join(rows)}</table>"


def _matrix(cells: NDArray[np.int64], names: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in names)
    rows = "".join(
        f"<tr><th>{escape(name)}" + "".join(f"<td class=n>{n or ''}" for n in row)
        for name, row in zip(names, cells.tolist(), strict=True)
    )
    return f"<table><tr><th>is / was called{head}{rows}</table>"


def _labels(answer: Probabilities, truth: NDArray[np.int64]) -> str:
    predicted = answer.values.argmax(1)
    scores = measures.f1_scores(predicted, truth)
    rows = "".join(
        f"<tr><td>{escape(answer.names[i])}<td class=n>{int((truth == i).sum())}"
        f"<td class=n>{score:.3f}"
        for i, score in sorted(scores.items(), key=lambda pair: pair[1])
        if i >= 0
    )
    return f"<table><tr><th>label<th>rows<th>F1{rows}</table>"


def _mistakes(answer: Probabilities, truth: NDArray[np.int64], texts: Sequence[str]) -> str:
    predicted, confidence = answer.values.argmax(1), answer.values.max(1)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    rows = "".join(
        f"<tr><td>{escape(answer.names[truth[i]] if truth[i] >= 0 else '(unknown label)')}"
        f"<td>{escape(answer.names[predicted[i]])}<td class=n>{confidence[i]:.3f}"
        f"<td>{escape(texts[i][:300])}"
        for i in worst
    )
    return f"<table><tr><th>is<th>was called<th>confidence<th>text{rows}</table>"
