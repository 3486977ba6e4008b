"""How much may be owed, checked without counting every row for every document."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from ledger.database import Database
from ledger.errors import TooMuchOwed
from ledger.owed import OwedWork
from ledger.schema import owed

COUNTING_SHARE = 0.02  # of the time may go into counting
LONGEST_SECONDS = 1.0  # that a count is believed, however long it took
ROOM = 100  # a client is asked to come back when limit / ROOM documents will have been read
RETRY_SECONDS = range(1, 3601)
IDLE_RETRY_SECONDS = 60  # when nothing was finished lately, so that no rate is known


@dataclass
class _Count:
    """What a queue owed when it was counted, and what this process added since."""

    owed: int
    added: int
    counted_at: float
    good_for: float


class Admission:
    """Refuses documents past the limit of a queue.

    A count is believed for fifty times what it cost and at most a second, so the limit is soft
    by what other processes add in that time.
    """

    def __init__(self, database: Database, work: OwedWork, *, limit: int) -> None:
        self._database = database
        self._work = work
        self._limit = limit
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def admit(self, queue: str) -> None:
        """Count one more document of `queue` in, or raise TooMuchOwed."""
        with self._lock:
            count = self._counts.get(queue)
            if count is None or time.monotonic() > count.counted_at + count.good_for:
                count = self._counts[queue] = self._count(queue)
            if count.owed + count.added < self._limit:
                count.added += 1
                return
        raise TooMuchOwed(
            f"{self._limit} documents wait already; try again later",
            retry_after=self.retry_after(queue),
        )

    def retry_after(self, queue: str) -> int:
        """Return after how many seconds there will be room, by the speed of the last minute."""
        speed = self._work.throughput(queue)
        if speed <= 0:
            return IDLE_RETRY_SECONDS
        seconds = math.ceil(max(1, self._limit // ROOM) / speed)
        return max(RETRY_SECONDS.start, min(RETRY_SECONDS.stop - 1, seconds))

    def _count(self, queue: str) -> _Count:
        started = time.monotonic()
        rows = select(owed.c.id).where(owed.c.queue == queue).limit(self._limit)
        with self._database.reading() as connection:
            number = connection.execute(select(func.count()).select_from(rows.subquery()))
            waiting = number.scalar_one()
        ended = time.monotonic()
        good_for = min((ended - started) / COUNTING_SHARE, LONGEST_SECONDS)
        return _Count(waiting, 0, ended, good_for)
