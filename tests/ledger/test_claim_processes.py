"""Workers that are killed, stopped and late: every document still ends exactly once."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger import Ledger, Viewer
from tests.ledger.conftest import Place

DOCUMENTS = 240
KILLS = 6
LEASE_SECONDS = 0.7
PATIENCE = 100


@pytest.mark.slow
def test_every_document_ends_once_whoever_is_killed(
    place: Place, viewer: Viewer, tmp_path: Path
) -> None:
    """Claimers are killed and frozen in the middle of their work, and others take over."""
    ledger = place.open(attempts_allowed=10_000)
    bodies = {}
    for i in range(DOCUMENTS):
        body = f"{i} " + "x" * (i % 200)  # some in the row, some in the file store
        bodies[ledger.documents.accept(body.encode(), viewer=viewer, source="api").id] = body

    with claimers(place, tmp_path) as start:
        running = [start() for _ in range(3)]
        frozen = None
        for kill in range(KILLS):
            victim = running.pop(0)
            wait_until(lambda victim=victim: holds_a_lease(ledger, victim) or not is_owed(ledger))
            if kill == 0:
                victim.send_signal(signal.SIGSTOP)
                frozen = victim
            else:
                victim.kill()
            running.append(start())
        wait_until(lambda: not is_owed(ledger))
        assert frozen is not None
        frozen.send_signal(signal.SIGCONT)  # it wakes up and tries to finish what it held
        for process in [frozen, *running]:
            assert process.wait(PATIENCE) == 0

    documents = list(every_document(ledger, viewer))
    assert {document.id for document in documents} == set(bodies)
    assert {document.state for document in documents} == {"done"}
    for document in documents:
        assert document.outcome is not None
        assert document.outcome["body"] == bodies[document.id]
        assert len(ledger.documents.results(document.id, viewer)) == 1
    printed = [line for path in tmp_path.glob("*.log") for line in path.read_text().splitlines()]
    assert len(printed) == len(set(printed)), "two workers were told that they finished it"
    ledger.close()


@contextmanager
def claimers(place: Place, folder: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Yield a function that starts one more claimer; none outlives the test."""
    started: list[subprocess.Popen] = []
    names = itertools.count()

    def start() -> subprocess.Popen:
        holder = f"claimer-{next(names)}"
        arguments = [place.database_url, place.files_url, holder, str(LEASE_SECONDS)]
        with (folder / f"{holder}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.ledger.claimer", *arguments],
                stdout=log,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "PYTHONPATH": ""},
            )
        process.holder = holder  # type: ignore[attr-defined]
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


def is_owed(ledger: Ledger) -> bool:
    return bool(ledger.owed.status())


def holds_a_lease(ledger: Ledger, process: subprocess.Popen) -> bool:
    from sqlalchemy import select

    from ledger.schema import owed

    holder = process.holder  # type: ignore[attr-defined]
    with ledger.database.reading() as connection:
        found = connection.execute(select(owed.c.id).where(owed.c.holder == holder)).first()
    return found is not None


def every_document(ledger: Ledger, viewer: Viewer) -> Iterator:
    after = None
    while True:
        page = ledger.documents.list(viewer, limit=200, after=after)
        yield from page.items
        after = page.after
        if after is None:
            return


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(random.uniform(0.005, 0.02))
