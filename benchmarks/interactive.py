"""Many people at once: documents batched by the claim against one Celery task a document.

    python -m benchmarks.interactive [--kind review] [--clients 1,4,16,64] [--each 8] [--json]

Every client hands in a short document, waits until the ledger says that it is finished, and hands
in the next. Both sides keep the same promises with the same ledger: accepted in one transaction,
claimed under a lease, result committed. Batched: the doorbell wakes `mailroom worker`. Unbatched:
a task a document, which claims, reads and commits exactly one (`benchmarks.one_a_task`). One
document in the mix cannot be read. Clients are threads of a few processes; how they learn of the
end is the same on both sides. Each side has its turn, `--rounds` times; ratios of one run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import select

from benchmarks.batches import mailroom
from benchmarks.one_a_task import TASK
from benchmarks.through_queue import VIEWER, texts
from ledger import Ledger
from ledger.schema import documents
from settings import Settings
from workers.client import Client, open_ledger, run_folder

WORDS = 20
PROCESSES = 4
LOOK_SECONDS = 0.004
WARM = 500  # documents after which the ledger's log has its size, and models are warm
POISON = b"%PDF-1.7 and nothing that follows is one"


class Watcher:
    """Tells threads that their documents are finished: one look at the ledger for all of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._look, daemon=True).start()

    def wait(self, document_id: str) -> None:
        """Return when the document is finished."""
        over = threading.Event()
        with self._lock:
            self._waiting[document_id] = over
        if not over.wait(120):
            raise SystemExit("a document was not finished")

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                wanted = list(self._waiting)
            if not wanted:
                continue
            query = select(documents.c.id).where(
                documents.c.id.in_(wanted), documents.c.finished_at.is_not(None)
            )
            with self._ledger.database.reading() as connection:
                done = list(connection.execute(query).scalars())
            with self._lock:
                for each in done:
                    self._waiting.pop(each).set()


def people(folder: Path, kind: str, gate: Any, orders: Connection) -> None:
    """Be clients of one process: answer each order (way, seeds, turns) with what they waited."""
    ledger = open_ledger(Settings(data_dir=folder))
    broker = (run_folder(folder) / "broker.url").read_text().strip()
    bell, single = Client(broker), Celery("benchmark", broker=broker, set_as_current=False)
    watcher = Watcher(ledger)

    def ask(way: str, body: bytes) -> None:
        document = ledger.documents.accept(body, viewer=VIEWER, source="command", kind=kind)
        if way == "batched":
            bell.ring("interactive")
        else:
            single.send_task(TASK, kwargs={"queue": "interactive"}, ignore_result=True)
        watcher.wait(document.id)

    while (order := orders.recv()) is not None:
        way, seeds, turns = order
        times: list[float] = []

        def one(seed: int, way: str = way, turns: int = turns, times: Any = times) -> None:
            for place, text in enumerate(texts(WORDS, turns, seed=seed)):
                began = time.monotonic()
                ask(way, POISON if seed == 0 and place == turns // 2 else text.encode())
                times.append(1000 * (time.monotonic() - began))

        threads = [threading.Thread(target=one, args=(seed,)) for seed in seeds]
        gate.wait()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        orders.send(times)


class Crowd:
    """Clients in a few processes."""

    def __init__(self, folder: Path, kind: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._gate = context.Barrier(PROCESSES + 1)
        self._pipes = []
        self._processes = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            arguments = (folder, kind, self._gate, theirs)
            process = context.Process(target=people, args=arguments, daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def ask(self, way: str, number: int, turns: int) -> tuple[list[float], float]:
        """Let that many clients ask; return what each waited (ms), and how long it took (s)."""
        for place, pipe in enumerate(self._pipes):
            pipe.send((way, list(range(number))[place::PROCESSES], turns))
        self._gate.wait()
        began = time.monotonic()
        times: list[float] = [each for pipe in self._pipes for each in pipe.recv()]
        if len(times) != number * turns:
            raise SystemExit("a client had an error")
        return times, time.monotonic() - began

    def close(self) -> None:
        """Send them home."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(10)


@contextmanager
def single_worker(folder: Path, threads: int) -> Iterator[None]:
    """Run the worker of the unbatched side."""
    environment = {
        **os.environ,
        "MAILROOM_DATA_DIR": str(folder),
        "MAILROOM_THREADS": str(threads),
        "MAILROOM_DEVICE": "cpu",
        "OMP_NUM_THREADS": str(threads),
    }
    with (folder / "single.log").open("ab") as log:
        command = [sys.executable, "-m", "benchmarks.one_a_task"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def measure(kind: str, numbers: list[int], each: int, threads: int, rounds: int) -> dict[str, Any]:
    """Return every figure of one run."""
    result: dict[str, Any] = {"kind": kind, "threads": threads, "clients": {}}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, _, start = stack.enter_context(mailroom(folder, threads))
        start("interactive")
        stack.enter_context(single_worker(folder, threads))
        crowd = Crowd(folder, kind)
        stack.callback(crowd.close)
        for way in ("batched", "unbatched"):
            crowd.ask(way, 16, WARM // 16)
        for number in numbers:
            # a few clients take many turns, so that every percentile has something in it
            turns = max(each, 64 // number)
            found: dict[str, Any] = {"batched": ([], 0.0), "unbatched": ([], 0.0)}
            for _ in range(rounds):
                for way, (times, seconds) in found.items():
                    more, took = crowd.ask(way, number, turns)
                    found[way] = (times + more, seconds + took)
            found = {way: summary(*times) for way, times in found.items()}
            fast, slow = found["batched"], found["unbatched"]
            found["ratio_of_throughput"] = fast["per_second"] / slow["per_second"]
            for name in ("p50", "p95", "p99"):
                found[f"ratio_of_{name}"] = fast[f"{name}_ms"] / slow[f"{name}_ms"]
            result["clients"][number] = found
    return result


def summary(times: list[float], seconds: float) -> dict[str, float]:
    """Return throughput and percentiles."""
    cuts = statistics.quantiles(times, n=100)
    return {
        "per_second": len(times) / seconds,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="review", help="whose model reads")
    parser.add_argument("--clients", default="1,4,16,64", help="how many at once, in turn")
    parser.add_argument("--each", type=int, default=8, help="documents of each client, a round")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side")
    parser.add_argument("--threads", type=int, default=1, help="of the worker")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    numbers = [int(number) for number in said.clients.split(",")]
    result = measure(said.kind, numbers, said.each, said.threads, said.rounds)
    if said.json:
        print(json.dumps(result))
        return
    for number, found in result["clients"].items():
        for way in ("batched", "unbatched"):
            figures = ", ".join(f"{name} {value:.1f}" for name, value in found[way].items())
            print(f"{number:>3} clients, {way:>9}: {figures}")
        print(
            f"{number:>3} clients: {found['ratio_of_throughput']:.2f} times the throughput, "
            f"{found['ratio_of_p50']:.2f} times the p50, {found['ratio_of_p95']:.2f} the p95, "
            f"{found['ratio_of_p99']:.2f} the p99"
        )


if __name__ == "__main__":
    main()
