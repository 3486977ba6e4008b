"""Many people at once: documents batched by the claim against one Celery task a document.

    python -m benchmarks.interactive [--kind review] [--clients 1,4,16,64] [--each 8] [--json]

Every client hands in a short document, waits for its answer, and hands in the next. Batched: the
ledger keeps it and the doorbell wakes the worker, the whole of what Mailroom does. Unbatched: a
direct task `mailroom.read` with one text, the same model in the same kind of worker and no ledger
at all. One client also hands in a document that cannot be read. Ratios of one run.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.batches import mailroom
from benchmarks.through_queue import VIEWER, texts
from ledger import Ledger
from workers.client import Client, run_folder

WORDS = 20
POISON = b"%PDF-1.7 and nothing that follows is one"


def clients(number: int, each: int, ask: Callable[[str, bool], None]) -> dict[str, float]:
    """Let that many clients ask, each one thing after the other; return what they waited."""
    times: list[float] = []
    errors: list[BaseException] = []

    def one(seed: int) -> None:
        try:
            for place, text in enumerate(texts(WORDS, each, seed=seed)):
                began = time.monotonic()
                ask(f"{text} {seed}", seed == 0 and place == each // 2)
                times.append(1000 * (time.monotonic() - began))
        except BaseException as error:  # a thread's error must not look like a fast run
            errors.append(error)

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(number)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    if errors:
        raise errors[0]
    cuts = statistics.quantiles(times, n=100)
    return {
        "per_second": len(times) / seconds,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }


def batched(ledger: Ledger, client: Client, kind: str) -> Callable[[str, bool], None]:
    """Return what hands a document in and waits until it is finished."""

    def ask(text: str, poison: bool) -> None:
        body = POISON if poison else text.encode()
        document = ledger.documents.accept(body, viewer=VIEWER, source="command", kind=kind)
        client.ring("interactive")
        while ledger.documents.get(document.id, VIEWER).state in ("waiting", "running"):
            time.sleep(0.005)

    return ask


def unbatched(folder: Path, kind: str) -> Callable[[str, bool], None]:
    """Return what sends one task for one text and waits for its result."""
    broker, results = ((run_folder(folder) / f"{name}.url").read_text().strip()
                       for name in ("broker", "results"))  # fmt: skip
    apps = threading.local()  # threads that share one get in each other's way at its results

    def ask(text: str, poison: bool) -> None:
        if not hasattr(apps, "own"):
            apps.own = Celery("benchmark", broker=broker, backend=results, set_as_current=False)
        item = {"raw": POISON.decode()} if poison else text
        apps.own.send_task("mailroom.read", kwargs={"kind": kind, "items": [item]}).get(timeout=120)

    return ask


def measure(kind: str, numbers: list[int], each: int, threads: int) -> dict[str, Any]:
    """Return every figure of one run."""
    result: dict[str, Any] = {"kind": kind, "threads": threads, "clients": {}}
    with tempfile.TemporaryDirectory() as name, mailroom(Path(name), threads) as parts:
        ledger, client, start = parts
        start("interactive,celery")
        ways = {
            "batched": batched(ledger, client, kind),
            "unbatched": unbatched(Path(name), kind),
        }
        for ask in ways.values():
            ask("the models are loaded with this one", False)
            clients(2, 4, ask)
        for number in numbers:
            # a few clients take many turns, so that every percentile has something in it
            turns = max(each, 64 // number)
            found: dict[str, Any] = {way: clients(number, turns, ask) for way, ask in ways.items()}
            fast, slow = found["batched"], found["unbatched"]
            found["ratio_of_throughput"] = fast["per_second"] / slow["per_second"]
            found["ratio_of_p50"] = fast["p50_ms"] / slow["p50_ms"]
            found["ratio_of_p95"] = fast["p95_ms"] / slow["p95_ms"]
            result["clients"][number] = found
        gc.collect()  # Celery's results let go of their server while it is still there
    return result


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="review", help="whose model reads")
    parser.add_argument("--clients", default="1,4,16,64", help="how many at once, in turn")
    parser.add_argument("--each", type=int, default=8, help="documents of each client")
    parser.add_argument("--threads", type=int, default=1, help="of the worker")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    numbers = [int(number) for number in said.clients.split(",")]
    result = measure(said.kind, numbers, said.each, said.threads)
    if said.json:
        print(json.dumps(result))
        return
    for number, found in result["clients"].items():
        for way in ("batched", "unbatched"):
            figures = ", ".join(f"{name} {value:.1f}" for name, value in found[way].items())
            print(f"{number:>3} clients, {way:>9}: {figures}")
        print(
            f"{number:>3} clients: {found['ratio_of_throughput']:.2f} times the throughput, "
            f"{found['ratio_of_p50']:.2f} times the p50, {found['ratio_of_p95']:.2f} the p95"
        )


if __name__ == "__main__":
    main()
