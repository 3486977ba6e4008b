"""Reading and training with one thread or all, by what a thread does that waits for another.

    python -m benchmarks.threads MODEL TRAIN [--text text] [--label label] [--rows 640] [--steps 40]

MODEL reads `rows` texts of TRAIN, and a classifier of the default shape takes `steps` steps on its
labels; each setting in a process of its own, for OpenMP looks at its variables once. One line a
setting, milliseconds by the clock and of the processor: on a machine that does nothing else, and
again beside two processes that never sleep (`--busy`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

WAITS = {
    "spins as it likes": {},
    "spins 1,000 turns": {"GOMP_SPINCOUNT": "1000"},
    "sleeps": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
}
WARM = 10  # steps that are not timed
BATCH = 32  # texts read together


class _Enough(Exception):
    """The steps that were asked for are taken."""


class Clock:
    """Milliseconds by the clock and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def of(self, count: int) -> dict[str, float]:
        """Return what one of `count` things took."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"ms": round(wall * 1000 / count, 2), "cpu_ms": round(cpu * 1000 / count, 2)}


def read(model: str, texts: list[str]) -> dict[str, float]:
    """Return what reading one text takes."""
    from nlp.outcome import Item
    from nlp.reader import load_reader

    reader = load_reader(model)
    items = [Item(text) for text in texts]
    reader(items[:BATCH])
    clock = Clock()
    for start in range(0, len(items), BATCH):
        reader(items[start : start + BATCH])
    return clock.of(len(items))


def train(texts: list[str], labels: list[str], steps: int) -> dict[str, float]:
    """Return what one step of a training takes."""
    from nlp.beginning import shipped_beginning
    from nlp.examples import Examples
    from nlp.recipe import Recipe
    from nlp.training import train_classifier
    from nlp.vectors import shipped_vectors
    from sequence.training import Progress

    taken, clock = 0, Clock()

    def on_step(progress: Progress) -> None:
        nonlocal taken, clock
        taken += 1
        if taken == WARM:
            clock = Clock()
        if taken == WARM + steps:
            raise _Enough

    examples = Examples(texts, {"label": list(labels)})
    with contextlib.suppress(_Enough):
        train_classifier(
            examples,
            examples,
            Recipe(epochs=60, solved=False),
            vectors=shipped_vectors(),
            beginning=shipped_beginning(),
            on_step=on_step,
        )
    return clock.of(steps)


def measure(model: str, file: Path, fields: dict[str, str], rows: int, steps: int) -> None:
    """Print what this process takes, as it was started."""
    from nlp.tables import read_table
    from sequence.device import set_threads

    set_threads(int(os.environ["MAILROOM_THREADS"]))
    table = read_table(file, **fields)
    read_ms = read(model, table.texts[:rows])
    train_ms = train(table.texts, list(table.labels), steps)
    click.echo(json.dumps({"read": read_ms, "step": train_ms}))


def started(arguments: list[str], threads: int, waits: dict[str, str]) -> dict[str, Any]:
    """Return what a process of this setting prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.threads", *arguments, "--here"],
        env={**kept, **waits, "MAILROOM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return found


@click.command()
@click.argument("model")
@click.argument("train_file", metavar="TRAIN", type=click.Path(path_type=Path))
@click.option("--text", default="text")
@click.option("--label", default="label")
@click.option("--rows", default=640)
@click.option("--steps", default=40)
@click.option("--busy", is_flag=True, help="Beside two processes that never sleep.")
@click.option("--here", is_flag=True, hidden=True)
def main(
    model: str,
    train_file: Path,
    text: str,
    label: str,
    rows: int,
    steps: int,
    busy: bool,
    here: bool,
) -> None:
    """Time reading by MODEL and training on TRAIN under every setting."""
    if here:
        measure(model, train_file, {"text": text, "label": label}, rows, steps)
        return
    arguments = [model, str(train_file), "--text", text, "--label", label]
    arguments += ["--rows", str(rows), "--steps", str(steps)]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * busy)]
    try:
        for threads in (1, os.cpu_count() or 1):
            for name, waits in WAITS.items():
                if threads > 1 or not waits:
                    found = started(arguments, threads, waits)
                    click.echo(json.dumps({"threads": threads, "waits": name} | found))
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
