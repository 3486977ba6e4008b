"""What is owed is bounded, cheaply, and the client is told when to come back."""

from __future__ import annotations

import time

import pytest

from ledger import Finished, Ledger, Viewer
from ledger.admission import Admission
from ledger.errors import TooMuchOwed
from tests.ledger.conftest import OUTCOME, Clock, Place, claim


@pytest.fixture
def bounded(place: Place, clock: Clock) -> Ledger:
    return place.open(clock=clock, owed_limit=5)


def accept(ledger: Ledger, viewer: Viewer, **options: object) -> None:
    ledger.documents.accept(b"x", viewer=viewer, source="api", **options)  # type: ignore[arg-type]


def test_the_limit_holds(bounded: Ledger, viewer: Viewer, stranger: Viewer) -> None:
    """Past it nothing is taken from anybody, for that queue; what was taken stays."""
    accept(bounded, viewer, idempotency_key="k")
    for _ in range(4):
        accept(bounded, viewer)
    for somebody in (viewer, stranger):
        with pytest.raises(TooMuchOwed) as refusal:
            accept(bounded, somebody)
        assert refusal.value.retry_after >= 1
    accept(bounded, viewer, idempotency_key="k")  # a repeat adds nothing
    accept(bounded, viewer, queue="bulk")
    assert bounded.owed.status()["interactive"]["owed"] == 5
    bounded.close()


def test_room_is_noticed(bounded: Ledger, viewer: Viewer) -> None:
    """When documents were read there is room again, within a moment."""
    for _ in range(5):
        accept(bounded, viewer)
    with pytest.raises(TooMuchOwed):
        accept(bounded, viewer)
    (owed, *_) = claim(bounded)
    bounded.owed.finish([Finished(owed.id, outcome=OUTCOME)], holder="worker")

    for _ in range(1000):
        try:
            accept(bounded, viewer)
            break
        except TooMuchOwed:
            time.sleep(0.01)
    assert bounded.owed.status()["interactive"]["owed"] == 5
    bounded.close()


def test_others_documents_count(bounded: Ledger, place: Place, viewer: Viewer) -> None:
    """The limit is the ledger's, not each process's."""
    other = place.open(owed_limit=5)
    for _ in range(5):
        accept(other, viewer)
    with pytest.raises(TooMuchOwed):
        accept(bounded, viewer)
    other.close()
    bounded.close()


def test_retry_after_is_measured(bounded: Ledger, viewer: Viewer, clock: Clock) -> None:
    """Fast reading asks for a short pause, slow reading for a long one, within an hour."""
    admission = Admission(bounded.database, bounded.owed, limit=6_000)
    assert admission.retry_after("interactive") == 60  # nothing was read lately: unknown

    waits = []
    for number in (1, 4):
        for _ in range(number):
            accept(bounded, viewer)
        finished = [Finished(one.id, outcome=OUTCOME) for one in claim(bounded)]
        bounded.owed.finish(finished, holder="worker")
        waits.append(admission.retry_after("interactive"))
    # one a minute, then five a minute: sixty places are free after an hour, after 720 seconds
    assert waits == [3600, 720]
    clock.seconds += 100
    assert admission.retry_after("interactive") == 60
    bounded.close()


def test_counting_is_rare(place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check does not count every row for every document."""
    ledger = place.open()
    admission = Admission(ledger.database, ledger.owed, limit=10**9)
    counted = []
    count = admission._count
    monkeypatch.setattr(admission, "_count", lambda queue: counted.append(queue) or count(queue))
    monkeypatch.setattr("ledger.admission.COUNTING_SHARE", 1e-9)
    monkeypatch.setattr("ledger.admission.LONGEST_SECONDS", 1e9)
    for _ in range(1000):
        admission.admit("interactive")
    assert len(counted) == 1
    ledger.close()
