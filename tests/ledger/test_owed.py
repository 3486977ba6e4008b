"""Owed work: who gets what, in which order, and that it ends once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ledger import Finished, Ledger, Viewer
from ledger import owed as owed_module
from ledger.rank import AGEING
from tests.ledger.conftest import OUTCOME, Clock, Place, claim

STEP = AGEING / 1_000_000  # seconds
ERROR = {"code": "broken_pipe", "message": "The model server went away."}


def accept(ledger: Ledger, viewer: Viewer, body: bytes = b"x", **options: object) -> str:
    """Hand in a document and return its id."""
    return ledger.documents.accept(body, viewer=viewer, source="api", **options).id  # type: ignore[arg-type]


def test_a_claim_is_a_lease(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """While a lease lasts nobody else is given the row; when it lapses somebody is."""
    document_id = accept(ledger, viewer)
    (first,) = claim(ledger, "one")
    assert claim(ledger, "two") == []
    clock.seconds += 59
    assert claim(ledger, "two") == []

    clock.seconds += 2
    (second,) = claim(ledger, "two")

    assert (first.id, first.attempts) == (second.id, 1)
    assert (second.document_id, second.attempts) == (document_id, 2)
    assert ledger.owed.finish([Finished(first.id, outcome={"by": 1})], holder="one") == []
    assert ledger.owed.finish([Finished(first.id, outcome={"by": 2})], holder="two") == [
        document_id
    ]
    assert ledger.documents.get(document_id, viewer).outcome == {"by": 2}


def test_a_late_worker_may_finish_what_nobody_took(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """A lapsed lease that is still the worker's own loses no work."""
    document_id = accept(ledger, viewer)
    (owed,) = claim(ledger)
    clock.seconds += 3600
    assert ledger.owed.finish([Finished(owed.id, outcome=OUTCOME)], holder="worker") == [
        document_id
    ]


def test_finishing_twice_is_once(ledger: Ledger, viewer: Viewer) -> None:
    """A second run of a task adds no second result."""
    document_id = accept(ledger, viewer)
    (owed,) = claim(ledger)
    finished = [Finished(owed.id, outcome=OUTCOME), Finished(owed.id, outcome=OUTCOME)]
    assert ledger.owed.finish(finished, holder="worker") == [document_id]
    assert ledger.owed.finish(finished, holder="worker") == []
    assert len(ledger.documents.results(document_id, viewer)) == 1


def test_what_failed_before_comes_alone(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A document that may have killed a worker takes nobody else's reading with it."""
    ids = [accept(ledger, viewer) for _ in range(4)]
    assert len(claim(ledger, "dies")) == 4
    clock.seconds += 61
    ids.append(accept(ledger, viewer))

    batches = [[one.document_id for one in claim(ledger, "next")] for _ in range(6)]

    assert batches == [[document_id] for document_id in ids] + [[]]


def test_new_work_is_not_behind_the_suspects(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """When a fresh row is first, those that failed before are left for a turn of their own."""
    suspect = accept(ledger, viewer, priority=9)
    claim(ledger, "dies")
    clock.seconds += 61
    fresh = [accept(ledger, viewer, priority=0) for _ in range(3)]

    assert [one.document_id for one in claim(ledger)] == fresh
    assert [one.document_id for one in claim(ledger)] == [suspect]


def test_budget(ledger: Ledger, viewer: Viewer) -> None:
    """A claim stays within items and size, but one that is too large is still taken."""
    ids = [accept(ledger, viewer, b"x" * 40) for _ in range(4)] + [
        accept(ledger, viewer, b"y" * 999)
    ]

    def taken(**options: object) -> list[str]:
        return [one.document_id for one in claim(ledger, **options)]  # type: ignore[arg-type]

    assert taken(items=1) == ids[:1]
    assert taken(characters=80) == ids[1:3]
    assert taken(characters=100) == ids[3:4]
    assert taken(characters=100) == ids[4:]
    assert taken() == []


def test_queues_stay_apart(ledger: Ledger, viewer: Viewer) -> None:
    """Bulk work is not seen by who reads for people."""
    accept(ledger, viewer, queue="bulk")
    assert claim(ledger) == []
    assert ledger.owed.outstanding("interactive") == 0
    assert ledger.owed.outstanding("bulk") == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    arrivals=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.floats(0, 2 * STEP),
            st.none() | st.floats(-STEP, 12 * STEP),
        ),
        min_size=1,
        max_size=8,
    )
)
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_order(
    ledger: Ledger,
    viewer: Viewer,
    clock: Clock,
    arrivals: list[tuple[int, float, float | None]],
) -> None:
    """The order is the documented one, for any mix of priorities, times and deadlines."""
    expected = []
    for priority, pause, allowed in arrivals:
        clock.seconds += pause
        deadline = None
        if allowed is not None:
            deadline = datetime.fromtimestamp(clock.seconds, UTC) + timedelta(seconds=allowed)
        document_id = accept(ledger, viewer, priority=priority, deadline=deadline)
        aged = clock.seconds + priority * STEP
        rank = aged if allowed is None else min(aged, clock.seconds + allowed)
        expected.append((round(rank, 3), document_id))

    claimed = claim(ledger)
    ledger.owed.finish([Finished(one.id, outcome={}) for one in claimed], holder="worker")

    taken = [one.document_id for one in claimed]
    assert taken == [document_id for _, document_id in sorted(expected)]
    assert ledger.owed.outstanding("interactive") == 0


def test_nothing_waits_for_ever_behind_urgent_work(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """Under a stream of the most urgent work, the least urgent is read within its bound."""
    patient = accept(ledger, viewer, priority=9)
    waited = 0.0
    while True:
        accept(ledger, viewer, priority=0)
        accept(ledger, viewer, priority=0)  # twice what is read: the queue only grows
        (taken,) = claim(ledger, items=1)
        if taken.document_id == patient:
            break
        ledger.owed.finish([Finished(taken.id, outcome={})], holder="worker")
        clock.seconds += STEP
        waited += STEP
        assert waited <= 2 * (9 + 1) * STEP


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_order_is_the_same_on_both(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """Smaller priority first, then age, and a near deadline before both."""
    low = accept(ledger, viewer, priority=8)
    high = accept(ledger, viewer, priority=1)
    clock.seconds += 1
    also_high = accept(ledger, viewer, priority=1)
    soon = datetime.fromtimestamp(clock.seconds + 5, UTC)
    urgent = accept(ledger, viewer, priority=9, deadline=soon)
    assert [one.document_id for one in claim(ledger)] == [urgent, high, also_high, low]


def test_put_off(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A transient failure waits its pause, and at the cap it is a failure people see."""
    document_id = accept(ledger, viewer)
    for attempt in (1, 2, 3):
        (owed,) = claim(ledger)
        assert owed.attempts == attempt
        assert ledger.documents.get(document_id, viewer).attempts == attempt
        ledger.owed.put_off(
            [(owed.id, ERROR)], holder="worker", attempts_allowed=3, delay_seconds=10
        )
        assert claim(ledger) == []
        clock.seconds += 11

    document = ledger.documents.get(document_id, viewer)
    assert (document.state, document.error, document.attempts) == ("failed", ERROR, 3)
    assert claim(ledger) == []
    assert ledger.documents.retry(document_id, viewer).attempts == 0


def test_put_off_by_another_changes_nothing(ledger: Ledger, viewer: Viewer) -> None:
    """Only the holder of a lease can let go of it, fail it, or renew it."""
    document_id = accept(ledger, viewer)
    (owed,) = claim(ledger)
    ledger.owed.put_off([(owed.id, ERROR)], holder="other", attempts_allowed=1, delay_seconds=0)
    ledger.owed.give_back([owed.id], holder="other")
    assert ledger.owed.extend([owed.id], holder="other", lease_seconds=999) == []
    assert ledger.documents.get(document_id, viewer).state == "running"
    assert claim(ledger) == []


def test_give_back_counts_no_attempt(ledger: Ledger, viewer: Viewer) -> None:
    """A clean stop is not the document's fault: it is free at once, and not a suspect."""
    accept(ledger, viewer)
    document_id = accept(ledger, viewer)
    ledger.owed.give_back([one.id for one in claim(ledger)], holder="worker")

    document = ledger.documents.get(document_id, viewer)
    assert (document.state, document.attempts) == ("waiting", 0)
    assert [one.attempts for one in claim(ledger)] == [1, 1]


def test_extend(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A worker that is slow and alive keeps its lease."""
    accept(ledger, viewer)
    (owed,) = claim(ledger)
    clock.seconds += 50
    assert ledger.owed.extend([owed.id], holder="worker", lease_seconds=60) == [owed.id]
    clock.seconds += 50
    assert claim(ledger, "other") == []


def test_set_aside(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """What stops a worker every time is handed out so often, then failed where people see it."""
    killer = accept(ledger, viewer)
    for _ in range(3):
        assert len(claim(ledger, "dies")) == 1
        assert ledger.owed.set_aside(3) == []  # it may be at work
        clock.seconds += 61

    assert claim(ledger) == []
    assert ledger.owed.outstanding("interactive") == 0
    assert ledger.owed.set_aside(3) == [killer]
    assert ledger.owed.set_aside(3) == []
    document = ledger.documents.get(killer, viewer)
    assert document.state == "failed"
    assert document.error is not None
    assert document.error["code"] == "worker_lost"
    assert ledger.documents.original(killer, viewer)[1] == b"x"


def test_leases_of_the_dead_are_released(ledger: Ledger, viewer: Viewer) -> None:
    """Who knows that a worker died need not wait for its leases; the attempt is counted."""
    for _ in range(2):
        accept(ledger, viewer)
    claim(ledger, "dead", items=1)
    claim(ledger, "alive", items=1)
    assert sorted(ledger.owed.holders()) == ["alive", "dead"]

    assert ledger.owed.release(["dead"]) == 1

    assert ledger.owed.holders() == ["alive"]
    assert [one.attempts for one in claim(ledger)] == [2]


def test_one_that_cannot_be_kept_fails_alone(ledger: Ledger, viewer: Viewer) -> None:
    """An outcome that is no JSON is that document's failure, not its batch's."""
    ids = [accept(ledger, viewer) for _ in range(5)]
    bad: list[dict] = [{"p": float("nan")}, {"p": object()}, {"p": {1, 2}}]
    outcomes = [OUTCOME, *bad, OUTCOME]
    claimed = claim(ledger)
    finished = [Finished(one.id, outcome=o) for one, o in zip(claimed, outcomes, strict=True)]

    assert sorted(ledger.owed.finish(finished, holder="worker")) == sorted(ids)
    documents = [ledger.documents.get(document_id, viewer) for document_id in ids]
    assert [one.state for one in documents] == ["done", "failed", "failed", "failed", "done"]
    assert {one.error["code"] for one in documents[1:4] if one.error} == {"bad_outcome"}


def test_status_and_throughput(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """Figures for metrics and health are what happened."""
    for _ in range(3):
        accept(ledger, viewer)
    accept(ledger, viewer, queue="bulk")
    clock.seconds += 30
    claimed = claim(ledger, items=2)

    assert ledger.owed.status() == {
        "interactive": {"owed": 3, "claimable": 1, "leased": 2, "oldest_seconds": 30.0},
        "bulk": {"owed": 1, "claimable": 1, "leased": 0, "oldest_seconds": 30.0},
    }
    ends = [Finished(claimed[0].id, outcome=OUTCOME), Finished(claimed[1].id, error=ERROR)]
    ledger.owed.finish(ends, holder="worker")
    assert ledger.owed.throughput("interactive", seconds=10) == pytest.approx(0.2)
    assert ledger.owed.throughput("bulk") == 0
    clock.seconds += 120
    assert ledger.owed.throughput("interactive") == 0


def test_concurrent_claimers_share_nothing(place: Place, viewer: Viewer) -> None:
    """Claims at the same moment give every row to one worker, and leave none behind."""
    ledgers = [place.open() for _ in range(6)]
    ids = {accept(ledgers[0], viewer) for _ in range(60)}
    taken: list[str] = []
    ready = threading.Barrier(len(ledgers))

    def work(ledger: Ledger, holder: str) -> None:
        ready.wait()
        while claimed := claim(ledger, holder, items=4):
            taken.extend(one.document_id for one in claimed)

    threads = [
        threading.Thread(target=work, args=[ledger, f"worker-{i}"])
        for i, ledger in enumerate(ledgers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(ids)
    assert set(taken) == ids
    for ledger in ledgers:
        ledger.close()


def test_large_batches(ledger: Ledger, viewer: Viewer) -> None:
    """More rows in a batch than a statement has room for are still one batch."""
    ids = [accept(ledger, viewer) for _ in range(520)]
    claimed = claim(ledger, items=2_000, characters=10**9)
    assert [one.document_id for one in claimed] == ids
    assert ledger.owed.bodies(claimed) == [b"x"] * len(ids)
    owed_ids = [one.id for one in claimed]
    assert len(ledger.owed.extend(owed_ids, holder="worker", lease_seconds=9)) == len(ids)
    finished = [Finished(one.id, outcome=OUTCOME, text="x") for one in claimed]
    assert len(ledger.owed.finish(finished, holder="worker")) == len(ids)
    assert ledger.documents.counts(viewer)["done"] == len(ids)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_claim_sorts_nothing(ledger: Ledger) -> None:
    """However much is owed, the next rows are read in order from an index."""
    query = owed_module._next("interactive", 1, 3, 128)
    with ledger.database.reading() as connection:
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
    assert "ix_owed_queue_rank_id" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
