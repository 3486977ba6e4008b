"""The page about a training: learning curve, calibration, confusions, worst mistakes.

One HTML file that loads nothing. It quotes texts of the training file, so it stays in the data
folder with the model.

Shapes: N rows of dev, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from nlp import measures
from nlp.charts import Axis, Line, chart
from nlp.classifier import Probabilities

WORST = 20  # mistakes and confusions that are shown
QUOTED = 300  # characters of a text
NUMBERED, DRAWN = 12, 40  # labels up to which a matrix has numbers, and is drawn at all
POINTS = 80  # of the line of what is handled
Ints = NDArray[np.int64]


def render(
    config: Mapping[str, Any],
    head: str,
    answer: Probabilities,
    truth: Ints,
    texts: Sequence[str],
    epochs: Sequence[Mapping[str, float]],
) -> str:
    """Return the page, complete; `truth` is a label's number, below 0 for one it never met."""
    predicted = answer.values.argmax(1).astype(np.int64)
    known = truth >= 0
    cells = measures.confusion(predicted[known], truth[known], len(answer.names))
    page = _pages().get_template("report.html")
    return page.render(
        title=f"{config['name']}, version {config['version']}",
        data=config["data"],
        taught=config["taught"],
        figures=config["scores"][head],
        percent=_percent,
        curve=_curve(epochs),
        curve_says=_curve_says(config["history"]),
        calibration=_calibration(answer, truth),
        coverage=_coverage(answer, truth),
        matrix=_matrix(cells, answer.names),
        confusions=_confusions(cells, answer.names),
        labels=_labels(predicted, truth, answer.names),
        mistakes=_mistakes(answer, truth, texts),
    )


def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # labels and texts are whatever the file holds
        undefined=StrictUndefined,
        trim_blocks=True,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _curve(epochs: Sequence[Mapping[str, float]]) -> list[tuple[str, Markup]]:
    """Return a caption and a chart for each thing that was followed over the epochs."""
    followed = (
        ("loss", "Loss while learning", Axis(name="loss", low=0)),
        ("dev_loss", "Loss on dev", Axis(name="loss")),
        ("dev_accuracy", "Share of dev that is right", Axis(name="right", percent=True)),
    )
    drawn = []
    for name, caption, axis in followed:
        points = [(entry["epoch"], entry[name]) for entry in epochs if name in entry]
        if points:
            line = Line(points=points)
            drawn.append((caption, _drawn([line], Axis(name="epoch", whole=True), axis)))
    return drawn


def _curve_says(history: Mapping[str, Any]) -> str:
    done, best = len(history["epochs"]), history["best_epoch"]
    ended = (
        "ended early, for dev no longer got better"
        if history["stopped_early"]
        else "went its whole length"
    )
    return f"Epoch {best} of {done} was the best on dev and is what was kept; the training {ended}."


def _drawn(lines: Sequence[Line], x: Axis, y: Axis) -> Markup:
    return Markup(chart(lines, x, y))  # noqa: S704 - a chart escapes its names


def _calibration(answer: Probabilities, truth: Ints) -> Markup:
    confidence, right = answer.values.max(1), answer.values.argmax(1) == truth
    bins = [one for one in measures.calibration_bins(confidence, right) if one[0]]
    found = Line(
        points=[(mean, hit) for _, mean, hit in bins],
        weights=[float(count) for count, _, _ in bins],
    )
    perfect = Line(points=[(0.0, 0.0), (1.0, 1.0)], dashed=True)
    x = Axis(name="confidence", low=0, high=1, percent=True)
    y = Axis(name="share right", low=0, high=1, percent=True)
    return _drawn([found, perfect], x, y)


def _coverage(answer: Probabilities, truth: Ints) -> Markup:
    right = answer.values.argmax(1) == truth
    order = np.argsort(-answer.values.max(1), kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # the first few rows are all right or one of them is not: no line to be read from
    first = min(len(order), max(10, len(order) // 50)) - 1
    at = np.unique(np.linspace(max(0, first), max(0, len(order) - 1), POINTS).astype(int))
    points = [((i + 1) / len(order), float(precision[i])) for i in at[: len(order)].tolist()]
    x = Axis(name="share of rows, surest first", low=0, high=1, percent=True)
    y = Axis(name="share right", high=1, percent=True)
    return _drawn([Line(points=points)], x, y)


def _matrix(cells: Ints, names: Sequence[str]) -> dict[str, Any] | None:
    """Return how often each label was called which; None where they are too many to be read."""
    if len(names) > DRAWN:
        return None
    shares = cells / np.maximum(1, cells.sum(1, keepdims=True))
    lines = [
        {
            "name": name,
            "cells": [
                # a single mistake among many rows should be seen, too
                {"rows": rows, "share": max(0.12, 0.8 * share), "diagonal": i == j}
                for j, (rows, share) in enumerate(zip(counted, shared, strict=True))
            ],
        }
        for i, (name, counted, shared) in enumerate(
            zip(names, cells.tolist(), shares.tolist(), strict=True)
        )
    ]
    return {"names": list(names), "lines": lines, "numbers": len(names) <= NUMBERED}


def _confusions(cells: Ints, names: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return what is called what, and how often, the most frequent first."""
    wrong = cells - np.diag(np.diag(cells))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    places = zip(*np.unravel_index(worst, wrong.shape), strict=True)
    return [(names[i], names[j], int(wrong[i, j])) for i, j in places if wrong[i, j]]


def _labels(predicted: Ints, truth: Ints, names: Sequence[str]) -> list[dict[str, Any]]:
    scores = measures.f1_scores(predicted, truth)
    found = []
    for i, f1 in sorted(scores.items(), key=lambda pair: pair[1]):
        if i < 0:
            continue
        hits = int(((predicted == i) & (truth == i)).sum())
        called, rows = int((predicted == i).sum()), int((truth == i).sum())
        found.append(
            {
                "name": names[i],
                "rows": rows,
                "precision": hits / max(1, called),
                "recall": hits / max(1, rows),
                "f1": f1,
            }
        )
    return found


def _mistakes(answer: Probabilities, truth: Ints, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the wrong answers that the model was surest of."""
    predicted, confidence = answer.values.argmax(1), answer.values.max(1)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    return [
        {
            "truth": answer.names[truth[i]] if truth[i] >= 0 else None,
            "called": answer.names[predicted[i]],
            "confidence": float(confidence[i]),
            "text": texts[i][:QUOTED],
        }
        for i in worst.tolist()
    ]
