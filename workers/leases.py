"""Leases kept while their work goes on, and taken back from processes that died."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from ledger import Ledger
from ledger.errors import LedgerError
from workers.context import lives

log = structlog.get_logger(__name__)


class Leased(Protocol):
    """What the ledger lends: owed documents, chunks of batches, or jobs."""

    def extend(self, ids: Iterable[str], *, holder: str, lease_seconds: float) -> list[str]:
        """Renew leases and return the ids that are still the holder's."""


class Keeper:
    """Extends the leases in hand, from a thread of its own, for as long as they are in hand.

    Long work (a large model, a slow file) then loses its rows only when its process dies. It
    stops after `at_most_seconds`: a process that hangs must not hold its rows for ever.
    """

    def __init__(
        self, leased: Leased, *, holder: str, lease_seconds: float, at_most_seconds: float
    ) -> None:
        self._leased = leased
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._at_most_seconds = at_most_seconds

    @contextmanager
    def holding(self, ids: Iterable[str]) -> Iterator[None]:
        """Keep the leases on these owed rows inside the block."""
        done = threading.Event()
        thread = threading.Thread(target=self._extend, args=(set(ids), done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _extend(self, ids: set[str], done: threading.Event) -> None:
        pause = self._lease_seconds / 3
        for _ in range(max(1, int(self._at_most_seconds / pause))):
            if done.wait(pause):
                return
            try:
                kept = self._leased.extend(
                    ids, holder=self._holder, lease_seconds=self._lease_seconds
                )
            except LedgerError as error:
                log.warning("lease_not_extended", reason=error.code)
                continue
            if len(kept) < len(ids):
                log.warning("lease_lost", rows=len(ids) - len(kept))
            ids = set(kept)


def take_up(ledger: Ledger, *, attempts_allowed: int) -> int:
    """Free what dead or frozen processes hold, fail what was tried too often; return how many.

    A lease of another machine's process is left until it lapses; one of this machine's whose
    process is gone need not be waited for.
    """
    if ended := ledger.database.end_silent():
        log.warning("silent_sessions_ended", sessions=ended)
    dead = [holder for holder in ledger.owed.holders() if lives(holder) is False]
    if dead:
        freed = ledger.owed.release(dead)
        log.warning("leases_taken_up", rows=freed)
    dead = [holder for holder in ledger.chunks.holders() if lives(holder) is False]
    if dead:
        log.warning("chunks_taken_up", chunks=ledger.chunks.release(dead))
    if lost := ledger.chunks.set_aside():
        log.error("rows_lost_with_worker", chunks=lost)
    dead = [holder for holder in ledger.jobs.holders() if lives(holder) is False]
    if dead:
        log.warning("jobs_taken_up", jobs=ledger.jobs.release(dead))
    if jobs := ledger.jobs.set_aside():
        log.error("jobs_lost_with_worker", jobs=jobs)
    failed = ledger.owed.set_aside(attempts_allowed)
    if failed:
        log.error("worker_lost", documents=failed)
    return len(failed)
