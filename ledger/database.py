"""Connections and transactions: one code path over SQLite and PostgreSQL.

SQLite: WAL, `synchronous=FULL`, foreign keys, and `BEGIN IMMEDIATE` for every transaction that
writes, so that no writer fails half-way because another was first. PostgreSQL: whoever says
nothing in the middle of a transaction for SILENT_SECONDS is cut off, and his rows are free again;
whoever waits for a row longer than BUSY_SECONDS is told so.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext

from ledger.columns import SECOND
from ledger.errors import LedgerBusy, LedgerUnreachable, StorageFull

BUSY_SECONDS = 30  # how long a writer waits for SQLite's lock, or one for a row of PostgreSQL's
# SQLite's own way of waiting sleeps up to 100 ms at a time, and whoever came last may be first
LOOK_SECONDS = (0.0005, 0.004)
CHECKPOINT_PAGES = 4_000  # of SQLite's log, 16 MB: a document touches some fifteen
# A process that stops in the middle of a transaction (frozen, its machine paused, its network
# gone) keeps the rows it locked until the server gives it up; nobody can take over before
SILENT_SECONDS = 30
NAME = "mailroom"  # of our sessions on PostgreSQL
AT_LENGTH = "mailroom, at length"  # of one that may be silent
_END_SILENT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND application_name = :name"
    " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND wait_event = 'ClientRead'"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
)
IN_CHUNK = 500  # values in one IN (...): SQLite bounds a statement's variables
FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []  # a parent's connections: never used, never closed by a child


class Database:
    """An address, and an engine made at first use in each process."""

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._clock = clock or time.time
        self._is_corrected = clock is None
        self._offset = 0.0  # what PostgreSQL's clock is ahead of ours
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        _databases.add(self)

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def now(self) -> int:
        """Return the time in microseconds since 1970.

        With PostgreSQL it is the server's: leases of several hosts compare.
        """
        return int((self._clock() + self._offset) * SECOND)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that only reads."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed, durably, or leaves nothing.

        Not `durable`: a power cut may undo it (a crash of ours may not), and nobody waits for
        the disk. For leases and pulses, which mean nothing after a power cut.
        """
        with self._turn_to_write(), self.engine.connect() as connection:
            connection.execution_options(ledger_writes=True, ledger_durable=durable)
            with connection.begin():
                if not durable and not self.is_sqlite:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
                yield connection

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """Let one thread of this process at a time ask for SQLite's lock: the others sleep."""
        if not self.is_sqlite:
            yield
            return
        turn = self._turn
        if not turn.acquire(timeout=BUSY_SECONDS):
            raise LedgerBusy("another writer holds the database; try again")
        try:
            yield
        finally:
            turn.release()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Yield a connection that sees one moment for as long as it is read; writers go on."""
        with self.engine.connect() as connection:
            if not self.is_sqlite:  # SQLite's every transaction is one
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                self.take_time(connection)  # it locks no row, and writes files in between
                yield connection

    def take_time(self, connection: Connection) -> None:
        """Let this transaction wait, and be silent, for as long as it takes."""
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SET LOCAL application_name = '{AT_LENGTH}'")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")

    def end_silent(self) -> int:
        """End our sessions that stopped in the middle of a transaction; return how many.

        The server's own limit overlooks who stopped in the middle of the driver's pipeline.
        """
        if self.is_sqlite:
            return 0
        with self.reading() as connection:
            limits = {"name": NAME, "seconds": SILENT_SECONDS}
            return len(connection.execute(_END_SILENT, limits).all())

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def upsert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert `rows`, or overwrite those that are there under the same primary key."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key]
        statement = self.insert(table)
        others = {
            column.name: statement.excluded[column.name]
            for column in table.columns
            if column.name not in keys
        }
        connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=others), list(rows)
        )

    def lock_name(self, connection: Connection, name: str) -> None:
        """Hold a lock of that name until the transaction ends (SQLite: a writer has it all)."""
        if not self.is_sqlite:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    def close(self) -> None:
        """Close every connection; the next use opens anew."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _make_engine(self) -> Engine:
        if self.is_sqlite:
            return self._make_sqlite_engine()
        engine = create_engine(self.url, pool_pre_ping=True, pool_size=5, max_overflow=15)
        event.listen(engine, "connect", _prepare_postgresql)
        if self._is_corrected:
            event.listen(engine, "connect", self._measure_offset)
        event.listen(engine, "handle_error", _translate)
        return engine

    def _make_sqlite_engine(self) -> Engine:
        if self.url.database:
            folder = Path(self.url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise LedgerUnreachable(f"{folder} cannot be made: {error.strerror}") from error
        engine = create_engine(self.url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", _translate)
        return engine

    def _measure_offset(self, connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            before = self._clock()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone()
            after = self._clock()
        connection.rollback()
        offset = theirs - (before + after) / 2
        # A difference within the round trip is no difference
        self._offset = offset if abs(offset) > (after - before) + 0.05 else 0.0

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        if self._engine is not None:
            _inherited.append(self._engine)
            self._engine.dispose(close=False)
            self._engine = None


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield `values` in pieces small enough for one IN (...)."""
    for start in range(0, len(values), IN_CHUNK):
        yield values[start : start + IN_CHUNK]


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET application_name = '{NAME}';"
            f"SET idle_in_transaction_session_timeout = '{SILENT_SECONDS}s';"
            f"SET lock_timeout = '{BUSY_SECONDS}s'"
        )
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.driver_connection  # it does nothing yet that could fail
    if not options.get("ledger_writes"):
        driver.execute("BEGIN")
        return
    # Under WAL a durable commit also writes out whatever undurable ones came before it
    level = "FULL" if options.get("ledger_durable", True) else "NORMAL"
    driver.execute(f"PRAGMA synchronous={level}")
    _wait_to_write(connection)


def _wait_to_write(connection: Connection) -> None:
    """Begin to write as soon as no other process does; raises LedgerBusy after long."""
    driver: Any = connection.connection.driver_connection
    pause, longest = LOOK_SECONDS
    until = time.monotonic() + BUSY_SECONDS
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < until:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(longest, 1.5 * pause)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # whose error is told as one of ours
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def _translate(context: ExceptionContext) -> None:
    """Raise our own error where a driver's means one of three things a caller can act on."""
    if context.is_pre_ping:  # the pool tries the next connection, or a new one
        return
    original = context.original_exception
    code = getattr(original, "sqlite_errorcode", None)
    state = getattr(original, "sqlstate", None)
    if code in SQLITE_FULL or state in {"53100", "53000"}:
        raise StorageFull("the database's disk is full; free some space") from original
    is_locked = code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    if is_locked or state == "55P03":
        raise LedgerBusy("another writer holds the database; try again") from original
    # Without a connection of ours it was connecting that failed
    is_refused = context.connection is None and type(original).__name__ == "OperationalError"
    if code == sqlite3.SQLITE_CANTOPEN or context.is_disconnect or is_refused:
        raise LedgerUnreachable("the ledger's database does not answer") from original


def _forget_all() -> None:
    for database in list(_databases):
        database._forget()


os.register_at_fork(after_in_child=_forget_all)
