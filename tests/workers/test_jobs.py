"""Long jobs on real workers: each in a process of its own, and none is ever lost."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from celery import Celery

from ledger import Job
from tests.workers.installation import VIEWER, Installation
from tests.workers.waiting import eventually
from workers.context import Context
from workers.job_desk import JobDesk

ENDED = {"done", "failed", "cancelled"}


@pytest.fixture
def mailroom(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose jobs are soon tried again."""
    installation = Installation(tmp_path, attempts=2)
    yield installation
    installation.close()


def sales(days: int, *, bad: str | None = None) -> bytes:
    """Return a small shop's history; `bad` is what stands for the units of its fifth row."""
    lines = ["shop,date,units"]
    for i in range(days):
        units = bad if bad is not None and i == 4 else str(10 + i % 7 + i * 7 % 5)
        lines.append(f"A,{date(2026, 1, 1) + timedelta(days=i)},{units}")
    return "\n".join(lines).encode()


def add(mailroom: Installation, task: str, body: bytes | None = None, **options: object) -> Job:
    """Hand in a job as the API does."""
    sha256 = None if body is None else mailroom.ledger.files.put(body)
    job = mailroom.ledger.jobs.add(
        VIEWER,
        queue="series",
        task=task,
        name="a job",
        options=options,
        input=sha256,
        input_name="sales.csv" if body else "",
    )
    mailroom.client.ring("series")
    return job


def get(mailroom: Installation, job: Job) -> Job:
    return mailroom.ledger.jobs.get(job.id, VIEWER)


def ended(mailroom: Installation, job: Job) -> Job:
    eventually(lambda: get(mailroom, job).state in ENDED, seconds=120, what="the job goes on")
    return get(mailroom, job)


def processes(of: int) -> list[int]:
    """Return the ids of the job processes that the pool's children of a worker started."""
    found = []
    for child in _children(of):
        for pid in _children(child):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"workers.jobs.process" in command:
                found.append(pid)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(one) for one in path.read_text().split()]
    return found


def test_a_table_becomes_a_forecast_and_a_bad_row_a_sentence(mailroom: Installation) -> None:
    """What people ask of a table comes back as files; what is wrong with it names its row."""
    worker = mailroom.worker("series")
    good = add(mailroom, "demand", sales(60), horizon=7)
    bad = add(mailroom, "demand", sales(60, bad="-3"), horizon=7)

    assert (done := ended(mailroom, good)).error is None
    assert set(done.outputs) == {"forecast.parquet", "fan.parquet", "series.parquet"}
    assert done.result is not None
    assert done.result["forecasts"] == 7
    assert done.progress is not None
    failed = ended(mailroom, bad)
    assert failed.state == "failed"
    assert failed.error is not None
    assert (failed.error["code"], failed.error["row"]) == ("bad_value", 5)
    assert failed.attempts == 1  # what its owner can put right is not tried again
    assert worker.process.poll() is None


def test_a_killed_process_costs_an_attempt_and_then_shows(mailroom: Installation) -> None:
    """A job that takes too much memory is tried again, and at the cap its owner sees it."""
    worker = mailroom.worker("series")
    mailroom.scheduler()
    job = add(mailroom, "fraud", demonstration=True)
    for attempt in (1, 2):
        eventually(lambda: get(mailroom, job).attempts == attempt)  # noqa: B023
        (pid,) = eventually(lambda: processes(worker.process.pid), what="no process of the job")
        os.kill(pid, signal.SIGKILL)

    failed = ended(mailroom, job)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"
    assert worker.process.poll() is None  # and the worker goes on


def test_a_killed_worker_takes_its_job_along_and_another_does_it(mailroom: Installation) -> None:
    """After SIGKILL to the worker nothing of it computes on, and the job is done elsewhere."""
    first = mailroom.worker("series")
    job = add(mailroom, "fraud", demonstration=True)
    (pid,) = eventually(lambda: processes(first.process.pid), what="no process of the job")
    first.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the process computes on")

    mailroom.worker("series")
    mailroom.client.ring("series")
    done = ended(mailroom, job)
    assert (done.state, done.attempts) == ("done", 2)
    found = mailroom.ledger.alerts.list(VIEWER, job_id=job.id).items
    assert found  # once: the first attempt left nothing
    assert len({one.number for one in found}) == len(found)


def test_a_bell_heard_while_it_rings_starts_the_next_job(mailroom: Installation) -> None:
    """The worker may answer before the ring returns; the next job must not wait for another."""
    rung: queue.Queue[str] = queue.Queue()
    answered = threading.Event()

    class Slow(Context):
        """Rings, and does not go on before the bell was answered."""

        def ring(self, app: Celery, queue: str) -> None:
            rung.put(queue)
            answered.wait(60)

    bad = [add(mailroom, "demand", b"no,table", horizon=7) for _ in range(2)]
    context = Slow(mailroom.settings)
    desk = JobDesk(Celery(), context, "series")
    try:
        desk.work()
        assert rung.get(timeout=60) == "series"
        desk.work()
        assert {get(mailroom, job).state for job in bad} == {"failed", "running"}
    finally:
        answered.set()
        desk.stop()
        context.close()


def test_cancelled_is_ended_and_a_stopping_worker_gives_back(mailroom: Installation) -> None:
    """People need not wait for what they no longer want, nor a machine for its jobs' end."""
    worker = mailroom.worker("series")
    unwanted = add(mailroom, "fraud", demonstration=True)
    (pid,) = eventually(lambda: processes(worker.process.pid), what="no process of the job")
    mailroom.ledger.jobs.cancel(unwanted.id, VIEWER)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the process computes on")

    wanted = add(mailroom, "fraud", demonstration=True)
    eventually(lambda: get(mailroom, wanted).state == "running")
    assert worker.stop() == 0
    back = get(mailroom, wanted)
    assert (back.state, back.attempts) == ("waiting", 0)
    assert get(mailroom, unwanted).state == "cancelled"
