"""A model measured on a file of labelled texts: the figures of `mailroom evaluate`.

Shapes: N rows, L labels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp import measures, weights
from nlp.calibration import OUT_OF_SCOPE
from nlp.classifier import Classifier, Probabilities, load_classifier
from nlp.errors import BadFile, UnknownLabel, UnknownModel
from nlp.tables import Table, read_table
from sequence.artifact import load_artifact
from sequence.device import choose_device


@dataclass(frozen=True)
class Evaluated:
    """The figures, and what they were taken from: for reports."""

    figures: dict[str, Any]
    table: Table
    answer: Probabilities
    truth: NDArray[np.int64]  # columns of `answer`; -1: a label the model does not have


def evaluate_file(
    model: str,
    path: Path,
    *,
    models_dir: Path | None = None,
    head: str | None = None,
    text: str = "text",
    label: str = "label",
    device: str = "cpu",
) -> Evaluated:
    """Return what a model's head scores on a file.

    Raises TableError when the file cannot be used, UnknownModel when the model or head is not
    there. A label that the model does not have counts as wrong; a file of none that it has is
    refused.
    """
    artifact = load_artifact(weights.find(model, models_dir))
    if artifact.config.get("model") != "text_classifier":
        raise UnknownModel(f"{model} is no text classifier: it has no labels to compare with")
    classifier = load_classifier(artifact, device=choose_device(device))
    head = _head(classifier, head)
    table = read_table(path, text=text, label=label)
    if not len(table):
        raise BadFile(f"{path.name}: no row has both {text!r} and {label!r}")
    truth = truth_of(table.labels, classifier, head)
    if (truth < 0).all():
        known = ", ".join(classifier.answers(head)[:8])
        raise UnknownLabel(f"{path.name} has none of the labels of {model} ({known}, …)")
    started = time.perf_counter()
    answer = classifier.probabilities(table.texts)[head]
    seconds = time.perf_counter() - started
    config = classifier.config
    figures = {
        "model": config["name"],
        "version": str(config["version"]),
        "rows": len(table),
        "rows_left_out": table.left_out,
        "rows_per_second": round(len(table) / max(seconds, 1e-9), 1),
        **figures_of(answer, truth, classifier.calibration[head].threshold),
    }
    return Evaluated(figures, table, answer, truth)


def worst_confusions(found: Evaluated, most: int = 5) -> list[dict[str, Any]]:
    """Return which label was taken for which other most often: `is`, `taken_for`, `times`."""
    known = found.truth >= 0
    names = found.answer.names
    predicted = found.answer.values[known].argmax(1)
    cells = measures.confusion(predicted, found.truth[known], len(names))
    np.fill_diagonal(cells, 0)
    order = np.argsort(-cells, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, cells.shape), strict=True)
    return [
        {"is": names[i], "taken_for": names[j], "times": int(cells[i, j])}
        for i, j in pairs
        if cells[i, j]
    ]


def _head(classifier: Classifier, head: str | None) -> str:
    heads = list(classifier.heads)
    if head is None and len(heads) == 1:
        return heads[0]
    if head not in classifier.heads:
        wrong = f"no head {head!r}" if head else "which head?"
        raise UnknownModel(f"{wrong}: {classifier.config['name']} has {', '.join(heads)}")
    return head


def truth_of(labels: list[str], classifier: Classifier, head: str) -> NDArray[np.int64]:
    """Return the column of each label; other spellings and the case of letters are allowed for."""
    names = classifier.answers(head)
    columns = {name: i for i, name in enumerate(names)}
    lowered = {name.lower(): i for i, name in enumerate(names)}
    aliases: Mapping[str, str] = classifier.config.get("aliases", {}).get(head, {})
    rule = classifier.calibration[head].out_of_scope
    found = []
    for label in labels:
        name = aliases.get(label, label)
        if rule is not None and name == rule.label:
            name = OUT_OF_SCOPE
        found.append(columns.get(name, lowered.get(name.lower(), -1)))
    return np.array(found, dtype=np.int64)


def figures_of(
    answer: Probabilities, truth: NDArray[np.int64], threshold: float
) -> dict[str, float]:
    """Return every measure of a head's answers; rows of an unknown label (-1) are wrong."""
    values = answer.values
    predicted, confidence = values.argmax(1), values.max(1)
    right = predicted == truth
    # a label that the model lacks has no probability: the least a float can say
    known = truth >= 0
    losses = np.full(len(truth), -np.log(1e-12))
    losses[known] = -np.log(np.clip(values[known, truth[known]].astype(np.float64), 1e-12, 1))
    figures = {
        "accuracy": measures.accuracy(predicted, truth),
        "macro_f1": measures.macro_f1(predicted, truth),
        "nll": float(losses.mean()),
        "ece": measures.ece(confidence, right),
        "ece_if_perfect": measures.ece_if_perfect(confidence),
        "needs_review_rate": float(((confidence < threshold) | answer.rejected).mean()),
        "coverage_at_95_precision": measures.coverage(confidence, right, 0.95),
        "coverage_at_98_precision": measures.coverage(confidence, right, 0.98),
    }
    if answer.names[-1] == OUT_OF_SCOPE:
        outside = truth == len(answer.names) - 1
        if outside.any():
            figures |= _scope_figures(answer, truth, outside)
    return {name: round(value, 6) for name, value in figures.items()}


def _scope_figures(
    answer: Probabilities, truth: NDArray[np.int64], outside: NDArray[np.bool_]
) -> dict[str, float]:
    inside = ~outside
    within = answer.values[:, :-1].argmax(1)
    return {
        "accuracy_in_scope": measures.accuracy(within[inside], truth[inside]),
        "recall_out_of_scope": float(answer.rejected[outside].mean()),
        "false_rejection": float(answer.rejected[inside].mean()) if inside.any() else 0.0,
        "auroc_out_of_scope": measures.auroc(answer.values[:, -1], outside),
    }
