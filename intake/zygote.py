"""The process that the reading processes are forked from: libraries loaded, nothing else in it.

Started by `intake.parser` as `python -m intake.zygote`. For every job it forks one child, which
takes limits on memory, processor time, wall time, files and descriptors upon itself, reads the
job's documents one after another and writes a frame for each. The zygote waits, kills a child
that outlives its time, and reports how each ended. It has no network where the system lets it
give that up, and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

# Loaded before the first fork, so that every child has them already
from intake import docx, html, mail, pdf, plain  # noqa: F401
from intake.errors import IntakeError, ParseMemory, TooLarge
from intake.limits import Limits
from intake.protocol import write_result
from intake.reading import read

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
JOB_BYTES = 1_000_000  # of one job's description
GRACE_SECONDS = 1.0  # past its own alarm, before the zygote kills a child
LOOK_SECONDS = 2.0  # how often it looks whether its starter still lives
DESCRIPTORS = 64


@dataclass
class _Child:
    """A reading process at work."""

    end: int  # the pipe that hears how it ended
    deadline: float
    timed_out: bool = False


def main(descriptor: int) -> None:
    """Serve jobs from a socket until it closes."""
    starter = os.getppid()
    control = socket.socket(fileno=descriptor)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.unshare(CLONE_NEWNET)  # not allowed everywhere; then only the other limits hold
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waker, wakened = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what it shares with us
    children: dict[int, _Child] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(waker, select.POLLIN)
    while os.getppid() == starter:
        events = dict(poll.poll(_patience(children) * 1000))
        if waker in events:
            with contextlib.suppress(BlockingIOError):
                os.read(waker, 4096)
        if control.fileno() in events and not _take_job(control, children):
            break
        _reap(children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _patience(children: dict[int, _Child]) -> float:
    if not children:
        return LOOK_SECONDS
    soonest = min(child.deadline for child in children.values())
    return min(max(soonest - time.monotonic(), 0.01), LOOK_SECONDS)


def _take_job(control: socket.socket, children: dict[int, _Child]) -> bool:
    """Fork a child for the next job; False when the parser has gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(control, JOB_BYTES, 3)
    except OSError:
        return False
    if not message:
        return False
    bodies, results, end = descriptors
    job = json.loads(message)
    limits = Limits(**job["limits"])
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(end)
        _read_and_exit(job["items"], bodies, results, limits)
    os.close(bodies)
    os.close(results)
    patience = limits.seconds * len(job["items"]) + GRACE_SECONDS
    children[pid] = _Child(end, time.monotonic() + patience)
    return True


def _reap(children: dict[int, _Child]) -> None:
    """Report the children that have ended, and end those whose time is over."""
    while children:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            break
        child = children.pop(pid)
        report = {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
            "peak_bytes": usage.ru_maxrss * 1024,
            "timed_out": child.timed_out,
        }
        with contextlib.suppress(OSError):
            os.write(child.end, json.dumps(report).encode())
        os.close(child.end)
    now = time.monotonic()
    for pid, child in children.items():
        if child.deadline < now:
            child.timed_out = True
            os.kill(pid, signal.SIGKILL)


def _read_and_exit(
    items: list[dict[str, Any]], bodies: int, results: int, limits: Limits
) -> NoReturn:
    """Read the documents of a job, a frame for each; the limits end this process, not the job."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _limit(limits, len(items))
        size = os.fstat(bodies).st_size
        mapped = mmap.mmap(bodies, size, prot=mmap.PROT_READ) if size else b""
        place = 0
        for number, item in enumerate(items):
            # the default action of SIGALRM ends the process wherever it is, in C code too
            signal.setitimer(signal.ITIMER_REAL, limits.seconds)
            body = mapped[place : place + item["size"]]
            place += item["size"]
            result = _read_one(item["kind"], body, limits)
            signal.setitimer(signal.ITIMER_REAL, 0)  # waiting for the taker is not reading
            memory_gone = isinstance(result, ParseMemory)
            if not (memory_gone and number):  # else it may be the fault of those before it
                write_result(results, result)
            if memory_gone:
                break
        os._exit(0)
    except BaseException:
        os._exit(1)


def _read_one(kind: str, body: bytes, limits: Limits) -> Any:
    try:
        parsed = read(kind, body, limits)
    except IntakeError as error:
        return error
    if parsed.mail and sum(item.size for item in parsed.mail.attachments) > 3 * limits.bytes:
        return TooLarge("This mail's attachments unpack to more than allowed.")
    return parsed


def _limit(limits: Limits, count: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    most = held + limits.memory_bytes
    seconds = int(limits.seconds * count) + 1
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
