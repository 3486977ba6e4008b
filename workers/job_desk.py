"""A desk for long jobs: one at a time, each in a memory-capped process of its own.

The bell's task only starts the process and returns, so the worker goes on with its other queues;
a thread keeps the lease, passes progress on, and commits the end. The process dies with its
worker. Nothing of a job's libraries is loaded in the worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import structlog
from celery import Celery

from ledger import Job
from ledger.errors import LedgerError
from nlp.computing import computing_environment
from workers.addresses import models_folder
from workers.claiming import COMMIT_PAUSES, Desk
from workers.context import Context
from workers.jobs.assignment import Assignment
from workers.leases import Keeper
from workers.process import die_with_parent
from workers.traces import where

log = structlog.get_logger(__name__)

QUEUES = ("series", "training")
LOOK_SECONDS = 0.5  # between two looks whether the worker is to stop
HELD_SECONDS = 2.0  # between two looks whether the job is still ours: people cancel
REPORT_SECONDS = 1.0  # at most one report of progress so often
END_SECONDS = 5.0  # between asking a process to end and killing it
RETRY_SECONDS = 3.0
LONGEST_SECONDS = 7 * 24 * 3600.0


class JobDesk:
    """The jobs of one queue in one worker process."""

    def __init__(self, app: Celery, context: Context, queue: str) -> None:
        self._app = app
        self._context = context
        self._queue = queue
        self._desk = Desk(app, context, queue)
        self._running: Running | None = None

    def work(self) -> None:
        """Do documents that wait here, and start the next job unless one is running."""
        self._desk.work()
        if self._context.stopping or (self._running is not None and self._running.alive):
            return
        try:
            job = self._context.ledger.jobs.claim(
                self._queue,
                holder=self._context.holder,
                lease_seconds=self._context.settings.lease_seconds,
            )
        except LedgerError as error:
            log.error("ledger_unavailable", queue=self._queue, reason=error.code)
            return
        if job is not None:
            log.info("job_started", task=job.task, job=job.id, attempt=job.attempts)
            # here, not in its thread: the process dies with the thread that forked it
            self._running = Running(self._app, self._context, job)

    def stop(self) -> None:
        """End what runs and give it back: the worker stops."""
        if self._running is not None:
            self._running.stop()


class Running:
    """One job's process, and the thread that looks after it."""

    def __init__(self, app: Celery, context: Context, job: Job) -> None:
        self._app = app
        self._context = context
        self._job = job
        self._holder = context.holder
        self._told: dict[str, Any] | None = None
        self._answer: dict[str, Any] = {}
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._process = _start(context.settings.train_memory_bytes)
        self._thread = threading.Thread(target=self._look_after, name="job", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the job is still in hand."""
        return not self._ended.is_set()

    def stop(self) -> None:
        """End the process, give the job back, and return when that is done."""
        self._stopped.set()
        self._thread.join(END_SECONDS + 5)

    def _look_after(self) -> None:
        jobs = self._context.ledger.jobs
        settings = self._context.settings
        keeper = Keeper(
            jobs,
            holder=self._holder,
            lease_seconds=settings.lease_seconds,
            at_most_seconds=LONGEST_SECONDS,
        )
        began = time.monotonic()
        try:
            with ExitStack() as stack:
                stack.enter_context(keeper.holding([self._job.id]))
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailroom-")))
                stack.callback(self._end)
                path = self._lend_input(stack)
                self._order(path, folder)
                left = self._wait()
                if left:
                    self._commit(folder)
        except LedgerError as error:
            self._put_off({"code": error.code, "message": str(error)})
        except Exception as error:  # a thread's end is seen by nobody: say it, and go on
            log.error("job_desk_failed", job=self._job.id, where=where(error))
            self._put_off({"code": "internal_error", "message": "Mailroom made a mistake here."})
        finally:
            self._ended.set()  # before the bell: whoever hears it must find the desk free
        log.info("job_ended", job=self._job.id, seconds=round(time.monotonic() - began, 1))
        self._context.ledger.pulses.beat(self._job.queue, self._holder, 1)
        if not self._context.stopping:
            self._context.ring(self._app, self._job.queue)

    def _lend_input(self, stack: ExitStack) -> Path | None:
        """Return a path with the input's bytes and its own name, which says its format."""
        sha256 = self._job.input_sha256
        if sha256 is None:
            return None
        lent = stack.enter_context(self._context.ledger.files.local(sha256))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailroom-")))
        path = folder / (Path(self._job.input_name).name.lstrip(".") or "input")
        path.symlink_to(lent)
        return path

    def _order(self, path: Path | None, folder: Path) -> None:
        settings, job = self._context.settings, self._job
        assignment = Assignment(
            id=job.id,
            workspace=job.workspace,
            task=job.task,
            name=job.name,
            options=job.options,
            input_name=job.input_name,
            models_dir=models_folder(settings),
            device=settings.device,
            threads=settings.threads,
        )
        order = {
            "job": assignment.to_json(),
            "input": None if path is None else str(path),
            "folder": str(folder),
        }
        reader = threading.Thread(target=self._read_answers, name="job-answers", daemon=True)
        reader.start()
        self._reader = reader
        pipe = self._process.stdin
        if pipe is None:
            raise RuntimeError("the job's process has no pipe")
        try:
            with pipe:
                json.dump(order, pipe)
        except BrokenPipeError:
            log.warning("job_process_gone", job=job.id)  # its status says why

    def _read_answers(self) -> None:
        for line in self._process.stdout or ():
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if "told" in values:
                self._told = values["told"]
            else:
                self._answer = values

    def _wait(self) -> bool:
        """Wait for the process; False when the job is no longer ours, or was given back."""
        jobs = self._context.ledger.jobs
        look_at = report_at = 0.0
        while self._process.poll() is None:
            if self._stopped.wait(LOOK_SECONDS) or self._context.stopping:
                self._end()
                jobs.give_back(self._job.id, holder=self._holder)
                return False
            now = time.monotonic()
            try:
                if now >= look_at:
                    look_at = now + HELD_SECONDS
                    if not jobs.holds(self._job.id, self._holder):
                        log.warning("job_no_longer_ours", job=self._job.id)
                        return False
                if now >= report_at and self._told is not None:
                    report_at = now + REPORT_SECONDS
                    told, self._told = self._told, None
                    jobs.report(self._job.id, holder=self._holder, progress=told)
            except LedgerError as error:  # the work goes on; the ledger comes back
                log.warning("job_not_reported", reason=error.code)
        self._reader.join(END_SECONDS)
        return True

    def _commit(self, folder: Path) -> None:
        jobs, job = self._context.ledger.jobs, self._job
        for pause in (*COMMIT_PAUSES, None):
            try:
                if "result" in self._answer:
                    result = dict(self._answer["result"])
                    found, model = result.pop("alerts", []), result.pop("model", None)
                    jobs.finish(
                        job.id,
                        holder=self._holder,
                        result=result,
                        outputs=self._keep(folder),
                        found=found,
                        model=model,
                    )
                elif "error" in self._answer:
                    jobs.fail(job.id, holder=self._holder, error=self._answer["error"])
                else:
                    self._put_off(_lost(self._process.returncode))
            except LedgerError as error:
                if pause is None or self._context.stopping:
                    raise
                log.warning("commit_put_off", queue=job.queue, reason=error.code)
                time.sleep(pause)
            else:
                return

    def _keep(self, folder: Path) -> dict[str, str]:
        """Put what the process left into the file store."""
        files = self._context.ledger.files
        return {
            path.name: files.put_file(path).sha256
            for path in sorted(folder.iterdir())
            if path.is_file()
        }

    def _put_off(self, error: dict[str, Any]) -> None:
        try:
            self._context.ledger.jobs.put_off(
                self._job.id, holder=self._holder, error=error, delay_seconds=RETRY_SECONDS
            )
        except LedgerError as problem:  # its lease lapses, and it is tried again
            log.error("ledger_unavailable", reason=problem.code)

    def _end(self) -> None:
        """End the process and all it started, if it still runs."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):
                    pipe.close()


def _start(memory_bytes: int) -> subprocess.Popen[str]:
    parent = os.getpid()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "workers.jobs.process", str(memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=computing_environment(),
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(signal.SIGKILL, parent=parent),
    )


def _lost(status: int | None) -> dict[str, Any]:
    how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
    return {
        "code": "worker_lost",
        "message": f"The process that worked on this was ended by {how}, every time; it may have "
        "wanted more memory than there is.",
    }
