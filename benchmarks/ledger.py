"""How fast the ledger accepts, claims and finishes.

    python -m benchmarks.ledger [--database URL] [--documents N] [--json]

Without `--database` it is SQLite in a temporary folder under `--folder`. Every figure is of one
run on one machine; the ratios compare inside that run.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ledger import Finished, Ledger, Viewer, open_ledger

VIEWER = Viewer()
TEXT = "The parcel came late and the box was open. " * 93  # four thousand characters
OUTCOME = {
    "kind": "review",
    "labels": {"sentiment": {"value": "negative", "confidence": 0.93, "needs_review": False}},
    "model": {"name": "review-1", "version": "1"},
}


@click.command()
@click.option("--database", help="A SQLAlchemy address; it must be empty.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where files are put.")
@click.option("--documents", default=1000, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(database: str | None, folder: Path | None, documents: int, as_json: bool) -> None:
    """Print documents a second of each step."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="mailroom-benchmark-") as name:
        url = database or f"sqlite:///{name}/ledger.sqlite3"
        ledger = open_ledger(url, f"{name}/files", owed_limit=10**9)
        ledger.migrate()
        figures = measure(ledger, url, Path(name), documents)
        ledger.close()
    if as_json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:44} {value:>12,.2f}" if isinstance(value, float) else f"{key:44} {value}")


def measure(ledger: Ledger, url: str, folder: Path, number: int) -> dict[str, float | str]:
    """Return every figure."""
    small, large = TEXT.encode(), os.urandom(100_000)
    figures: dict[str, float | str] = {"database": url.partition(":")[0]}
    figures["fsyncs_per_second"] = per_second(200, fsyncs(folder))
    accept = accepting(ledger, small)
    figures["accepts_per_second"] = per_second(number, accept)
    figures["accepts_per_fsync"] = figures["accepts_per_second"] / figures["fsyncs_per_second"]
    figures["accepts_per_second_4_threads"] = number / seconds_of(
        lambda: in_threads(4, lambda: [accept() for _ in range(number // 4)])
    )
    for batch in (1, 16, 128):
        while ledger.owed.outstanding("interactive") < number:
            accept()
        key = f"claims_and_finishes_per_second_of_{batch}"
        limit = min(number, 150) if batch == 1 else number
        figures[key] = read(ledger, batch, limit)
    figures["batch_of_128_over_1"] = float(
        figures["claims_and_finishes_per_second_of_128"]
    ) / float(figures["claims_and_finishes_per_second_of_1"])
    figures["large_accepts_per_second"] = per_second(100, accepting(ledger, large))
    figures["idle_claims_per_second"] = per_second(500, lambda: claim(ledger, "none", 128))
    with bulk_writer(ledger):
        waits = sorted(seconds_of(accept) for _ in range(100))
    figures["accept_beside_bulk_p50_ms"] = waits[50] * 1000
    figures["accept_beside_bulk_p95_ms"] = waits[95] * 1000
    return figures


def accepting(ledger: Ledger, body: bytes) -> Callable[[], object]:
    """Return a function that hands in one document; bodies differ, as they do in life."""
    numbers = iter(range(10**9))
    return lambda: ledger.documents.accept(
        body + str(next(numbers)).encode(), viewer=VIEWER, source="api", kind="review"
    )


def claim(ledger: Ledger, queue: str, items: int) -> list:
    """Claim as a worker does."""
    return ledger.owed.claim(
        queue, holder="benchmark", items=items, characters=10**9, lease_seconds=600
    )


def read(ledger: Ledger, batch: int, limit: int) -> float:
    """Return documents a second claimed, fetched and finished, `batch` at a time."""
    done = 0
    started = time.perf_counter()
    while done < limit:
        claimed = claim(ledger, "interactive", batch)
        bodies = ledger.owed.bodies(claimed)
        finished = [
            Finished(one.id, outcome=OUTCOME, text=body.decode())
            for one, body in zip(claimed, bodies, strict=True)
            if isinstance(body, bytes)
        ]
        done += len(ledger.owed.finish(finished, holder="benchmark"))
    return done / (time.perf_counter() - started)


def fsyncs(folder: Path) -> Callable[[], object]:
    """Return a function that writes four kilobytes and waits for the disk."""
    descriptor = os.open(folder / "fsync", os.O_CREAT | os.O_WRONLY)

    def write() -> None:
        os.write(descriptor, b"0" * 4096)
        os.fsync(descriptor)

    return write


@contextmanager
def bulk_writer(ledger: Ledger) -> Iterator[None]:
    """Accept and finish batches of 128 in a thread, without a pause."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for _ in range(16):
                ledger.documents.accept(b"bulk", viewer=VIEWER, source="batch", queue="bulk")
            claimed = claim(ledger, "bulk", 128)
            finished = [Finished(one.id, outcome=OUTCOME, text=TEXT) for one in claimed]
            ledger.owed.finish(finished, holder="benchmark")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def per_second(number: int, call: Callable[[], object]) -> float:
    """Return how many calls a second were made."""
    return number / seconds_of(lambda: [call() for _ in range(number)])


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_threads(number: int, call: Callable[[], object]) -> None:
    """Make the call in that many threads at once."""
    threads = [threading.Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
