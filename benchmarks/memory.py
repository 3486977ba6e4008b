"""What a worker holds while it reads a million documents: flat, or it would die of a long job.

    python -m benchmarks.memory [--rows 1000000] [--words 20] [--kind review] [--json]

One batch of that many rows through the queue, one worker of one thread. The resident memory of the
worker's process that reads is taken at every twentieth of the way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.batches import hand_in, mailroom, through
from benchmarks.through_queue import VIEWER, texts

PARTS = 20


def resident(pid: int) -> float:
    """Return the memory of the largest child of a process, in megabytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return max(_megabytes(int(child)) for child in children)


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def measure(rows: int, words: int, kind: str) -> dict[str, Any]:
    """Return megabytes at each part of the way, and rows a second."""
    with tempfile.TemporaryDirectory() as name, mailroom(Path(name), 1) as (ledger, client, start):
        worker = start("bulk")
        through(ledger, client, texts(words, 5_000, seed=0), kind)
        # a few thousand texts again and again: what is measured is the worker, not this process
        some = texts(words, 10_000)
        batch = hand_in(ledger, client, [some[i % len(some)] for i in range(rows)], kind)
        began, found = time.monotonic(), [(0, resident(worker.pid))]
        while (now := ledger.batches.get(batch.id, VIEWER)).state != "done":
            if now.state == "failed":
                raise SystemExit(f"the batch failed: {now.error}")
            if now.rows_done >= len(found) * rows / PARTS:
                found.append((now.rows_done, resident(worker.pid)))
            time.sleep(0.1)
        seconds = time.monotonic() - began
        found.append((now.rows_done, resident(worker.pid)))
    half = [memory for _, memory in found[len(found) // 2 :]]
    return {
        "rows": rows,
        "rows_per_second": rows / seconds,
        "megabytes": found,
        "growth_over_second_half": half[-1] / half[0] - 1,
    }


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--kind", default="review")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    result = measure(said.rows, said.words, said.kind)
    if said.json:
        print(json.dumps(result))
        return
    for done, memory in result["megabytes"]:
        print(f"{done:>10,} rows  {memory:8.0f} MB")
    growth = result["growth_over_second_half"]
    print(f"{result['rows_per_second']:.0f} rows a second; {growth:+.1%} over the second half")


if __name__ == "__main__":
    main()
