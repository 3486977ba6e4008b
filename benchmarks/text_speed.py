"""How fast texts are read: ours, TF-IDF with logistic regression, and MiniLM, on the same texts.

    python -m benchmarks.text_speed MODEL TRAIN FILE [--rows 1000] [--threads 1] [--json]

TRAIN is what the linear model learns from (its training is not timed). Each is warmed up, then
timed on all rows, three times in turn; the median counts. `reader` is everything a worker does
for a text (language, labels, evidence, outcome), `model` probabilities only.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

from nlp.outcome import Item
from nlp.reader import load_reader
from nlp.tables import read_table
from nlp.tokens import words

Run = Callable[[list[str]], object]


def linear(train: Path, text: str, label: str) -> Run:
    """Return TF-IDF over words and pairs with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    table = read_table(train, text=text, label=label)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=200))
    pipeline.fit(table.texts[:20_000], table.labels[:20_000])
    predict: Run = pipeline.predict_proba
    return predict


def minilm(*, half: bool) -> Run:
    """Return MiniLM's vectors of texts, in 32 bits or in bfloat16."""
    from nlp import teacher

    encoder = teacher.SentenceEncoder()

    def run(texts: list[str]) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            ids = encoder.token_ids(texts)
            ids = [row[:256] for row in ids]
            groups = teacher.batches([len(row) for row in ids], 8192, 256)
            return [encoder.pooled([ids[i] for i in group]) for group in groups]

    encoder.network.eval()
    return run


def timed(run: Run, texts: list[str]) -> float:
    """Return documents a second."""
    started = time.perf_counter()
    run(texts)
    return len(texts) / (time.perf_counter() - started)


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
    texts = read_table(file, text=text, label=label).texts[:rows]
    runs: dict[str, tuple[Run, int]] = {
        "reader": (lambda ts: reader([Item(t) for t in ts]), len(texts)),
        "model": (classifier.probabilities, len(texts)),
        "tfidf_lr": (linear(train, text, label), len(texts)),
        "minilm_float32": (minilm(half=False), max(50, len(texts) // 8)),
        "minilm_bfloat16": (minilm(half=True), max(50, len(texts) // 8)),
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run, _ in runs.values():
        run(texts[:32])
    for _ in range(3):
        for name, (run, count) in runs.items():
            found[name].append(timed(run, texts[:count]))
    speeds = {name: round(statistics.median(values), 1) for name, values in found.items()}
    tokens = sum(len(words(t)) for t in texts) / len(texts)
    if as_json:
        click.echo(json.dumps({"model": model, "words_a_text": tokens, "a_second": speeds}))
        return
    click.echo(f"{model}: {len(texts)} texts of {tokens:.0f} words, {threads} thread(s)")
    for name, speed in speeds.items():
        click.echo(f"  {name:<16}{speed:10.1f} a second{speed / speeds['minilm_float32']:8.1f} x")


if __name__ == "__main__":
    main()
