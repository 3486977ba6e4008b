"""Leases of work that workers take: who holds one, and letting those of the dead lapse.

A table of such work has a `holder` and the moment `free_at` from which anybody may take the row.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, and_, select, update

from ledger.database import Database


def holders(database: Database, table: Table) -> list[str]:
    """Return who holds a lease that has not lapsed."""
    leased = and_(table.c.holder.is_not(None), table.c.free_at > database.now())
    with database.reading() as connection:
        query = select(table.c.holder).where(leased).distinct()
        return [str(one) for one in connection.execute(query).scalars()]


def release(database: Database, table: Table, dead: Iterable[str]) -> int:
    """Let every lease of holders known to be dead lapse now, the attempt counted.

    Returns how many leases that were.
    """
    now = database.now()
    with database.writing() as connection:
        lapsed = connection.execute(
            update(table)
            .where(table.c.holder.in_(list(dead)), table.c.free_at > now)
            .values(free_at=now)
        )
    return lapsed.rowcount
