"""Documents that come at the same moment: one commit for many, and each with an end of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ledger import Document, Ledger, Quota, Viewer
from ledger.database import Database
from ledger.errors import LedgerError, NotFound, QuotaExceeded, StorageFull
from tests.ledger.conftest import Place

MANY = 12


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each transaction that writes."""
    counted: list[int] = []
    writing = Database.writing

    @contextmanager
    def counting(self: Database, **said: Any) -> Iterator[Any]:
        with writing(self, **said) as connection:
            counted.append(1)
            yield connection

    monkeypatch.setattr(Database, "writing", counting)
    return counted


def together(ledger: Ledger, calls: list[Callable[[], Document]]) -> list[Document | Exception]:
    """Make calls that all wait while another writer is at work; return how each ended."""
    ends: list[Any] = [None] * len(calls)

    def make(place: int) -> None:
        try:
            ends[place] = calls[place]()
        except Exception as error:
            ends[place] = error

    threads = [threading.Thread(target=make, args=(place,)) for place in range(len(calls))]
    arrivals = ledger.documents._arrivals
    with ledger.database.writing():
        for thread in threads:
            thread.start()
        # the first leads and has none beside it yet; the others wait for it
        while ledger.database.is_sqlite and len(arrivals._waiting) < len(calls) - 1:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    return ends


def accepting(ledger: Ledger, viewer: Viewer, number: int, **said: Any) -> Callable[[], Document]:
    body = b"number %d" % number
    return lambda: ledger.documents.accept(body, viewer=viewer, source="api", **said)


def test_those_who_wait_are_committed_together(
    ledger: Ledger, viewer: Viewer, transactions: list[int]
) -> None:
    """Many senders would each wait for a disk's answer of their own, one after the other."""
    ends = together(ledger, [accepting(ledger, viewer, number) for number in range(MANY)])

    kept = [ledger.documents.get(end.id, viewer) for end in ends if isinstance(end, Document)]
    bodies = {ledger.documents.original(one.id, viewer)[1] for one in kept}
    assert bodies == {b"number %d" % number for number in range(MANY)}
    assert ledger.owed.outstanding("interactive") == MANY
    said = [line for one in kept for line in ledger.audit.list(viewer, document_id=one.id)]
    assert [line.action for line in said] == ["accepted"] * MANY
    if ledger.database.is_sqlite:
        assert len(transactions) <= 3  # the other writer's, the first one's, everybody's


def test_what_is_wrong_with_one_leaves_the_others_alone(ledger: Ledger, viewer: Viewer) -> None:
    """One sender's unknown parent, spent quota or repeated key would turn the others away."""
    token, _ = ledger.tokens.issue(
        viewer, name="t", scopes=["write"], quota=Quota(documents_a_day=2)
    )
    limited = Viewer(viewer.workspace, "t", viewer.scopes, token.id, token.quota)
    calls = [accepting(ledger, viewer, number) for number in range(4)]
    calls += [accepting(ledger, viewer, 4, parent_id="0" * 36)]
    calls += [accepting(ledger, viewer, 5, idempotency_key="key") for _ in range(3)]
    calls += [accepting(ledger, limited, 6 + number) for number in range(4)]

    ends = together(ledger, calls)

    assert all(isinstance(end, Document) for end in ends[:4])
    assert isinstance(ends[4], NotFound)
    same = [end for end in ends[5:8] if isinstance(end, Document)]
    assert len(same) == 3
    assert len({end.id for end in same}) == 1
    assert sorted(end.repeated for end in same) == [False, True, True]
    assert sum(isinstance(end, QuotaExceeded) for end in ends[8:]) == 2
    assert sum(ledger.documents.counts(viewer).values()) == 4 + 1 + 2


def test_a_full_disk_turns_everybody_away_and_keeps_nothing(
    ledger: Ledger, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody would be told that their document is kept, and it would not be."""

    def full(*_: Any) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(ledger.documents._arrivals._originals, "attach", full)
    ends = together(ledger, [accepting(ledger, viewer, number) for number in range(MANY)])

    assert all(isinstance(end, StorageFull) for end in ends)
    assert sum(ledger.documents.counts(viewer).values()) == 0
    monkeypatch.undo()
    assert accepting(ledger, viewer, 0)().state == "waiting"


def test_one_who_is_told_to_stop_leaves_nobody_waiting(
    ledger: Ledger, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever commits for all may be stopped in the middle; the others would wait for ever."""
    arrivals = ledger.documents._arrivals
    end, stopped = arrivals._end, []

    def stop(group: Any) -> None:
        if not stopped:
            stopped.append(group)
            raise KeyboardInterrupt
        end(group)

    monkeypatch.setattr(arrivals, "_end", stop)
    with pytest.raises(KeyboardInterrupt):
        accepting(ledger, viewer, 0)()

    assert accepting(ledger, viewer, 1)().state == "waiting"


def test_a_child_of_a_fork_does_not_wait_for_its_parents_threads(
    place: Place, viewer: Viewer
) -> None:
    """A server that forks while somebody hands a document in would never accept one again."""
    ledger = place.open()
    arrivals = ledger.documents._arrivals
    arrivals._is_led = True  # as a thread of the parent has it, which no child has
    child = os.fork()
    if child == 0:
        try:
            accepting(ledger, viewer, 0)()
        except LedgerError:
            os._exit(1)
        finally:
            os._exit(0)
    arrivals._is_led = False
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert sum(ledger.documents.counts(viewer).values()) == 1
    ledger.close()
