"""Documents that come at the same moment are committed together.

Whoever comes while nobody commits does so at once; those who come meanwhile wait, and the first of
them commits for all. On SQLite, where one writes at a time, that is a transaction for many
documents in place of one each; nothing waits for company. PostgreSQL needs none of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert, select

from ledger import audit, quotas
from ledger.database import Database
from ledger.errors import LedgerBusy, LedgerError, NotFound, QuotaExceeded
from ledger.originals import Originals
from ledger.schema import documents, owed
from ledger.shelf import Shelf
from ledger.viewer import Viewer

MOST = 64  # documents of one transaction
SHELF = Shelf(documents, "document")

_PARENT = SHELF.by_id(select(documents.c.id).with_for_update(read=True, key_share=True))
_DOCUMENTS = insert(documents)
_OWED = insert(owed)


@dataclass(eq=False)
class Arrival:
    """A document's rows, its body where it is small, and how its commit ended."""

    row: dict[str, Any]
    owed: dict[str, Any]
    body: bytes
    viewer: Viewer
    error: Exception | None = None
    is_over: bool = False
    turn: threading.Event = field(default_factory=threading.Event)


class Arrivals:
    """Takes documents in, as many in a transaction as there are."""

    def __init__(self, database: Database, originals: Originals) -> None:
        self._database = database
        self._originals = originals
        self._forget()

    def commit(self, arrival: Arrival) -> None:
        """Write a document's rows; durable when it returns.

        Raises NotFound for an unknown parent, QuotaExceeded, IntegrityError for a key that came
        meanwhile, StorageFull, LedgerBusy; what is wrong with one leaves the others alone.
        """
        if not self._database.is_sqlite:
            self._end([arrival])
        elif not self._is_first(arrival):
            arrival.turn.wait()
        if not arrival.is_over:
            self._lead()
        if arrival.error is not None:
            raise arrival.error

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiting: list[Arrival] = []
        self._is_led = False

    def _is_first(self, arrival: Arrival) -> bool:
        if self._process != os.getpid():  # who led was a thread of the parent
            self._forget()
        with self._lock:
            self._waiting.append(arrival)
            is_led, self._is_led = self._is_led, True
        return not is_led

    def _lead(self) -> None:
        """Commit for those who wait, the caller being the first, and let the next one lead."""
        with self._lock:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._end(group)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_led = following is not None
            for arrival in group:
                if not arrival.is_over:  # this thread was told to stop
                    arrival.error = LedgerBusy("the commit was broken off; try again")
                    arrival.is_over = True
                arrival.turn.set()
            if following is not None:
                following.turn.set()

    def _end(self, group: Sequence[Arrival]) -> None:
        """Bring every arrival of a group to its end."""
        try:
            refused = self._write(group)
        except LedgerError as error:  # of the database: it would meet each of them
            refused = dict.fromkeys(group, error)
        except Exception as error:
            if len(group) > 1:  # one of them is to blame
                for arrival in group:
                    self._end([arrival])
                return
            refused = {group[0]: error}
        for arrival in group:
            arrival.error = refused.get(arrival)
            arrival.is_over = True

    def _write(self, group: Sequence[Arrival]) -> dict[Arrival, Exception]:
        """Commit what may come in, all or nothing; return why the others may not."""
        refused: dict[Arrival, Exception] = {}
        with self._database.writing() as connection:
            for arrival in group:
                try:
                    self._admit(connection, arrival)
                except (NotFound, QuotaExceeded) as error:
                    refused[arrival] = error
            taken = [arrival for arrival in group if arrival not in refused]
            if taken:
                self._insert(connection, taken)
        return refused

    def _admit(self, connection: Connection, arrival: Arrival) -> None:
        parent = arrival.row["parent_id"]
        if parent is not None:
            SHELF.find(connection, parent, arrival.viewer, _PARENT)
        size = arrival.row["size"]
        quotas.take(connection, self._database, arrival.viewer, documents=1, size=size)

    def _insert(self, connection: Connection, taken: Sequence[Arrival]) -> None:
        connection.execute(_DOCUMENTS, [arrival.row for arrival in taken])
        self._originals.attach(connection, [(arrival.row, arrival.body) for arrival in taken])
        connection.execute(_OWED, [arrival.owed for arrival in taken])
        now = self._database.now()
        audit.write(
            connection,
            [
                audit.line(
                    now,
                    arrival.viewer,
                    "accepted",
                    arrival.row["id"],
                    {"source": arrival.row["source"], "size": arrival.row["size"]},
                )
                for arrival in taken
            ],
        )
