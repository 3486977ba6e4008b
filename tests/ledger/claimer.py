"""A worker of the ledger alone: claims, waits a little, finishes, until nothing is owed.

python -m tests.ledger.claimer DATABASE_URL FILES_URL HOLDER LEASE_SECONDS
"""

from __future__ import annotations

import random
import sys
import time

from ledger import Finished, Ledger, database, open_ledger
from ledger.errors import LedgerUnreachable

database.SILENT_SECONDS = 2  # one that is frozen in the middle of a transaction is given up soon


def main(database_url: str, files_url: str, holder: str, lease_seconds: str) -> None:
    """Print every document this process finished."""
    ledger = open_ledger(database_url, files_url, small_body_bytes=100, attempts_allowed=10_000)
    while True:
        try:
            if not ledger.owed.status():
                return
            work(ledger, holder, float(lease_seconds))
        except LedgerUnreachable:
            continue  # it was frozen in the middle of a transaction


def work(ledger: Ledger, holder: str, lease_seconds: float) -> None:
    """Claim and finish once."""
    claimed = ledger.owed.claim(
        "interactive",
        holder=holder,
        items=random.randint(1, 12),
        characters=10_000,
        lease_seconds=lease_seconds,
    )
    if not claimed:
        ledger.database.end_silent()  # as a worker does now and then
        time.sleep(0.02)  # the others hold the rest
        return
    bodies = ledger.owed.bodies(claimed)
    time.sleep(random.uniform(0, 0.05))  # where a kill hits a worker that holds leases
    finished = [
        Finished(one.id, outcome={"by": holder, "body": body.decode()})
        for one, body in zip(claimed, bodies, strict=True)
        if isinstance(body, bytes)
    ]
    for document_id in ledger.owed.finish(finished, holder=holder):
        print(document_id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
