"""How fast texts are read: by ours, and by what one could take instead, on the same texts.

    python -m benchmarks.text_speed MODEL TRAIN FILE [--rows 1000] [--threads 1] [--json]

Beside ours: TF-IDF with logistic regression, spaCy's text categoriser, static vectors distilled
from MiniLM with logistic regression, and MiniLM under torch, ONNX Runtime and OpenVINO. TRAIN is
what these learn from (training is not timed). Each is warmed up, then
timed on all rows, three times in turn; the median counts. `reader` is everything a worker does
for a text (language, labels, evidence, outcome), `model` probabilities only.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks import rivals
from benchmarks.rivals import Run
from nlp.outcome import Item
from nlp.reader import load_reader
from nlp.tables import read_table
from nlp.tokens import words


def timed(run: Run, texts: list[str]) -> float:
    """Return documents a second."""
    started = time.perf_counter()
    run(texts)
    return len(texts) / (time.perf_counter() - started)


def _said(right: dict[str, float], name: str) -> str:
    return f"   {right[name]:.4f} right" if name in right else ""


@click.command()
@click.argument("model")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--text", default="text")
@click.option("--label", default="label")
@click.option("--rows", default=1000)
@click.option("--threads", default=1)
@click.option("--json", "as_json", is_flag=True)
def main(
    model: str,
    train: Path,
    file: Path,
    text: str,
    label: str,
    rows: int,
    threads: int,
    as_json: bool,
) -> None:
    """Time MODEL against a linear model and MiniLM on rows of FILE."""
    torch.set_num_threads(threads)
    reader = load_reader(model)
    classifier = reader._model.classifier  # type: ignore[attr-defined]
    table = read_table(train, text=text, label=label)
    known = (table.texts, table.labels)
    texts = read_table(file, text=text, label=label).texts[:rows]
    few = max(50, len(texts) // 8)  # of what takes long
    runs: dict[str, tuple[Run, int]] = {
        "reader": (lambda ts: reader([Item(t) for t in ts]), len(texts)),
        "model": (classifier.probabilities, len(texts)),
        "tfidf_lr": (rivals.linear(*known), len(texts)),
        "spacy_textcat": (rivals.spacy_textcat(*known), len(texts)),
        "static_vectors_lr": (rivals.static_vectors(*known), len(texts)),
        "minilm_float32": (rivals.minilm(half=False), few),
        "minilm_bfloat16": (rivals.minilm(half=True), few),
        "minilm_onnx_int8": (rivals.minilm_int8("onnxruntime", threads), few),
        "minilm_openvino_int8": (rivals.minilm_int8("openvino", threads), few),
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run, _ in runs.values():
        run(texts[:32])
    for _ in range(3):
        for name, (run, count) in runs.items():
            found[name].append(timed(run, texts[:count]))
    speeds = {name: round(statistics.median(values), 1) for name, values in found.items()}
    tokens = sum(len(words(t)) for t in texts) / len(texts)
    truth = np.array(read_table(file, text=text, label=label).labels[:rows])
    head = next(iter(classifier.heads))
    ours = classifier.probabilities(texts)[head]
    names = np.array(sorted(set(table.labels)))
    right = {"model": float((np.array(ours.names)[ours.values.argmax(1)] == truth).mean())}
    for name in ("tfidf_lr", "static_vectors_lr"):
        answers = np.asarray(runs[name][0](texts)).argmax(1)
        right[name] = float((names[answers] == truth).mean())
    if as_json:
        click.echo(
            json.dumps(
                {"model": model, "words_a_text": tokens, "a_second": speeds, "accuracy": right}
            )
        )
        return
    click.echo(f"{model}: {len(texts)} texts of {tokens:.0f} words, {threads} thread(s)")
    for name, speed in speeds.items():
        times = speed / speeds["minilm_float32"]
        line = f"  {name:<22}{speed:10.1f} a second{speed * tokens:12.0f} words{times:8.1f} x"
        click.echo(line + _said(right, name))


if __name__ == "__main__":
    main()
