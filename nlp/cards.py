"""The card of a model: what it is for, what it learned from, how good it is, where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "ece": "expected calibration error",
    "ece_if_perfect": "… of a perfectly calibrated model (95th percentile)",
    "needs_review_rate": "marked for review",
    "coverage_at_95_precision": "handled without a person at 95 % precision",
    "coverage_at_98_precision": "handled without a person at 98 % precision",
    "accuracy_in_scope": "accuracy in scope",
    "recall_out_of_scope": "out of scope recognised",
    "false_rejection": "in scope but rejected",
    "auroc_out_of_scope": "AUROC of out of scope",
    "neighbours_agree": "most of the 5 nearest examples have the true label",
}


def table(figures: Mapping[str, float]) -> str:
    """Return figures as a Markdown table."""
    rows = [f"| {_FIGURES[k]} | {v:.4f} |" for k, v in figures.items() if k in _FIGURES]
    return "\n".join(["| on dev | |", "| --- | --- |", *rows])


def own(config: Mapping[str, Any], heads: Mapping[str, Sequence[str]]) -> str:
    """Return the card of a model that somebody trained on a file of theirs."""
    data, recipe, history = config["data"], config["recipe"], config["history"]
    lines = [
        f"# {config['name']}, version {config['version']}",
        "",
        f"Trained {config['created']} by `mailroom train` on `{data['file']}`: {data['rows']:,} "
        f"rows, {data['dev_rows']:,} for dev, {data.get('unlabelled', 0):,} without a label that "
        f"teachers read, {data['left_out']:,} left out (no text, or of no use).",
        "",
        f"- Encoder: {recipe['encoder']}, hidden size {recipe['hidden_size']}; begins "
        f"from: {config['vectors']}.",
        f"- Taught: {config['taught']}.",
        f"- Seed {recipe['seed']}; {len(history['epochs'])} epochs, the best of them "
        f"{history['best_epoch']}.",
        f"- Languages: {', '.join(config['languages'])}.",
        f"- Licence: {config['licence']}.",
        _carried(config.get("examples", 0), data["file"]),
        "",
    ]
    for head, labels in heads.items():
        lines += [f"## {head}: {len(labels)} labels", "", table(config["scores"][head]), ""]
    lines += [
        "Dev also chose the epoch, the calibration and the thresholds: on texts of another time",
        "or place expect less. What the model gets wrong is in `report.html`.",
        "",
    ]
    return "\n".join(lines)


def _carried(examples: int, file: str) -> str:
    """Return what whoever hands the model on should know of the texts in it."""
    if not examples:
        return "- Carries no texts, only the words of its vocabulary."
    return (
        f"- Carries excerpts of {examples:,} rows of `{file}` with their labels, to be shown "
        "beside answers, and `report.html` quotes some: whoever has the model can read them. "
        "`mailroom train --no-examples` leaves them out."
    )
