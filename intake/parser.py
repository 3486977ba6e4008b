"""The door to intake: documents in, text or an error of a known kind out, and no way to hang.

parser.parse(body)
  └─ job over a socket ──> zygote (intake/zygote.py)
                             └─ fork ──> child with limits: reads, answers, ends
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intake.errors import (
    IntakeError,
    ParseCrashed,
    ParseMemory,
    ParseTimeout,
    TooLarge,
)
from intake.limits import Limits
from intake.parsed import Parsed
from intake.plain import read_text
from intake.protocol import read_results
from intake.sniffing import sniff

Document = tuple[bytes, str, str]  # body, name, media type

JOB_ITEMS = 64
JOB_SIZE = 8_000_000  # bytes of bodies; a larger document is a job of its own
HERE_BYTES = 1_000_000  # plain text up to here is decoded in this process: nothing in it is parsed
SLACK_SECONDS = 15.0  # past every limit, when the zygote itself does not answer
PIPE_BYTES = 1 << 20


@dataclass
class _Zygote:
    """The running zygote and the socket to it; good only in the process that started it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    owner: int

    def stop(self) -> None:
        self.control.close()
        if os.getpid() != self.owner:
            self.process.returncode = 0  # a copy from before a fork: another's child
            return
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Parser:
    """Reads documents in limited child processes; safe to share among threads and across forks.

    The zygote starts with the first document that needs it. `close()` ends it; so do the end of
    a `with` block, of the last reference, and of this process.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._zygote: _Zygote | None = None
        self._lock = threading.Lock()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        _parsers.add(self)

    def __enter__(self) -> Parser:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def parse(self, body: bytes, *, name: str = "", media_type: str = "") -> Parsed:
        """Return what a document says; raises a subclass of IntakeError when it cannot be read.

        `name` and `media_type` are hints for what could be read two ways; the bytes decide.
        """
        result = self.parse_many([(body, name, media_type)])[0]
        if isinstance(result, IntakeError):
            raise result
        return result

    def parse_many(self, documents: Sequence[Document]) -> list[Parsed | IntakeError]:
        """Return what each document says, or its error in its place, in order.

        One that ends its reading process costs the others nothing but that they are read again.
        """
        results: list[Parsed | IntakeError | None] = [None] * len(documents)
        waiting: list[tuple[int, str]] = []
        for place, (body, name, media_type) in enumerate(documents):
            try:
                kind = self._sniff(body, name, media_type)
                if kind == "text" and len(body) <= HERE_BYTES:
                    results[place] = self._within_characters(read_text(body))
                else:
                    waiting.append((place, kind))
            except IntakeError as error:
                results[place] = error
        while waiting:
            job, waiting = _split_job(waiting, documents)
            done = self._run([(kind, documents[place][0]) for place, kind in job])
            for (place, _), result in zip(job, done, strict=False):
                results[place] = result
            waiting = job[len(done) :] + waiting
        return [result for result in results if result is not None]

    def close(self) -> None:
        """End the zygote; a later document starts another."""
        with self._lock:
            self._drop()

    def _sniff(self, body: bytes, name: str, media_type: str) -> str:
        if len(body) > self.limits.bytes:
            raise TooLarge(
                f"This file has {len(body):,} bytes, more than the {self.limits.bytes:,} "
                "allowed. Split it and send the parts."
            )
        return sniff(body, name, media_type)

    def _within_characters(self, parsed: Parsed) -> Parsed:
        if len(parsed.text) > self.limits.characters:
            raise TooLarge
        return parsed

    def _run(self, items: list[tuple[str, bytes]]) -> list[Parsed | IntakeError]:
        """Return results for the first of the items, at least one: those that were read.

        Where a child died, the item in hand is charged only if it was the child's first: what
        came before it may have been what used up the child.
        """
        for attempt in (1, 2):
            try:
                data, report = self._exchange(items)
            except (OSError, EOFError):
                # the zygote has gone (killed, or out of memory): once more with a new one
                with self._lock:
                    self._drop()
                if attempt == 2:
                    return [ParseCrashed()]
                continue
            results = list(read_results(data))[: len(items)]
            if results or not items:
                return results
            return [self._judge(report)]
        return [ParseCrashed()]

    def _judge(self, report: dict[str, Any]) -> IntakeError:
        """Return the error that a child's end stands for."""
        number = report["signal"]
        if report.get("too_much"):
            return TooLarge("This file unpacks to far more than allowed. Send it in parts.")
        if report["timed_out"] or number in (signal.SIGALRM, signal.SIGXCPU):
            return ParseTimeout()
        # Native libraries abort or fault when memory is refused; the kernel kills
        if number == signal.SIGKILL or report["peak_bytes"] > self.limits.memory_bytes * 0.5:
            return ParseMemory()
        return ParseCrashed()

    def _exchange(self, items: list[tuple[str, bytes]]) -> tuple[bytes, dict[str, Any]]:
        """Send a job to the zygote; return what the child wrote and how it ended."""
        job = {
            "limits": asdict(self.limits),
            "items": [{"kind": kind, "size": len(body)} for kind, body in items],
        }
        bodies = os.memfd_create("documents", os.MFD_CLOEXEC)
        results_in, results_out = os.pipe()
        end_in, end_out = os.pipe()
        try:
            with open(bodies, "wb", closefd=False) as file:
                for _, body in items:
                    file.write(body)
            with self._lock:
                control = self._start().control
                message = json.dumps(job).encode()
                socket.send_fds(control, [message], [bodies, results_out, end_out])
            for descriptor in (results_out, end_out):
                os.close(descriptor)
            results_out = end_out = -1
            return self._collect(results_in, end_in, len(items))
        finally:
            for descriptor in (bodies, results_in, results_out, end_in, end_out):
                if descriptor >= 0:
                    os.close(descriptor)

    def _collect(self, results: int, end: int, count: int) -> tuple[bytes, dict[str, Any]]:
        deadline = time.monotonic() + self.limits.seconds * count + SLACK_SECONDS
        most = self.limits.result_bytes * count
        data = bytearray()
        poll = select.poll()
        poll.register(results, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise EOFError("the zygote does not answer")
            piece = os.read(results, PIPE_BYTES)
            if not piece:
                break
            data += piece
            if len(data) > most:
                return b"", {"signal": 0, "peak_bytes": 0, "timed_out": False, "too_much": True}
        report = self._read_end(end, deadline)
        return bytes(data), report

    def _read_end(self, end: int, deadline: float) -> dict[str, Any]:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(max(deadline - time.monotonic(), 1) * 1000):
            raise EOFError("the zygote does not answer")
        report = os.read(end, 4096)
        if not report:
            raise EOFError("the zygote has gone")
        found: dict[str, Any] = json.loads(report)
        return found

    def _start(self) -> _Zygote:
        """Return the running zygote of this process, started if need be; the lock is held."""
        if self._zygote is not None and self._zygote.owner != os.getpid():
            self._drop()  # inherited over a fork: it answers to our parent
        if self._zygote is not None and self._zygote.process.poll() is not None:
            self._drop()
        if self._zygote is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "intake.zygote", str(theirs.fileno())],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the one who asked, not for it
                )
            self._zygote = _Zygote(process, ours, os.getpid())
            self._finalizer = weakref.finalize(self, self._zygote.stop)
        return self._zygote

    def _drop(self) -> None:
        if self._finalizer is not None:
            with contextlib.suppress(OSError):
                self._finalizer()
        self._zygote = self._finalizer = None


_parsers: weakref.WeakSet[Parser] = weakref.WeakSet()


def _unlock_after_fork() -> None:
    """A lock that another thread held during a fork would never be released in the child."""
    for parser in _parsers:
        parser._lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock_after_fork)


def _split_job(
    waiting: list[tuple[int, str]], documents: Sequence[Document]
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return as many of the waiting documents as one child should read, and the rest."""
    size = 0
    for count, (place, _) in enumerate(waiting):
        size += len(documents[place][0])
        if count and (size > JOB_SIZE or count >= JOB_ITEMS):
            return waiting[:count], waiting[count:]
    return waiting, []
