"""Documents through the queue against the bare reader in one process.

Run it with `python -m benchmarks.through_queue`. It starts a Mailroom of its own in a temporary
folder (embedded servers, SQLite, one worker), hands documents in, and prints ratios of one run on
one machine. Times include claim, parse, read and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger import Ledger, Viewer
from settings import Settings
from workers.client import Client, open_ledger
from workers.embedded import EmbeddedServer
from workers.reading import Incoming, Readers

WORDS = """
the a room staff food film phone price delivery was is not very really good bad great awful clean
broken late friendly slow cheap again never always and but because with we they it would recommend
returned arrived bought watched stayed screen battery story actor breakfast
"""
VIEWER = Viewer()
LENGTHS = {20: 2000, 200: 600, 2000: 80}  # words of a document: how many documents
LONE = 60


def texts(words: int, count: int, seed: int = 1) -> list[str]:
    """Return made-up reviews of that many words."""
    chance = random.Random(seed)
    return [
        " ".join(chance.choices(WORDS.split(), k=words)).capitalize() + "." for _ in range(count)
    ]


@contextmanager
def running_mailroom(folder: Path, threads: int) -> Iterator[tuple[Ledger, Client, int]]:
    """Yield ledger, client and the worker's process id."""
    chosen = {"MAILROOM_DATA_DIR": str(folder), "MAILROOM_THREADS": str(threads)}
    settings = Settings(data_dir=folder, threads=threads)
    servers = [EmbeddedServer(folder, name) for name in ("broker", "results")]
    for server in servers:
        server.start()
    ledger = open_ledger(settings)
    ledger.migrate()
    client = Client(servers[0].url)
    command = [sys.executable, "-P", "-c", "from commands import main; main()", "worker"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [*command, "--queues", "interactive,celery"],
            env={**os.environ, **chosen},
            stdout=log,
            stderr=log,
        )
    try:
        yield ledger, client, worker.pid
    finally:
        worker.terminate()
        worker.wait()
        client.close()
        ledger.close()
        for server in servers:
            server.stop()


def through_queue(
    ledger: Ledger, client: Client, documents: list[str], kind: str
) -> dict[str, float]:
    """Return how many documents a second were accepted, and read once they were rung for."""
    began = time.monotonic()
    for text in documents:
        ledger.documents.accept(text.encode(), viewer=VIEWER, source="command", kind=kind)
    accepted = time.monotonic()
    client.ring("interactive")
    wait_until_nothing_is_owed(ledger)
    ended = time.monotonic()
    return {
        "accepted_per_second": len(documents) / (accepted - began),
        "finished_per_second": len(documents) / (ended - accepted),
    }


def lone(ledger: Ledger, client: Client, documents: list[str], kind: str) -> dict[str, float]:
    """Return the milliseconds from accepted to finished of documents handed in one by one."""
    times = []
    for text in documents:
        began = time.monotonic()
        document = ledger.documents.accept(
            text.encode(), viewer=VIEWER, source="command", kind=kind
        )
        client.ring("interactive")
        while ledger.documents.get(document.id, VIEWER).state in ("waiting", "running"):
            time.sleep(0.002)
        times.append(1000 * (time.monotonic() - began))
    return {"p50_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20)[-1]}


def wait_until_nothing_is_owed(ledger: Ledger) -> None:
    """Return when every document is finished."""
    while ledger.owed.status():
        time.sleep(0.02)


def bare(readers: Readers, documents: list[str], kind: str, batch: int) -> dict[str, float]:
    """Return what one process does with no queue and no ledger, in batches and one by one."""
    from nlp.reader import Item

    reader = readers.reader(kind)
    items = [Item(text=text) for text in documents]
    began = time.monotonic()
    for start in range(0, len(items), batch):
        reader(items[start : start + batch])
    per_second = len(items) / (time.monotonic() - began)
    times = []
    for text in documents[:LONE]:
        began = time.monotonic()
        readers.read([Incoming(text.encode(), kind)])
        times.append(1000 * (time.monotonic() - began))
    return {"per_second": per_second, "p50_ms": statistics.median(times)}


def memory(worker: int) -> dict[str, float]:
    """Return the proportional memory, in MB, of a worker's process and its descendants."""
    found: dict[str, float] = {}
    waiting = [("main", worker)]
    while waiting:
        name, pid = waiting.pop()
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        (line,) = [each for each in text.splitlines() if each.startswith("Pss:")]
        found[f"{name} {pid}"] = round(int(line.split()[1]) / 1024, 1)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        waiting += [(f"child of {name.split()[-1]}", int(child)) for child in children]
    return found


def measure(threads: int, kind: str) -> dict[str, Any]:
    """Return every figure of one run."""
    import torch

    torch.set_num_threads(threads)
    result: dict[str, Any] = {"threads": threads, "lengths": {}}
    readers = Readers(models_dir=None, threads=threads)
    with tempfile.TemporaryDirectory() as name, running_mailroom(Path(name), threads) as parts:
        ledger, client, worker = parts
        through_queue(
            ledger, client, texts(20, 256, seed=0), kind
        )  # the model is loaded with these
        for words, count in LENGTHS.items():
            documents = texts(words, count)
            queue = through_queue(ledger, client, documents, kind)
            one = lone(ledger, client, texts(words, LONE, seed=2), kind)
            alone = bare(readers, documents, kind, batch=128)
            result["lengths"][words] = {
                "queue": queue,
                "lone": one,
                "bare": alone,
                "ratio_of_speed": queue["finished_per_second"] / alone["per_second"],
                "ratio_of_lone_time": one["p50_ms"] / alone["p50_ms"],
            }
        result["memory_mb"] = memory(worker)
    readers.close()
    return result


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of the worker and the bare reader")
    parser.add_argument("--kind", default="review", help="whose model reads")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.threads, arguments.kind)
    if arguments.json:
        print(json.dumps(result))
        return
    for words, each in result["lengths"].items():
        print(
            f"{words:>5} words: accepted {each['queue']['accepted_per_second']:7.1f}/s, "
            f"through the queue {each['queue']['finished_per_second']:7.1f}/s, "
            f"bare {each['bare']['per_second']:7.1f}/s, ratio {each['ratio_of_speed']:.2f}; "
            f"alone p50 {each['lone']['p50_ms']:.1f} ms (p95 {each['lone']['p95_ms']:.1f}), "
            f"bare {each['bare']['p50_ms']:.1f} ms"
        )
    for name, megabytes in result["memory_mb"].items():
        print(f"{name}: {megabytes} MB")


if __name__ == "__main__":
    main()
