"""How long one card payment takes in the worker.

    python -m benchmarks.payments [--database URL] [--payments N] [--json]

Payments of the demonstration are handed in one at a time, each is scored before the next one comes.
A figure is of the time from looking for work to the committed score, states and all; the share of
the detector alone stands beside it. Without `--database` it is SQLite in a temporary folder.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from ledger import Ledger, Viewer, open_ledger
from timeseries import demonstration
from workers.payments import MOST, score

VIEWER = Viewer()


@click.command()
@click.option("--database", help="A SQLAlchemy address; it must be empty.")
@click.option("--payments", default=3000, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(database: str | None, payments: int, as_json: bool) -> None:
    """Print milliseconds at p50, p95 and p99."""
    with tempfile.TemporaryDirectory(prefix="mailroom-benchmark-") as name:
        ledger = open_ledger(database or f"sqlite:///{name}/ledger.sqlite3", f"{name}/files")
        ledger.migrate()
        figures = measure(ledger, payments)
        ledger.close()
    if as_json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:28} {value:>10,.2f}")


def measure(ledger: Ledger, number: int) -> dict[str, float]:
    """Return what each of so many payments took, in milliseconds."""
    whole, detector = [], []
    for sent in _sent(number):
        ledger.payments.accept([sent], VIEWER)
        began = time.perf_counter()
        workspace = ledger.payments.outstanding()
        assert workspace is not None
        taken = ledger.payments.take(workspace, most=MOST)
        before = time.perf_counter()
        scored, states = score(taken)
        detector.append(time.perf_counter() - before)
        assert ledger.payments.commit(taken, scored, states)
        whole.append(time.perf_counter() - began)
    figures: dict[str, float] = {"payments": number}
    for name, seconds in (("one payment", whole), ("the detector alone", detector)):
        for share in (50, 95, 99):
            figures[f"{name}, p{share} ms"] = float(np.percentile(seconds, share) * 1000)
    return figures


def _sent(number: int) -> Iterator[dict[str, Any]]:
    for row in demonstration.transactions().head(number).iter_rows(named=True):
        yield {
            "number": row["transaction_id"],
            "card": row["card"],
            "terminal": row["terminal"],
            "paid_at": row["time"].isoformat(),
            "amount": row["amount"],
        }


if __name__ == "__main__":
    main()
