"""Owed deliveries: written with their result, carried out once, tried again, logged."""

from __future__ import annotations

import pytest

from ledger import Delivery, Finished, Ledger, Viewer
from ledger.errors import NotCancellable, NotFound, NotRetryable
from tests.ledger.conftest import OUTCOME, Clock, claim

REFUSED = {"code": "refused", "message": "It said 503.", "status": 503}


def owe(ledger: Ledger, viewer: Viewer, number: int = 1) -> list[str]:
    """Finish a document that asks for deliveries and return their ids, oldest first."""
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    (owed,) = claim(ledger)
    wanted = tuple({"connector": "webhook", "payload": {"n": n}} for n in range(number))
    ledger.owed.finish([Finished(owed.id, outcome=OUTCOME, deliveries=wanted)], holder="worker")
    return [one.id for one in ledger.deliveries.list(viewer)][::-1]


def take(ledger: Ledger, holder: str = "worker", items: int = 1) -> list[Delivery]:
    return ledger.deliveries.claim(holder=holder, lease_seconds=60, items=items)


def test_carried_out(ledger: Ledger, viewer: Viewer) -> None:
    """A delivery is claimed, done, and its log says what happened."""
    (delivery_id,) = owe(ledger, viewer)
    assert ledger.deliveries.outstanding() == 1
    (delivery,) = take(ledger)
    assert (delivery.payload, delivery.connector, delivery.attempts) == ({"n": 0}, "webhook", 1)
    assert take(ledger, "other") == []

    assert ledger.deliveries.finish(delivery_id, holder="worker", entry={"status": 200})

    done = ledger.deliveries.get(delivery_id, viewer)
    assert (done.state, done.not_before) == ("done", None)
    assert [(entry["attempt"], entry["status"]) for entry in done.log] == [(1, 200)]
    assert not ledger.deliveries.finish(delivery_id, holder="worker")
    assert ledger.deliveries.outstanding() == 0


def test_no_result_no_delivery(ledger: Ledger, viewer: Viewer) -> None:
    """A worker that lost its lease sends nothing: the delivery stands or falls with the result."""
    ledger.documents.accept(b"x", viewer=viewer, source="api")
    (owed,) = claim(ledger)
    wanted = ({"connector": "webhook", "payload": 1},)
    ledger.owed.finish([Finished(owed.id, outcome=OUTCOME, deliveries=wanted)], holder="other")
    assert ledger.deliveries.list(viewer) == []


def test_put_off_then_failed_then_replayed(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """It is tried again after its pause, fails for good at the cap, and can be replayed."""
    (delivery_id,) = owe(ledger, viewer)
    for _ in range(2):
        assert len(take(ledger)) == 1
        assert ledger.deliveries.put_off(
            delivery_id, REFUSED, holder="worker", delay_seconds=10, attempts_allowed=2
        )
        assert take(ledger) == []
        clock.seconds += 11
    failed = ledger.deliveries.get(delivery_id, viewer)
    assert failed.state == "failed"
    assert [entry["status"] for entry in failed.log] == [503, 503]

    replayed = ledger.deliveries.replay(delivery_id, viewer)
    assert (replayed.state, replayed.attempts, len(replayed.log)) == ("waiting", 0, 3)
    assert (replayed.log[2]["action"], replayed.log[2]["by"]) == ("replayed", viewer.actor)
    with pytest.raises(NotRetryable):
        ledger.deliveries.replay(delivery_id, viewer)
    assert len(take(ledger)) == 1


def test_a_person_holds_releases_and_gives_up(ledger: Ledger, viewer: Viewer) -> None:
    """What somebody stopped in time is not sent by a worker that comes a moment later."""
    held, dropped, sent = owe(ledger, viewer, 3)
    assert ledger.deliveries.hold(held, viewer).state == "held"
    assert ledger.deliveries.cancel(dropped, viewer).state == "cancelled"
    assert [one.id for one in take(ledger, items=10)] == [sent]
    for stop in (ledger.deliveries.hold, ledger.deliveries.cancel):
        with pytest.raises(NotCancellable):  # a worker has it: too late
            stop(sent, viewer)
    with pytest.raises(NotRetryable):
        ledger.deliveries.release(dropped, viewer)
    counts = ledger.deliveries.counts(viewer)
    assert {state: n for state, n in counts.items() if n} == {
        "held": 1, "cancelled": 1, "running": 1
    }  # fmt: skip
    released = ledger.deliveries.release(held, viewer)
    assert [entry["action"] for entry in released.log] == ["held", "released"]
    ledger.deliveries.replay(dropped, viewer)
    assert {one.id for one in take(ledger, items=10)} == {held, dropped}


def test_a_lapsed_lease_is_taken_up_and_alone(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """What a dead worker held is carried out by another, apart from the rest."""
    ids = owe(ledger, viewer, 3)
    assert len(take(ledger, "dies", items=10)) == 3
    clock.seconds += 61
    assert [one.id for one in take(ledger, items=10)] == ids[:1]
    assert not ledger.deliveries.finish(ids[0], holder="dies")
    assert ledger.deliveries.finish(ids[0], holder="worker")


def test_what_stops_workers_is_given_up(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A delivery whose workers never come back fails where people see it."""
    (delivery_id,) = owe(ledger, viewer)
    for _ in range(8):
        assert len(take(ledger, "dies")) == 1
        clock.seconds += 61
    assert take(ledger) == []
    given_up = ledger.deliveries.get(delivery_id, viewer)
    assert (given_up.state, given_up.log[-1]["code"]) == ("failed", "worker_lost")


def test_connectors_can_be_served_apart(ledger: Ledger, viewer: Viewer) -> None:
    """A worker for one connector is not given another's deliveries."""
    owe(ledger, viewer)
    assert ledger.deliveries.claim(holder="h", lease_seconds=9, connector="smtp") == []
    assert len(ledger.deliveries.claim(holder="h", lease_seconds=9, connector="webhook")) == 1
    assert ledger.deliveries.list(viewer, state="running", connector="webhook")
    with pytest.raises(NotFound):
        ledger.deliveries.get("x", viewer)
