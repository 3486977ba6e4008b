"""What a token may hand in a minute and a day, counted in the ledger.

Windows are fixed: minutes and days of UTC. What is handed in is counted in the transaction that
accepts it, so that no two processes both take the last place, and a refusal leaves nothing. Rows
of a batch are not known when it is accepted: it needs room for one document and its bytes, and
its rows count when they have been cut off, also beyond what was left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, select

from ledger.columns import SECOND, to_datetime
from ledger.database import Database
from ledger.errors import QuotaExceeded
from ledger.quota import Quota
from ledger.schema import token_uses, tokens
from ledger.viewer import Viewer

PERIODS = {"minute": 60, "day": 86_400}  # seconds


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a token handed in since a period began, and what it may."""

    period: str
    documents: int
    bytes: int
    documents_limit: int | None
    bytes_limit: int | None
    ends_at: datetime


class Quotas:
    """What tokens used of theirs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def uses(self, token_id: str, quota: Quota) -> list[Use]:
        """Return the use in each limited period, as it is now."""
        with self._database.reading() as connection:
            return list(_uses(connection, token_id, quota, self._database.now()))


def take(
    connection: Connection, database: Database, viewer: Viewer, *, documents: int, size: int
) -> None:
    """Count what a viewer hands in, or raise QuotaExceeded; in the transaction that accepts it."""
    if viewer.token_id is not None and viewer.quota:
        _count(connection, database, viewer.token_id, viewer.quota, documents, size, refuse=True)


def charge(connection: Connection, database: Database, token_id: str, *, documents: int) -> None:
    """Count rows of a batch that was accepted; never refused."""
    limits = [tokens.c[field.name] for field in fields(Quota)]
    row = connection.execute(select(*limits).where(tokens.c.id == token_id)).one_or_none()
    quota = None if row is None else Quota(**row._mapping)
    if quota:
        _count(connection, database, token_id, quota, documents, 0, refuse=False)


def _count(
    connection: Connection,
    database: Database,
    token_id: str,
    quota: Quota,
    documents: int,
    size: int,
    *,
    refuse: bool,
) -> None:
    database.lock_name(connection, f"quota {token_id}")
    now = database.now()
    rows = []
    for use in _uses(connection, token_id, quota, now):
        for what, before, more, limit in (
            ("documents", use.documents, documents, use.documents_limit),
            ("bytes", use.bytes, size, use.bytes_limit),
        ):
            if refuse and limit is not None and before + more > limit:
                raise QuotaExceeded(
                    f"this token may hand in {limit:,} {what} a {use.period}",
                    retry_after=_seconds_left(use.period, now),
                )
        rows.append(
            {
                "token_id": token_id,
                "period": use.period,
                "number": _number(use.period, now),
                "documents": use.documents + documents,
                "bytes": use.bytes + size,
            }
        )
    database.upsert(connection, token_uses, rows)


def _uses(connection: Connection, token_id: str, quota: Quota, now: int) -> Iterator[Use]:
    query = select(token_uses).where(token_uses.c.token_id == token_id)
    rows = {row.period: row for row in connection.execute(query)}
    for period, seconds in PERIODS.items():
        limits = quota.of(period)
        if limits == (None, None):
            continue
        number = _number(period, now)
        row = rows.get(period)
        current = row is not None and row.number == number
        yield Use(
            period=period,
            documents=row.documents if row is not None and current else 0,
            bytes=row.bytes if row is not None and current else 0,
            documents_limit=limits[0],
            bytes_limit=limits[1],
            ends_at=to_datetime((number + 1) * seconds * SECOND),
        )


def _number(period: str, now: int) -> int:
    """Return which minute, or which day, since 1970 it is."""
    return now // (PERIODS[period] * SECOND)


def _seconds_left(period: str, now: int) -> int:
    length = PERIODS[period] * SECOND
    return max(1, -(-(length - now % length) // SECOND))
