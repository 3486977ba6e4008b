"""Long jobs in the ledger: leased to one worker, never lost, and finished once."""

from __future__ import annotations

import pytest

from ledger import Job, Ledger, Viewer
from ledger.errors import (
    IdempotencyConflict,
    NotCancellable,
    NotFound,
    NotRetryable,
    TooMuchOwed,
)
from tests.ledger.conftest import Clock, Place

ALERT = {"number": "T1", "card": "C", "terminal": "S", "paid_at": "2026-01-01T10:00:00"}


def add(ledger: Ledger, viewer: Viewer, body: bytes = b"table", **other: object) -> Job:
    said = {"queue": "series", "task": "fraud", "name": "a", "options": {}, **other}
    return ledger.jobs.add(viewer, input=ledger.files.put(body), input_name="a.csv", **said)  # type: ignore[arg-type]


def claim(ledger: Ledger, holder: str = "worker") -> Job | None:
    return ledger.jobs.claim("series", holder=holder, lease_seconds=60)


def test_one_worker_has_it_and_only_that_one_ends_it(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """Who lost the lease changes nothing: two results of one job would be two truths."""
    job = add(ledger, viewer)
    assert claim(ledger, "first") is not None
    assert claim(ledger, "second") is None
    status = ledger.jobs.status()["series"]
    assert (status["owed"], status["leased"]) == (1, 1)
    assert ledger.jobs.report(job.id, holder="first", progress={"step": "reading"})
    clock.seconds += 61
    again = claim(ledger, "second")
    assert again is not None
    assert again.attempts == 2
    output = {"scores.parquet": ledger.files.put(b"scores")}
    said = {"result": {"n": 1}, "outputs": output}
    assert not ledger.jobs.finish(job.id, holder="first", **said)  # type: ignore[arg-type]
    found = [ALERT | {"amount": 1.0, "score": 0.5, "reasons": []}]
    assert ledger.jobs.finish(job.id, holder="second", found=found, **said)  # type: ignore[arg-type]
    assert not ledger.jobs.finish(job.id, holder="second", found=found, **said)  # type: ignore[arg-type]
    done = ledger.jobs.get(job.id, viewer)
    assert (done.state, done.result, done.progress) == ("done", {"n": 1}, {"step": "reading"})
    assert done.outputs["scores.parquet"].size == 6
    assert len(ledger.alerts.list(viewer, job_id=job.id).items) == 1


def test_lost_workers_are_counted_and_the_end_is_seen(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """A job that kills its workers ends as a failure that its owner reads, and can be retried."""
    job = add(ledger, viewer)
    for _ in range(3):
        assert claim(ledger) is not None
        clock.seconds += 61
    assert claim(ledger) is None
    assert ledger.jobs.set_aside() == [job.id]
    assert ledger.jobs.set_aside() == []
    failed = ledger.jobs.get(job.id, viewer)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == ("failed", "worker_lost")
    assert ledger.jobs.retry(job.id, viewer).state == "waiting"
    with pytest.raises(NotRetryable):
        ledger.jobs.retry(job.id, viewer)
    assert claim(ledger) is not None


def test_dead_holders_are_not_waited_for(ledger: Ledger, viewer: Viewer) -> None:
    """A job is free at once when its worker is known to be gone, and a clean stop costs nothing."""
    job = add(ledger, viewer)
    claim(ledger, "dead")
    assert ledger.jobs.holders() == ["dead"]
    assert ledger.jobs.release(["dead"]) == 1
    again = claim(ledger, "alive")
    assert again is not None
    assert again.attempts == 2
    ledger.jobs.give_back(job.id, holder="alive")
    assert ledger.jobs.get(job.id, viewer).attempts == 1


def test_cancelled_is_lost_to_its_worker(ledger: Ledger, viewer: Viewer) -> None:
    """The worker hears of it at its next look, and can no longer finish it."""
    job = add(ledger, viewer)
    claim(ledger)
    assert ledger.jobs.holds(job.id, "worker")
    assert ledger.jobs.cancel(job.id, viewer).state == "cancelled"
    assert ledger.jobs.cancel(job.id, viewer).state == "cancelled"
    assert not ledger.jobs.holds(job.id, "worker")
    assert ledger.jobs.extend([job.id], holder="worker", lease_seconds=60) == []
    assert not ledger.jobs.finish(job.id, holder="worker", result={}, outputs={})
    ledger.jobs.retry(job.id, viewer)
    claim(ledger)
    assert ledger.jobs.finish(job.id, holder="worker", result={}, outputs={})
    with pytest.raises(NotCancellable):
        ledger.jobs.cancel(job.id, viewer)


def test_put_off_waits_and_is_final_at_the_cap(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """What may pass is tried again after a pause, and not for ever."""
    job = add(ledger, viewer)
    error = {"code": "storage_full", "message": "full"}
    for _ in range(3):
        assert claim(ledger) is not None
        ledger.jobs.put_off(job.id, holder="worker", error=error, delay_seconds=10)
        assert claim(ledger) is None
        clock.seconds += 11
    assert ledger.jobs.get(job.id, viewer).error == error


def test_a_key_is_one_job_and_files_stay_as_long_as_they_are_named(
    ledger: Ledger, viewer: Viewer
) -> None:
    """A request that was sent twice is one job; erasing it frees its files, not before."""
    job = add(ledger, viewer, idempotency_key="k")
    assert add(ledger, viewer, idempotency_key="k").repeated
    with pytest.raises(IdempotencyConflict):
        add(ledger, viewer, b"another", idempotency_key="k")
    claim(ledger)
    output = ledger.files.put(b"scores")
    ledger.jobs.finish(job.id, holder="worker", result={}, outputs={"scores.parquet": output})
    ledger.tidy(orphan_seconds=-1)
    assert ledger.files.has(str(job.input_sha256))
    assert ledger.files.has(output)
    ledger.jobs.delete(job.id, viewer)
    assert not ledger.files.has(str(job.input_sha256))
    assert not ledger.files.has(output)
    with pytest.raises(NotFound):
        ledger.jobs.get(job.id, viewer)


def test_too_many_are_refused(place: Place, viewer: Viewer) -> None:
    """One workspace cannot fill the queue without end."""
    ledger = place.open(batches_limit=2)
    add(ledger, viewer)
    add(ledger, viewer)
    with pytest.raises(TooMuchOwed):
        add(ledger, viewer)
    ledger.close()


def test_alerts_are_worked_from_the_top_and_verdicts_kept(ledger: Ledger, viewer: Viewer) -> None:
    """The highest score comes first on every page, and who said what is never overwritten."""
    job = add(ledger, viewer)
    claim(ledger)
    found = [ALERT | {"amount": 1.0, "score": i / 10, "reasons": []} for i in (3, 9, 5, 5)]
    ledger.jobs.finish(job.id, holder="worker", result={}, outputs={}, found=found)
    first = ledger.alerts.list(viewer, job_id=job.id, limit=2)
    rest = ledger.alerts.list(viewer, job_id=job.id, limit=2, after=first.after)
    assert [one.score for one in (*first.items, *rest.items)] == [0.9, 0.5, 0.5, 0.3]
    assert len(ledger.alerts.list(viewer, job_id=job.id, least=0.5).items) == 3
    top = first.items[0]
    ledger.alerts.decide(top.id, "confirmed", viewer, note="called")
    ledger.alerts.decide(top.id, "dismissed", Viewer("ours", "bert"))
    said = [(one.state, one.actor) for one in ledger.alerts.verdicts(top.id, viewer)]
    assert said == [("dismissed", "bert"), ("confirmed", "anna")]
    assert ledger.alerts.counts(viewer, job_id=job.id) == {
        "open": 3,
        "confirmed": 0,
        "dismissed": 1,
    }
