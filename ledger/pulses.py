"""Signs of life: when work last went through each queue, and how much in all."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from ledger.columns import SECOND
from ledger.database import Database
from ledger.results import BUCKET
from ledger.schema import pulses, tallies

GONE_SECONDS = 24 * 3600  # a holder silent for so long is folded into its queue's total
TALLY_SECONDS = 3600  # how long the counts behind `throughput` are kept
RETIRED = ""  # the holder under which totals of those gone are kept


class Pulses:
    """Written by workers for work that went through, read by health checks and metrics."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, queue: str, holder: str, documents: int = 0) -> None:
        """Say that work (a canary, or `documents`) went through `queue` just now."""
        statement = self._database.insert(pulses)
        statement = statement.on_conflict_do_update(
            index_elements=["queue", "holder"],
            set_={
                "beat_at": statement.excluded.beat_at,
                "documents": pulses.c.documents + statement.excluded.documents,
            },
        )
        values = {"queue": queue, "holder": holder, "documents": documents}
        with self._database.writing(durable=False) as connection:
            connection.execute(statement, values | {"beat_at": self._database.now()})

    def ages(self) -> dict[str, float]:
        """Return for each queue the seconds since work last went through it."""
        query = select(pulses.c.queue, func.max(pulses.c.beat_at)).group_by(pulses.c.queue)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        now = self._database.now()
        return {queue: max(0.0, (now - int(beat_at)) / SECOND) for queue, beat_at in rows}

    def totals(self) -> dict[str, int]:
        """Return for each queue how many documents ever went through; it never falls."""
        query = select(pulses.c.queue, func.sum(pulses.c.documents)).group_by(pulses.c.queue)
        with self._database.reading() as connection:
            return {queue: int(number) for queue, number in connection.execute(query)}

    def holders(self) -> list[dict[str, object]]:
        """Return `{"queue", "holder", "seconds", "documents"}` of every worker heard of."""
        query = (
            select(pulses)
            .where(pulses.c.holder != RETIRED)
            .order_by(pulses.c.queue, pulses.c.holder)
        )
        now = self._database.now()
        with self._database.reading() as connection:
            return [
                {
                    "queue": row.queue,
                    "holder": row.holder,
                    "seconds": max(0.0, (now - row.beat_at) / SECOND),
                    "documents": row.documents,
                }
                for row in connection.execute(query)
            ]

    def prune(self) -> None:
        """Fold long silent holders into their queue's total and forget old tallies."""
        now = self._database.now()
        gone = (pulses.c.beat_at < now - GONE_SECONDS * SECOND) & (pulses.c.holder != RETIRED)
        statement = self._database.insert(pulses)
        statement = statement.on_conflict_do_update(
            index_elements=["queue", "holder"],
            set_={"documents": pulses.c.documents + statement.excluded.documents},
        )
        with self._database.writing() as connection:
            rows = connection.execute(
                delete(pulses).where(gone).returning(pulses.c.queue, pulses.c.documents)
            ).all()
            for queue, documents in rows:
                values = {"queue": queue, "holder": RETIRED, "documents": documents}
                connection.execute(statement, values | {"beat_at": 0})
            connection.execute(
                delete(tallies).where(tallies.c.bucket < (now - TALLY_SECONDS * SECOND) // BUCKET)
            )
