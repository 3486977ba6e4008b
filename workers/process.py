"""Processes that may outlive the one that started them: known again by id and start time.

A process id alone is no proof, for the system uses ids again; id and start time together are.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workers.addresses import write_private

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: dlsym in the child of a process with threads may dead-lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """A process: its id, and when it started in the system's own words (opaque)."""

    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.pid}-{self.started}"

    def alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        return started(self.pid) == self.started

    def end(self, *, grace_seconds: float) -> bool:
        """Stop the process and its group: SIGTERM, then SIGKILL; whether it had to be killed."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.ask(number)
            limit = time.monotonic() + grace_seconds
            while self.alive() and time.monotonic() < limit:
                time.sleep(0.02)
            if not self.alive():
                return number == signal.SIGKILL
        return True

    def ask(self, number: signal.Signals) -> None:
        """Send the process a signal, SIGKILL to its whole group; nothing when it is gone."""
        if not self.alive():
            return
        try:
            # A part leads its own session; SIGKILL must also reach what it started.
            if number == signal.SIGKILL and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process, None when there is none of that id."""
    since = started(pid)
    return None if since is None else Identity(pid, since)


def started(pid: int) -> str | None:
    """Return when a process started, None when it is gone or only waits to be reaped."""
    if sys.platform == "linux":
        try:
            # The name in parentheses may hold spaces; fields are counted after it.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()


def remember(path: Path, identity: Identity) -> None:
    """Write a process's identity to a file, for whoever comes after a crash."""
    write_private(path, f"{identity.pid} {identity.started}\n")


def remembered(path: Path) -> Identity | None:
    """Return the identity in such a file if that very process still runs, else None."""
    try:
        pid, _, since = path.read_text().strip().partition(" ")
        identity = Identity(int(pid), since)
    except (OSError, ValueError):
        return None
    return identity if identity.alive() else None


def drop_inherited_connections() -> int:
    """Let go of the network connections that a fork copied from the parent; return how many.

    Call it in the child before it opens any. A copy that stays open keeps the parent's poller
    from ever forgetting a connection it has closed: it then spins at full speed, and Celery's
    consumer no longer hears its queue. (kombu 5.7: a child started after the broker was
    connected, then the broker lost.)
    """
    dropped = 0
    with open(os.devnull, "rb") as nothing:
        for name in os.listdir("/dev/fd"):
            try:
                if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    continue
                with socket.socket(fileno=os.dup(int(name))) as copy:
                    connected = bool(copy.getpeername())  # a pair of ours has nameless ends
            except OSError:
                continue
            if connected:
                # In its place, not closed: the number still stands in the parent's objects.
                os.dup2(nothing.fileno(), int(name), inheritable=False)
                dropped += 1
    return dropped


def die_with_parent(number: int = signal.SIGTERM, *, parent: int | None = None) -> None:
    """Ask the system to signal this process when its parent dies, SIGKILL included (Linux).

    Call it in the child. The signal comes when the parent's *thread* that forked ends, so fork
    from the main thread. `parent` is who must still be there: if it is gone already, exit.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)
