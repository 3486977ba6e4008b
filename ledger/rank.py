"""The order in which owed documents are taken.

    ORDER BY rank, id      where rank = min(accepted + priority x AGEING, deadline)

`rank` is a moment, fixed when the document is accepted, so an index serves the order. A
document of priority p is overtaken by one of the smaller priority q only if that one comes
less than (p - q) x AGEING later: nothing waits for ever behind a stream of urgent work. A
deadline can only bring a document forward.
"""

from __future__ import annotations

from datetime import datetime

from ledger.columns import SECOND, to_microseconds

AGEING = 30 * SECOND  # how much later a document may come, for each step of priority, and be first
PRIORITIES = range(10)


def clamp(priority: int) -> int:
    """Return the nearest priority there is: 0 (soonest) to 9."""
    return max(PRIORITIES.start, min(PRIORITIES.stop - 1, priority))


def rank(accepted: int, priority: int, deadline: datetime | None) -> int:
    """Return the moment (microseconds) that a document is ordered by."""
    aged = accepted + priority * AGEING
    return aged if deadline is None else min(aged, to_microseconds(deadline))
