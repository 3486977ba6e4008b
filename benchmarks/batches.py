"""Bulk jobs through the queue against the bare reader, one worker and two, and a person beside.

    python -m benchmarks.batches [--kind review] [--scale 1.0] [--workers 1] [--json]

It starts a Mailroom of its own in a temporary folder (embedded servers, SQLite, workers of one
thread), hands CSV files in and times each from handed in to done: cutting, reading, writing and
merging. The bare reader, of one thread, reads the same texts in the same run, in this process, in
the chunks' size, evidence included on both sides, and writes nothing. Jobs take about ten seconds:
what they cost at their start and end is part of them. Ratios of one run on one machine; nothing
else should run beside it, and OMP_NUM_THREADS=1 keeps both sides to one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.through_queue import VIEWER, texts
from ledger import Batch, Ledger
from settings import Settings
from workers.client import Client, open_ledger
from workers.embedded import EmbeddedServer
from workers.reading import Readers

LENGTHS = {20: 60_000, 200: 8_000, 2000: 600}  # words of a row: how many rows
CHUNK = Settings().chunk_rows
BESIDE = 100_000  # rows of the batch beside which a person waits
NICE = 10  # of a worker for bulk work: as `mailroom up` starts it
LONE = 40
TIMES = 1  # through the queue; the bare reader before, between and after: speeds change


@contextmanager
def mailroom(folder: Path, threads: int) -> Iterator[tuple[Ledger, Client, Any]]:
    """Yield ledger, client, and a function that starts a worker on given queues."""
    settings = Settings(data_dir=folder, threads=threads, device="cpu")
    environment = {
        **os.environ,
        "MAILROOM_DATA_DIR": str(folder),
        "MAILROOM_THREADS": str(threads),
        "MAILROOM_DEVICE": "cpu",
        "OMP_NUM_THREADS": str(threads),
        "POLARS_MAX_THREADS": str(threads),
    }
    program = [sys.executable, "-P", "-c", "from commands import main; main()", "worker"]
    with ExitStack() as stack:
        servers = [EmbeddedServer(folder, name) for name in ("broker", "results")]
        for server in servers:
            server.start()
            stack.callback(server.stop)
        ledger = open_ledger(settings)
        stack.callback(ledger.close)
        ledger.migrate()
        client = Client(servers[0].url)
        stack.callback(client.close)

        def start(queues: str, nice: int = 0) -> subprocess.Popen[bytes]:
            log = stack.enter_context((folder / "workers.log").open("ab"))
            command = ["nice", "-n", str(nice), *program, "--queues", queues]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        yield ledger, client, start


def hand_in(ledger: Ledger, client: Client, rows: list[str], kind: str) -> Batch:
    """Hand a CSV of these texts in."""
    lines = ["id,text", *(f"{number},{text}" for number, text in enumerate(rows))]
    body = ("\n".join(lines) + "\n").encode()
    batch = ledger.batches.accept(
        [body], viewer=VIEWER, kind=kind, name="rows.csv", file_format="csv"
    )
    client.ring("bulk")
    return batch


def wait_for(ledger: Ledger, batch: Batch) -> None:
    """Return when a batch is done; a failed one ends the run."""
    while (now := ledger.batches.get(batch.id, VIEWER)).state != "done":
        if now.state == "failed":
            raise SystemExit(f"the batch failed: {now.error}")
        time.sleep(0.02)


def through(ledger: Ledger, client: Client, rows: list[str], kind: str) -> float:
    """Return rows a second from handed in to done."""
    began = time.monotonic()
    wait_for(ledger, hand_in(ledger, client, rows, kind))
    return len(rows) / (time.monotonic() - began)


def bare(readers: Readers, rows: list[str], kind: str) -> float:
    """Return rows a second of the reader alone."""
    from nlp.reader import Item

    reader = readers.reader(kind)
    items = [Item(text=text) for text in rows]
    reader(items[:64])
    began = time.monotonic()
    for start in range(0, len(items), CHUNK):
        reader(items[start : start + CHUNK])
    return len(items) / (time.monotonic() - began)


def lone(ledger: Ledger, client: Client, kind: str, until: threading.Event | None) -> list[float]:
    """Return milliseconds of single documents, one after the other."""
    times = []
    for text in texts(20, LONE, seed=3):
        if until is not None and until.is_set():
            break
        began = time.monotonic()
        document = ledger.documents.accept(
            text.encode(), viewer=VIEWER, source="command", kind=kind
        )
        client.ring("interactive")
        while ledger.documents.get(document.id, VIEWER).state in ("waiting", "running"):
            time.sleep(0.002)
        times.append(1000 * (time.monotonic() - began))
    return times


def beside(ledger: Ledger, client: Client, rows: list[str], kind: str) -> dict[str, Any]:
    """Return a person's waiting time when nothing else runs, and while a batch does."""
    lone(ledger, client, kind, None)  # the models are loaded with these
    idle = lone(ledger, client, kind, None)
    batch = hand_in(ledger, client, rows, kind)
    over = threading.Event()

    def watch() -> None:
        wait_for(ledger, batch)
        over.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    while ledger.batches.get(batch.id, VIEWER).rows_done == 0:
        time.sleep(0.01)
    busy = lone(ledger, client, kind, over)
    watcher.join()
    if len(busy) < 2:
        return {"idle": summary(idle), "busy": None}
    ratio = summary(busy)["p95_ms"] / summary(idle)["p95_ms"]
    return {"idle": summary(idle), "busy": summary(busy), "ratio_of_p95": ratio}


def summary(times: list[float]) -> dict[str, float]:
    """Return p50 and p95."""
    return {"p50_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20)[-1]}


def measure(
    kind: str,
    scale: float,
    workers: int,
    threads: int,
    lengths: dict[int, int],
) -> dict[str, Any]:
    """Return every figure of one run; `lengths` are the words of a row and how many rows."""
    import torch

    torch.set_num_threads(threads)
    readers = Readers(models_dir=None, threads=threads)
    result: dict[str, Any] = {"kind": kind, "threads": threads, "workers": workers, "lengths": {}}
    with tempfile.TemporaryDirectory() as name, mailroom(Path(name), threads) as parts:
        ledger, client, start = parts
        found = [start("bulk") for _ in range(workers)]
        through(ledger, client, texts(20, 64 * workers, seed=0), kind)
        bare(readers, texts(20, 64, seed=0), kind)
        for words, count in lengths.items():
            rows = texts(words, max(10, int(count * scale)))
            alone, queue = [bare(readers, rows, kind)], []
            for _ in range(TIMES):
                queue.append(through(ledger, client, rows, kind))
                alone.append(bare(readers, rows, kind))
            result["lengths"][words] = {
                "rows": len(rows),
                "batch_per_second": statistics.median(queue),
                "bare_per_second": statistics.median(alone),
                "ratio": statistics.median(queue) / statistics.median(alone),
            }
        for process in found:
            process.terminate()
            process.wait()
        start("bulk", nice=NICE)
        start("interactive")
        rows = texts(20, int(BESIDE * scale))
        result["person"] = beside(ledger, client, rows, kind)
    readers.close()
    return result


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="review", help="whose model reads")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rows")
    parser.add_argument("--words", help="only rows of these lengths, as 200,2000")
    parser.add_argument("--workers", type=int, default=1, help="processes on the queue bulk")
    parser.add_argument("--threads", type=int, default=1, help="of each worker and the bare reader")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    only = [int(words) for words in said.words.split(",")] if said.words else list(LENGTHS)
    lengths = {words: LENGTHS[words] for words in only}
    result = measure(said.kind, said.scale, said.workers, said.threads, lengths)
    if said.json:
        print(json.dumps(result))
        return
    for words, each in result["lengths"].items():
        print(
            f"{words:>5} words: {each['batch_per_second']:8.1f} rows/s as a batch with "
            f"{said.workers} worker(s), {each['bare_per_second']:8.1f} bare, "
            f"ratio {each['ratio']:.2f} ({each['rows']} rows)"
        )
    print(f"a person's document, idle: {result['person']['idle']}")
    print(f"a person's document beside a batch: {result['person']['busy']}")
    print(f"ratio of p95: {result['person'].get('ratio_of_p95')}")


if __name__ == "__main__":
    main()
