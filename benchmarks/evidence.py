"""Which evidence holds up: words that a model's answer hangs on, measured by deletion.

    python -m benchmarks.evidence MODEL FILE [--head HEAD] [--rows 200] [--json]

Comprehensiveness: how much of the answer's probability goes when the fifth of the words that an
explanation ranks highest is deleted (more is better). Sufficiency: how much goes when only that
fifth is kept (less is better). DeYoung et al. 2020, "ERASER". Random words are what any of them
must beat. All methods explain the same documents in one run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from nlp import evidence, weights
from nlp.batch import make_batch
from nlp.classifier import Classifier, in_scope, load_classifier
from nlp.fitting import predict
from nlp.tables import read_table
from nlp.tokens import words

METHODS = ("contributions", "attention", "gradients", "random")
SHARE = 0.2


def explain(
    classifier: Classifier, head: str, document: NDArray[np.int32], answer: int, method: str
) -> NDArray[np.floating]:
    """Return how much each word of one document speaks for the answer, by one method."""
    batch = make_batch([document], classifier.lexicon, part_length=classifier.part_length)
    model, columns = classifier.model, classifier.columns[head]
    answers = np.array([answer])
    if method == "random":
        return np.random.default_rng(len(document)).random(len(document))
    if method == "gradients":
        return evidence.gradients(model, batch, columns, answers)
    with torch.inference_mode():
        _, told = model.scores_and_states(batch, keep=10**7)
        if method == "attention":
            return (
                np.zeros(len(document)) if told is None else evidence.attention(model, batch, told)
            )
        fitted = classifier.calibration[head]
        wanted = evidence.directions(model, columns, answers, (fitted.sequence, fitted.ngrams))
        return evidence.contributions(model, batch, told, wanted)


def probabilities(
    classifier: Classifier, head: str, documents: Sequence[NDArray[np.int32]]
) -> NDArray[np.float32]:
    """Return the head's calibrated probabilities of documents in the lexicon's numbers."""
    scores = predict(classifier.model, classifier.lexicon, documents, classifier.part_length)
    return classifier.calibrated(head, scores).values


def measure(
    classifier: Classifier, head: str, documents: list[NDArray[np.int32]], method: str
) -> dict[str, float]:
    """Return one method's comprehensiveness, sufficiency and cost."""
    whole = probabilities(classifier, head, documents)
    inside = in_scope(classifier.heads[head])
    best = whole[:, : len(inside)].argmax(1)
    started = time.perf_counter()
    ranked = [
        np.argsort(-explain(classifier, head, document, inside[i], method), kind="stable")
        for document, i in zip(documents, best.tolist(), strict=True)
    ]
    seconds = time.perf_counter() - started
    cut, kept = [], []
    for document, order in zip(documents, ranked, strict=True):
        top = np.sort(order[: max(1, round(SHARE * len(document)))])
        cut.append(np.delete(document, top))
        kept.append(document[top])
    rows = np.arange(len(documents))
    sure = whole[rows, best]
    return {
        "comprehensiveness": float(
            (sure - probabilities(classifier, head, cut)[rows, best]).mean()
        ),
        "sufficiency": float((sure - probabilities(classifier, head, kept)[rows, best]).mean()),
        "milliseconds": 1000 * seconds / len(documents),
    }


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head")
@click.option("--text", default="text")
@click.option("--label", default="label")
@click.option("--rows", default=200)
@click.option("--json", "as_json", is_flag=True)
def main(
    model: str, file: Path, head: str | None, text: str, label: str, rows: int, as_json: bool
) -> None:
    """Compare the ways of explaining MODEL on rows of FILE."""
    torch.set_num_threads(1)
    classifier = load_classifier(weights.find(model))
    head = head or next(iter(classifier.heads))
    table = read_table(file, text=text, label=label)
    chosen = np.random.default_rng(0).permutation(len(table))[:rows]
    texts = [words(table.texts[i]) for i in chosen]
    documents = classifier.lexicon.encode([t for t in texts if len(t) >= 5])
    found = {method: measure(classifier, head, documents, method) for method in METHODS}
    if as_json:
        click.echo(json.dumps({"model": model, "documents": len(documents), "methods": found}))
        return
    click.echo(f"{model}, {len(documents)} documents of {file.parent.name}")
    for method, figures in found.items():
        shown = "  ".join(f"{name} {value:7.3f}" for name, value in figures.items())
        click.echo(f"  {method:<14}{shown}")


if __name__ == "__main__":
    main()
