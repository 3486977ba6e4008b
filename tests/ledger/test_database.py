"""Connections: made late, made again, never shared with a child, and errors said in our words."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text, update

from ledger import Finished, Owed, Viewer, open_ledger
from ledger.errors import LedgerBusy, LedgerUnreachable
from ledger.schema import owed
from tests.ledger.conftest import Place, claim

FORKS = """
import os, sys, time
from ledger import Viewer, open_ledger
ledger = open_ledger(sys.argv[1], sys.argv[2], small_body_bytes=10)
viewer = Viewer()
ledger.documents.accept(b"before", viewer=viewer, source="api")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(10):
            ledger.documents.accept(b"x" * 20 * (i % 2), viewer=viewer, source="api")
        os._exit(0)
    children.append(pid)
for i in range(10):
    ledger.documents.accept(b"y" * 20, viewer=viewer, source="api")
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
assert sum(ledger.documents.counts(viewer).values()) == 41
ledger.close()
"""


def test_forked_children_have_connections_of_their_own(place: Place) -> None:
    """A ledger used before a fork works on both sides of it at once."""
    command = [sys.executable, "-c", FORKS, place.database_url, place.files_url]
    subprocess.run(command, check=True, timeout=100, cwd=Path(__file__).parents[2])


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    """Building a ledger touches neither disk nor network."""
    open_ledger(f"sqlite:///{tmp_path}/a/ledger.sqlite3", str(tmp_path / "b")).close()
    open_ledger("postgresql+psycopg://x@127.0.0.1:1/x", "s3://nowhere").close()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_is_said_plainly(tmp_path: Path) -> None:
    """No driver's error reaches who asks."""
    (tmp_path / "file").write_bytes(b"")
    for url in (
        "postgresql+psycopg://x@127.0.0.1:1/x",
        f"sqlite:///{tmp_path}/file/ledger.sqlite3",
    ):
        ledger = open_ledger(url, str(tmp_path))
        with pytest.raises(LedgerUnreachable):
            ledger.documents.counts(Viewer())
        with pytest.raises(LedgerUnreachable):
            ledger.documents.accept(b"x", viewer=Viewer(), source="api")
        ledger.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_server_that_came_back_is_used_again(place: Place, viewer: Viewer) -> None:
    """After PostgreSQL dropped its connections the next call has a new one."""
    ledger, other = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    with other.database.reading() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert ledger.documents.counts(viewer)["waiting"] == 1
    ledger.close()
    other.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_writer_that_never_ends_is_said(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the lock in vain is told so, and readers do not wait at all."""
    monkeypatch.setattr("ledger.database.BUSY_SECONDS", 0)
    ledger, other = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    with other.database.writing():
        assert ledger.documents.counts(viewer)["waiting"] == 1
        with pytest.raises(LedgerBusy):
            ledger.documents.accept(b"x", viewer=viewer, source="api")
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    ledger.close()
    other.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_who_falls_silent_in_a_transaction_holds_up_nobody(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker frozen while it has rows locked loses them; when it wakes it is told."""
    ledger = place.open()
    accepted = ledger.documents.accept(b"x", viewer=viewer, source="api")
    monkeypatch.setattr("ledger.database.SILENT_SECONDS", 1)
    frozen = place.open()
    claimed: list[Owed] = []

    def freeze_and_wake() -> None:
        with frozen.database.writing() as connection:
            connection.execute(select(owed).with_for_update()).all()
            end = time.monotonic() + 60
            while not claimed and time.monotonic() < end:
                claimed.extend(claim(ledger, "two"))
            connection.execute(update(owed).values(holder="frozen"))

    with pytest.raises(LedgerUnreachable):
        freeze_and_wake()
    assert [one.document_id for one in claimed] == [accepted.id]
    assert ledger.owed.holders() == ["two"]
    assert frozen.documents.counts(viewer)["running"] == 1  # with a new connection it goes on
    ledger.close()
    frozen.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_who_falls_silent_in_a_pipeline_is_ended_by_the_others(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver sends many rows as a pipeline; the server's own limit does not count in one."""
    monkeypatch.setattr("ledger.database.SILENT_SECONDS", 1)
    ledger, frozen = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")

    def freeze_and_wake() -> None:
        with frozen.database.writing() as connection:
            driver = connection.connection.driver_connection
            with driver.pipeline(), driver.cursor() as cursor:
                cursor.execute("SELECT id FROM owed FOR UPDATE")
                driver.pgconn.send_flush_request()
                driver.pgconn.flush()
                end = time.monotonic() + 60
                while not ledger.database.end_silent() and time.monotonic() < end:
                    time.sleep(0.1)
            connection.execute(update(owed).values(holder="frozen"))

    with pytest.raises((LedgerUnreachable, psycopg.OperationalError)):
        freeze_and_wake()
    assert len(claim(ledger, "two")) == 1
    assert ledger.database.end_silent() == 0
    ledger.close()
    frozen.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_who_waits_for_a_row_in_vain_is_told(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that somebody holds for ever stops nobody for ever."""
    monkeypatch.setattr("ledger.database.BUSY_SECONDS", 0.2)
    ledger, other = place.open(), place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    (row,) = claim(ledger, "one")
    with other.database.writing() as connection:
        connection.execute(select(owed).with_for_update()).all()
        with pytest.raises(LedgerBusy):
            ledger.owed.finish([Finished(row.id, outcome={"kind": "review"})], holder="one")
    assert len(ledger.owed.finish([Finished(row.id, outcome={})], holder="one")) == 1
    ledger.close()
    other.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_long_backup_is_not_cut_off(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot may say nothing for as long as writing a large table takes."""
    monkeypatch.setattr("ledger.database.SILENT_SECONDS", 0.05)
    ledger = place.open()
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    with ledger.database.snapshot() as connection:
        connection.execute(select(owed)).all()
        limit = text("SELECT setting FROM pg_settings WHERE name = :name")
        name = {"name": "idle_in_transaction_session_timeout"}
        assert connection.execute(limit, name).scalar() == "0"
        assert ledger.database.end_silent() == 0
    with ledger.database.reading() as connection:
        assert connection.execute(limit, name).scalar() == "50"
    ledger.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_hosts_whose_clocks_differ_agree_on_leases(place: Place, viewer: Viewer) -> None:
    """With PostgreSQL the server's clock counts: a host an hour ahead steals no lease."""
    ledger, ahead = place.open(), place.open()
    system = ahead.database._clock
    ahead.database._clock = lambda: system() + 3600
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    options = {"items": 1, "characters": 1, "lease_seconds": 60.0}
    assert len(ledger.owed.claim("interactive", holder="one", **options)) == 1  # type: ignore[arg-type]

    assert ahead.owed.claim("interactive", holder="two", **options) == []  # type: ignore[arg-type]
    made = ahead.documents.accept(b"x", viewer=viewer, source="api").created_at
    assert abs((made - datetime.now(UTC)).total_seconds()) < 600
    ledger.close()
    ahead.close()


def test_many_threads_share_a_ledger(place: Place, viewer: Viewer) -> None:
    """A web server's threads use one ledger at once, more of them than connections."""
    ledger = place.open()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                ledger.documents.accept(b"x", viewer=viewer, source="api")
                ledger.documents.list(viewer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.documents.counts(viewer)["waiting"] == 90
    ledger.close()


def test_the_package_loads_quickly(tmp_path: Path) -> None:
    """The web side pays neither for Alembic nor for object stores it does not use."""
    program = (
        "import sys, ledger; heavy = {'alembic', 'obstore', 'psycopg', 'torch', 'celery', 'flask'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
