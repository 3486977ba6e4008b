"""A shelf: the rows of one table as a viewer has them.

Found by id, listed page by page, and known again by the idempotency key that they came with: what
documents, batches, jobs and the rest have in common. Nothing of another workspace is on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, bindparam, select
from sqlalchemy.exc import IntegrityError

from ledger.columns import clean, is_id
from ledger.database import Database
from ledger.errors import IdempotencyConflict, InvalidCursor, LedgerBusy, NotFound
from ledger.viewer import Viewer, visible, visible_to_whom, who

LIST_LIMIT = 200
TRIES = 3  # each but the first because what a key named came or went meanwhile

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some things of a list, and the `after` that asks for the next ones (None: no more)."""

    items: list[T]
    after: str | None


@dataclass(frozen=True)
class Key:
    """What tells a request from its repetition: the sender's key, and what was asked for.

    Both are kept as hashes: a key may be longer than an index takes.
    """

    idempotency_key: str | None
    request_hash: str | None

    @classmethod
    def of(cls, key: str | None, asked: bytes | str) -> Key:
        """Return the key of a request; without a key of the sender's every request is new."""
        if key is None:
            return cls(None, None)
        return cls(_hash(_bytes(key)), _hash(asked if isinstance(asked, bytes) else _bytes(asked)))

    def columns(self) -> dict[str, str | None]:
        """Return the key as columns of a row."""
        return {"idempotency_key": self.idempotency_key, "request_hash": self.request_hash}


class Shelf:
    """The rows of a table that has `id` and `workspace`; `noun` is what people call one."""

    def __init__(self, table: Table, noun: str) -> None:
        self._table = table
        self._noun = noun
        self._whole = self.by_id(select(table))
        self._locked = self.by_id(select(table).with_for_update())

    def one(self, row_id: str, viewer: Viewer) -> ColumnElement[bool]:
        """Return the condition that leaves a row of this id, if it is the viewer's."""
        wanted = row_id if is_id(row_id) else ""
        return and_(self._table.c.id == wanted, visible(self._table, viewer))

    def by_id(self, query: Select[Any]) -> Select[Any]:
        """Return what `find` and `sought` take: a SELECT of one row, to be made once.

        Putting a wide statement together costs more than the database takes to answer it.
        """
        return query.where(self._table.c.id == bindparam("of_id"), visible_to_whom(self._table))

    def sought(self, row_id: str, viewer: Viewer) -> dict[str, str]:
        """Return the parameters of a statement that `by_id` made."""
        return {"of_id": row_id if is_id(row_id) else "", **who(viewer)}

    def find(
        self,
        connection: Connection,
        row_id: str,
        viewer: Viewer,
        statement: Select[Any] | None = None,
    ) -> Row[Any]:
        """Return the row of this id, or what a `statement` of `by_id` asks; raises NotFound."""
        wanted = self._whole if statement is None else statement
        row = connection.execute(wanted, self.sought(row_id, viewer)).one_or_none()
        if row is None:
            raise self.missing()
        return row

    def lock(self, connection: Connection, row_id: str, viewer: Viewer) -> Row[Any]:
        """Return the row of this id, which nobody else writes until the transaction ends."""
        return self.find(connection, row_id, viewer, self._locked)

    def missing(self) -> NotFound:
        """Return the error for an id that is not on the shelf."""
        return NotFound(f"there is no such {self._noun}")

    def newest(
        self,
        viewer: Viewer,
        *,
        query: Select[Any] | None = None,
        exact: Mapping[str, str | None] | None = None,
        limit: int,
        after: str | None,
        at_most: int = LIST_LIMIT,
    ) -> Select[Any]:
        """Return the SELECT of the viewer's rows, newest first, behind the id `after`.

        `exact` leaves rows whose columns have these values, None for any; raises InvalidCursor.
        """
        chosen = (select(self._table) if query is None else query).where(
            visible(self._table, viewer)
        )
        for column, value in (exact or {}).items():
            if value is not None:
                chosen = chosen.where(self._table.c[column] == clean(value))
        if after is not None:
            chosen = chosen.where(self._table.c.id < self.checked(after))
        return chosen.order_by(self._table.c.id.desc()).limit(bounded(limit, at_most))

    def page(
        self,
        connection: Connection,
        viewer: Viewer,
        made: Callable[[Row[Any]], T],
        *,
        query: Select[Any] | None = None,
        exact: Mapping[str, str | None] | None = None,
        limit: int,
        after: str | None,
    ) -> Page[T]:
        """Return a page of what `made` makes of the viewer's rows, newest first."""
        limit = bounded(limit)
        chosen = self.newest(
            viewer, query=query, exact=exact, limit=limit + 1, after=after, at_most=limit + 1
        )
        rows = connection.execute(chosen).all()
        last = rows[limit - 1].id if len(rows) > limit else None
        return Page([made(row) for row in rows[:limit]], last)

    def checked(self, after: str) -> str:
        """Return the id behind which a page begins, or raise InvalidCursor."""
        if not is_id(after):
            raise InvalidCursor("`after` is not from a page of this list")
        return after

    def once(
        self,
        database: Database,
        key: Key,
        viewer: Viewer,
        *,
        add: Callable[[], T],
        find: Callable[[str], T],
        differs: str,
    ) -> tuple[T, bool]:
        """Return what `add` added, or what `find` finds for the id that came under the same key.

        The second value says which: whether the request is repeated. Raises IdempotencyConflict
        when the key came with another request (`differs`, in words), LedgerBusy.
        """
        if key.idempotency_key is None:
            return add(), False
        for _ in range(TRIES):
            earlier = self._earlier(database, key, viewer)
            if earlier is not None:
                if earlier.request_hash != key.request_hash:
                    raise IdempotencyConflict(f"this key was used for {differs}")
                try:
                    return find(earlier.id), True
                except NotFound:
                    continue  # it was deleted between our two looks
            try:
                return add(), False
            except IntegrityError:
                continue  # the same key was committed between our look and our insert
        raise LedgerBusy("requests under this key come and go; try again")

    def is_known(self, database: Database, key: Key, viewer: Viewer) -> bool:
        """Say whether something came under this key."""
        return key.idempotency_key is not None and self._earlier(database, key, viewer) is not None

    def _earlier(self, database: Database, key: Key, viewer: Viewer) -> Row[Any] | None:
        query: Select[Any] = select(self._table.c.id, self._table.c.request_hash).where(
            self._table.c.idempotency_key == key.idempotency_key, visible(self._table, viewer)
        )
        with database.reading() as connection:
            return connection.execute(query).one_or_none()


def bounded(limit: int, at_most: int = LIST_LIMIT) -> int:
    """Return the nearest number of rows that a list gives: 1 to `at_most`."""
    return max(1, min(limit, at_most))


def _hash(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
