"""Jobs: long work on one file, a forecast or a training, as people see it and workers do it.

A job is handed in by a viewer and claimed by one worker, under a lease that it keeps up; who lost
the lease changes nothing any more. Outputs are files of the file store, so any host can read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from ledger import audit, leases
from ledger.alerts import alert_row
from ledger.columns import SECOND, clean, dump_json, new_id, to_datetime
from ledger.database import Database
from ledger.errors import NotCancellable, NotFound, NotRead, NotRetryable, TooMuchOwed
from ledger.models import insert_model
from ledger.originals import Originals
from ledger.schema import alerts, job_outputs, jobs
from ledger.shelf import Key, Page, Shelf
from ledger.viewer import Viewer, visible

Ids = list[str]
SHELF = Shelf(jobs, "job")
JOB_STATES = ("waiting", "running", "done", "failed", "cancelled")
UNFINISHED = ("waiting", "running")
FULL_SECONDS = 60
WORKER_LOST = {
    "code": "worker_lost",
    "message": "The process that worked on this was ended every time, which mostly means that it "
    "wanted more memory than there is. Try again with less, or with more memory.",
}


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that a job left; `size` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """Long work and what came of it; times are aware and in UTC.

    `progress` is what the task last said of itself; `result` is plain JSON, `outputs` are files.
    """

    id: str
    workspace: str
    actor: str
    queue: str
    task: str
    name: str
    options: dict[str, Any]
    input_name: str
    input_sha256: str | None
    input_size: int | None
    state: str
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outputs: dict[str, Output] = field(default_factory=dict)
    repeated: bool = False


class Jobs:
    """What takes a viewer sees their workspace only; the rest is the workers'."""

    def __init__(
        self, database: Database, originals: Originals, *, attempts_allowed: int, limit: int
    ) -> None:
        self._database = database
        self._originals = originals
        self._attempts_allowed = attempts_allowed
        self._limit = limit

    def add(
        self,
        viewer: Viewer,
        *,
        queue: str,
        task: str,
        name: str,
        options: dict[str, Any],
        input: str | None = None,  # noqa: A002 (as callers think of it)
        input_size: int | None = None,
        input_name: str = "",
        idempotency_key: str | None = None,
    ) -> Job:
        """Owe a job; durable when it returns. `input` is the sha256 of a file already stored.

        The same idempotency key with the same request returns the same job, `repeated`. Raises
        IdempotencyConflict, BodyMissing, and TooMuchOwed when too many are unfinished.
        """
        viewer.require("write")
        asked = "\0".join((queue, task, name, dump_json(options), input or ""))
        key = Key.of(idempotency_key, asked)
        said = {
            "workspace": viewer.workspace,
            "actor": clean(viewer.actor),
            "queue": queue,
            "task": task,
            "name": clean(name),
            "options": options,
            "input_name": clean(input_name),
            "input_sha256": input,
            "input_size": input_size,
            "state": "waiting",
            "attempts": 0,
            "free_at": self._database.now(),
            "created_at": to_datetime(self._database.now()),
        }

        def add() -> Job:
            job_id = new_id()
            self._insert({"id": job_id, **said, **key.columns()}, viewer)
            return self._get(job_id, viewer)

        job, is_repeated = SHELF.once(
            self._database,
            key,
            viewer,
            add=add,
            find=lambda earlier: self._get(earlier, viewer),
            differs="another job",
        )
        return replace(job, repeated=True) if is_repeated else job

    def get(self, job_id: str, viewer: Viewer) -> Job:
        """Return a job with its result and outputs; raises NotFound."""
        viewer.require("read")
        return self._get(job_id, viewer)

    def list(
        self,
        viewer: Viewer,
        *,
        task: str | None = None,
        queue: str | None = None,
        state: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Job]:
        """Return jobs, newest first, without outputs; `after` is that of the page before."""
        viewer.require("read")
        exact = {"task": task, "queue": queue, "state": state}
        with self._database.reading() as connection:
            return SHELF.page(connection, viewer, _from_row, exact=exact, limit=limit, after=after)

    def output(self, job_id: str, name: str, viewer: Viewer) -> Output:
        """Return where an output is; raises NotFound, and NotRead until there is one."""
        job = self.get(job_id, viewer)
        if name in job.outputs:
            return job.outputs[name]
        if job.state in UNFINISHED:
            raise NotRead("the job is not done yet")
        raise NotFound("the job left no file of this name")

    def cancel(self, job_id: str, viewer: Viewer) -> Job:
        """Stop a job that is not finished; its worker ends it within seconds. Twice is once."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, job_id, viewer)
            if row.state in UNFINISHED:
                values = {"state": "cancelled", "finished_at": to_datetime(self._database.now())}
                self._set(connection, row.id, free_at=None, holder=None, **values)
                self._record(connection, viewer, "job cancelled", row.id)
            elif row.state != "cancelled":
                raise NotCancellable(f"the job is {row.state}")
        return self._get(job_id, viewer)

    def retry(self, job_id: str, viewer: Viewer) -> Job:
        """Owe a failed or cancelled job again, from the start. Raises NotRetryable."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = SHELF.lock(connection, job_id, viewer)
            if row.state not in ("failed", "cancelled"):
                raise NotRetryable(f"the job is {row.state}")
            now = self._database.now()
            values = {"state": "waiting", "attempts": 0, "free_at": now, "holder": None}
            values |= {"error": None, "progress": None, "started_at": None, "finished_at": None}
            self._set(connection, row.id, **values)
            self._record(connection, viewer, "job retried", row.id)
        return self._get(job_id, viewer)

    def delete(self, job_id: str, viewer: Viewer) -> None:
        """Erase a job, its input, outputs and alerts; an audit line stays."""
        viewer.require("write")
        job = self._get(job_id, viewer)
        with self._database.writing() as connection:
            connection.execute(delete(jobs).where(SHELF.one(job.id, viewer)))
            self._record(connection, viewer, "job deleted", job.id)
        wanted = {job.input_sha256, *(one.sha256 for one in job.outputs.values())}
        for sha256 in sorted(one for one in wanted if one is not None):
            self._originals.discard(sha256)

    def counts(self, viewer: Viewer, *, queue: str | None = None) -> dict[str, int]:
        """Return how many jobs there are in each state, of one queue or of all."""
        viewer.require("read")
        query = select(jobs.c.state, func.count()).where(visible(jobs, viewer))
        if queue is not None:
            query = query.where(jobs.c.queue == queue)
        with self._database.reading() as connection:
            found = {
                str(row[0]): int(row[1]) for row in connection.execute(query.group_by(jobs.c.state))
            }
        return {state: found.get(state, 0) for state in JOB_STATES}

    # What follows is the workers': it knows no viewer and sees every workspace.

    def claim(self, queue: str, *, holder: str, lease_seconds: float) -> Job | None:
        """Take a lease on the oldest free job and count an attempt; None when there is none."""
        if not self.outstanding(queue):  # an idle look takes no write lock
            return None
        with self._database.writing(durable=False) as connection:
            now = self._database.now()
            query = select(jobs).where(jobs.c.queue == queue, self._is_free(now))
            query = query.order_by(jobs.c.id).limit(1).with_for_update(skip_locked=True)
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            values: dict[str, Any] = {"state": "running", "attempts": row.attempts + 1}
            if row.started_at is None:
                values["started_at"] = to_datetime(now)
            self._set(
                connection,
                row.id,
                holder=holder,
                free_at=now + int(lease_seconds * SECOND),
                **values,
            )
        return replace(_from_row(row), **values)

    def outstanding(self, queue: str) -> int:
        """Return how many jobs of a queue could be claimed right now; counting stops at one."""
        query = select(jobs.c.id).where(jobs.c.queue == queue, self._is_free(self._database.now()))
        with self._database.reading() as connection:
            return len(connection.execute(query.limit(1)).all())

    def extend(self, ids: Iterable[str], *, holder: str, lease_seconds: float) -> Ids:
        """Renew leases from now on and return the ids that are still `holder`'s."""
        with self._database.writing(durable=False) as connection:
            free_at = self._database.now() + int(lease_seconds * SECOND)
            statement = (
                update(jobs)
                .where(jobs.c.id.in_(list(ids)), _is_held(holder))
                .values(free_at=free_at)
                .returning(jobs.c.id)
            )
            return [str(one) for one in connection.execute(statement).scalars()]

    def holds(self, job_id: str, holder: str) -> bool:
        """Say whether a job is still `holder`'s: not cancelled, deleted or taken by another."""
        query = select(jobs.c.id).where(jobs.c.id == job_id, _is_held(holder))
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def report(self, job_id: str, *, holder: str, progress: dict[str, Any]) -> bool:
        """Say how far a job is. False when the lease was lost or the job was cancelled."""
        with self._database.writing(durable=False) as connection:
            statement = update(jobs).where(jobs.c.id == job_id, _is_held(holder))
            return connection.execute(statement.values(progress=progress)).rowcount == 1

    def finish(
        self,
        job_id: str,
        *,
        holder: str,
        result: dict[str, Any],
        outputs: Mapping[str, str],
        found: Iterable[Mapping[str, Any]] = (),
        model: Mapping[str, Any] | None = None,
    ) -> bool:
        """End a job: what it leaves, by name and sha256, and the alerts that it `found`.

        A trained `model` has a name, a version and facts, and the output `model.tar`.

        In one transaction. False when the lease was lost or the job was cancelled: nothing
        changes then, so finishing twice is harmless.
        """
        sizes = {name: self._originals.size(sha256) for name, sha256 in outputs.items()}
        with self._database.writing() as connection:
            row = self._held(connection, job_id, holder)
            if row is None:
                return False
            now = to_datetime(self._database.now())
            connection.execute(delete(job_outputs).where(job_outputs.c.job_id == row.id))
            for name, sha256 in sorted(outputs.items()):
                self._originals.name(connection, sha256)
                values = {"job_id": row.id, "name": name, "sha256": sha256, "size": sizes[name]}
                connection.execute(insert(job_outputs), values)
            new = [alert_row(row.workspace, one, now, job_id=row.id) for one in found]
            if new:
                connection.execute(insert(alerts), new)
            if model is not None:
                kept = {"workspace": row.workspace, "actor": row.actor, **model}
                kept |= {"sha256": outputs["model.tar"], "size": sizes["model.tar"]}
                insert_model(connection, self._database, kept)
            ended = {"state": "done", "finished_at": now, "result": result, "error": None}
            self._set(connection, row.id, free_at=None, holder=None, **ended)
        return True

    def fail(self, job_id: str, *, holder: str, error: dict[str, Any]) -> bool:
        """End a job with what its owner can put right. False when the lease was lost."""
        with self._database.writing() as connection:
            row = self._held(connection, job_id, holder)
            if row is not None:
                self._fail(connection, row.id, error)
            return row is not None

    def put_off(
        self, job_id: str, *, holder: str, error: dict[str, Any], delay_seconds: float
    ) -> None:
        """Let a job be tried again after a pause; once its attempts are used up, it failed."""
        with self._database.writing() as connection:
            row = self._held(connection, job_id, holder)
            if row is None:
                return
            if row.attempts >= self._attempts_allowed:
                self._fail(connection, row.id, error)
                return
            free_at = self._database.now() + int(delay_seconds * SECOND)
            self._set(connection, row.id, state="waiting", holder=None, free_at=free_at)

    def give_back(self, job_id: str, *, holder: str) -> None:
        """Drop the lease; this attempt is not counted. For a worker that stops cleanly."""
        with self._database.writing() as connection:
            row = self._held(connection, job_id, holder)
            if row is not None:
                values = {"state": "waiting", "attempts": max(0, row.attempts - 1)}
                now = self._database.now()
                self._set(connection, row.id, holder=None, free_at=now, **values)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return `{"owed", "leased", "oldest_seconds"}` of each queue with unfinished jobs."""
        now = self._database.now()
        query = (
            select(
                jobs.c.queue, func.count(), func.count(jobs.c.holder), func.min(jobs.c.created_at)
            )
            .where(jobs.c.free_at.is_not(None))
            .group_by(jobs.c.queue)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {
            str(queue): {
                "owed": int(owed),
                "leased": int(leased),
                "oldest_seconds": max(0.0, (to_datetime(now) - oldest).total_seconds()),
            }
            for queue, owed, leased, oldest in rows
        }

    def holders(self) -> Ids:
        """Return who holds a lease that has not lapsed."""
        return leases.holders(self._database, jobs)

    def release(self, holders: Iterable[str]) -> int:
        """Let every lease of holders known to be dead lapse now; return how many they were."""
        return leases.release(self._database, jobs, holders)

    def set_aside(self) -> Ids:
        """Fail jobs that cost too many workers, for people to see; return their ids."""
        spent = and_(
            jobs.c.free_at <= self._database.now(), jobs.c.attempts >= self._attempts_allowed
        )
        with self._database.reading() as connection:
            if connection.execute(select(jobs.c.id).where(spent).limit(1)).first() is None:
                return []
        with self._database.writing() as connection:
            query = select(jobs.c.id).where(spent).with_for_update(skip_locked=True)
            lost = [str(one) for one in connection.execute(query).scalars()]
            for job_id in lost:
                self._fail(connection, job_id, WORKER_LOST)
        return lost

    def _is_free(self, now: int) -> ColumnElement[bool]:
        return and_(jobs.c.free_at <= now, jobs.c.attempts < self._attempts_allowed)

    def _insert(self, row: dict[str, Any], viewer: Viewer) -> None:
        with self._database.writing() as connection:
            query = select(func.count()).where(visible(jobs, viewer), jobs.c.state.in_(UNFINISHED))
            if connection.execute(query).scalar_one() >= self._limit:
                raise TooMuchOwed(
                    f"{self._limit} jobs are unfinished already; wait for one, or cancel one",
                    retry_after=FULL_SECONDS,
                )
            if row["input_sha256"] is not None:
                self._originals.name(connection, row["input_sha256"])
            connection.execute(insert(jobs), row)
            self._record(connection, viewer, "job accepted", row["id"], task=row["task"])

    def _record(
        self, connection: Connection, viewer: Viewer, action: str, job_id: str, **detail: Any
    ) -> None:
        detail = {"job": job_id, **detail}
        audit.record(connection, self._database.now(), viewer, action, detail=detail)

    def _get(self, job_id: str, viewer: Viewer) -> Job:
        # Somebody who may write and not read still sees what their own call did
        with self._database.reading() as connection:
            row = SHELF.find(connection, job_id, viewer)
            kept = select(job_outputs).where(job_outputs.c.job_id == row.id)
            found = connection.execute(kept.order_by(job_outputs.c.name)).all()
        outputs = {one.name: Output(sha256=one.sha256, size=one.size) for one in found}
        return replace(_from_row(row), outputs=outputs)

    def _held(self, connection: Connection, job_id: str, holder: str) -> Row[Any] | None:
        query = select(jobs).where(jobs.c.id == job_id, _is_held(holder))
        return connection.execute(query.with_for_update()).one_or_none()

    def _fail(self, connection: Connection, job_id: str, error: dict[str, Any]) -> None:
        now = to_datetime(self._database.now())
        ended = {"state": "failed", "error": error, "finished_at": now}
        self._set(connection, job_id, free_at=None, holder=None, **ended)

    def _set(self, connection: Connection, job_id: str, **values: Any) -> None:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


def _is_held(holder: str) -> ColumnElement[bool]:
    return and_(jobs.c.holder == holder, jobs.c.free_at.is_not(None))


def _from_row(row: Row[Any]) -> Job:
    wanted = set(Job.__dataclass_fields__) - {"outputs", "repeated"}
    return Job(**{name: value for name, value in row._mapping.items() if name in wanted})
