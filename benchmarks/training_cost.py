"""What a training costs, stage by stage, in processor seconds: few rows, more, long ones.

`python -m benchmarks.training_cost FOLDER [--rows 300 1000 5000 | --each 64] [--text FIELD]
[--label FIELD] [--teacher auto] [--threads 1]`, FOLDER holding train.jsonl.gz and dev.jsonl.gz: a
seeded draw of so many rows (or of so many a label) is trained on with the defaults of `mailroom
train` and measured on dev. One JSON object a training.

Stages are in processor seconds of the whole process, so that a busy machine does not matter;
`seconds` by the clock are worth something where nothing else runs. With more threads than one say
`GOMP_SPINCOUNT=1000` before it, as `mailroom train` does for its process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlp.evaluation import evaluate_file
from nlp.recipe import Recipe
from nlp.tables import Table, read_table
from nlp.trainer import Job, train_file
from sequence.device import set_threads

FIGURES = ("accuracy", "ece", "coverage_at_95_precision")


class Stages:
    """Processor seconds of each stage, as a training tells of them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "files and linear teacher", time.process_time()

    def __call__(self, said: dict[str, Any]) -> None:
        """Note when another stage begins."""
        stage = str(said["stage"]) if "stage" in said else "student" if "epoch" in said else ""
        if stage and stage != self._stage:
            self.end()
            self._stage = stage

    def end(self) -> None:
        """Put what went by to the account of the stage that ends."""
        now = time.process_time()
        went = self.seconds.get(self._stage, 0.0) + now - self._since
        self.seconds[self._stage], self._since = round(went, 1), now


def drawn(table: Table, rows: int | None, each: int | None, seed: int) -> list[int]:
    """Return seeded rows of a table: so many in all, or so many of each label."""
    order = np.random.default_rng([seed, 37]).permutation(len(table)).tolist()
    if each is None:
        return order[:rows]
    seen: Counter[str] = Counter()
    kept = []
    for i in order:
        if seen[table.labels[i]] < each:
            seen[table.labels[i]] += 1
            kept.append(i)
    return kept


def measure(
    table: Table, chosen: Sequence[int], dev: Path, fields: dict[str, str], recipe: Recipe
) -> dict[str, Any]:
    """Train on the chosen rows in this process and return what it cost and gave."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        lines = [
            json.dumps({fields["text"]: table.texts[i], fields["label"]: table.labels[i]})
            for i in chosen
        ]
        file.write_text("\n".join(lines))
        stages, began, clock = Stages(), time.process_time(), time.perf_counter()
        job = Job(name="cost", file=file, models_dir=Path(folder), recipe=recipe, **fields)
        result = train_file(job, said=stages)
        stages.end()
        spent, seconds = time.process_time() - began, time.perf_counter() - clock
        found = evaluate_file(str(result.folder), dev, **fields).figures
    return {
        "rows": len(chosen),
        "characters": int(np.mean([len(table.texts[i]) for i in chosen])),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 1),
        "processor_seconds": round(spent, 1),
        "stages": stages.seconds,
        "taught": result.way,
        **{name: round(float(found[name]), 4) for name in FIGURES},
    }


def main() -> None:
    """Print one line a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[300, 1000, 5000])
    parser.add_argument("--each", type=int)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--teacher", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    set_threads(said.threads)
    fields = {"text": said.text, "label": said.label}
    table = read_table(said.folder / "train.jsonl.gz", **fields)
    recipe = Recipe(teacher=said.teacher, seed=said.seed)
    for rows in [None] if said.each else said.rows:
        chosen = drawn(table, rows, said.each, said.seed)
        found = measure(table, chosen, said.folder / "dev.jsonl.gz", fields, recipe)
        print(json.dumps({"set": said.folder.name} | found), flush=True)


if __name__ == "__main__":
    main()
