"""What `mailroom up` runs: the parts of an installation on one machine, in order.

A part is a process of its own: a server of ours, or one of Mailroom's commands.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from settings import Settings
from workers.addresses import run_folder
from workers.app import hard_limit
from workers.doorbell import DIRECT_QUEUE
from workers.embedded import EmbeddedServer


class CannotStart(RuntimeError):
    """Something stands in the way of `mailroom up`; the sentence says what to do."""

    code = "cannot_start"


class PortTaken(CannotStart):
    """Another program listens where Mailroom should."""

    code = "port_taken"


class FolderInUse(CannotStart):
    """Another `mailroom up` runs on this data folder."""

    code = "folder_in_use"


@dataclass(frozen=True)
class Part:
    """One process: what it runs, how it is ended, and in which round of the stop."""

    name: str
    command: tuple[str, ...]
    stops: int  # parts of round 0 are stopped first; the next round when those are gone
    grace_seconds: float = 15  # between SIGTERM and SIGKILL
    nice: int = 0
    queues: tuple[str, ...] = ()  # that it consumes: they are watched
    server: EmbeddedServer | None = field(default=None, compare=False)


def servers(settings: Settings) -> list[Part]:
    """Return the embedded servers that the settings leave to us."""
    wanted = [
        name
        for name, url in (("broker", settings.broker_url), ("results", settings.results_url))
        if url is None
    ]
    parts = []
    for name in wanted:
        server = EmbeddedServer(settings.data_dir, "broker" if name == "broker" else "results")
        parts.append(Part(name, tuple(server.command()), stops=2, server=server))
    return parts


def programs(settings: Settings) -> list[Part]:
    """Return Mailroom's own processes. Bulk work has a worker of its own, and is polite."""
    # A batch in hand may finish; what takes longer is given back by its lease.
    grace = min(60.0, hard_limit(settings))
    swift = ("interactive", DIRECT_QUEUE)
    patient = ("bulk", "series", "training", "delivery")
    parts = [
        Part("scheduler", _mailroom("scheduler"), stops=0),
        Part(
            "worker",
            _mailroom("worker", "--name", "worker", "--queues", ",".join(swift)),
            stops=1,
            grace_seconds=grace,
            queues=swift,
        ),
        Part(
            "bulk",
            _mailroom("worker", "--name", "bulk", "--queues", ",".join(patient)),
            stops=1,
            grace_seconds=grace,
            nice=10,
            queues=patient,
        ),
        Part("web", _mailroom("web"), stops=0),
        Part("gateway", _mailroom("gateway"), stops=0),
    ]
    if (settings.data_dir.expanduser() / "mailboxes.toml").exists():
        parts.append(Part("mailboxes", _mailroom("mailboxes", "run"), stops=0))
    return parts


def environment(settings: Settings) -> dict[str, str]:
    """Return what the parts find in their environment: ours, and what the command line said."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "MAILROOM_DATA_DIR": str(settings.data_dir),
        "MAILROOM_HOST": settings.host,
        "MAILROOM_PORT": str(settings.port),
        "MAILROOM_SMTP_HOST": settings.smtp_host,
        "MAILROOM_SMTP_PORT": str(settings.smtp_port),
    }


def lock_folder(data_dir: Path) -> IO[str]:
    """Take the data folder for this process and return the lock: keep it while you run.

    The system drops it when the process ends, however it ends. Raises FolderInUse, CannotStart.
    """
    folder = run_folder(data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"The data folder {data_dir} cannot be written ({error.strerror}). "
            "Choose another with --data-dir."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        who = lock.read().strip() or "?"
        lock.close()
        raise FolderInUse(
            f"The data folder {data_dir} is in use by another `mailroom up` (process {who}). "
            "Stop that one, or choose another folder with --data-dir."
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def free_port(host: str, port: int, option: str) -> int:
    """Return the port, or a free one for 0; raises PortTaken, naming the option that helps."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"Cannot listen on {host}:{port}: {error.strerror or error}. "
                f"Stop the program that does, or choose another port with {option}."
            ) from error
        return int(probe.getsockname()[1])


def _mailroom(*arguments: str) -> tuple[str, ...]:
    # -P: a folder called `connectors` where somebody typed `mailroom up` is none of our modules
    return (sys.executable, "-P", "-c", "from commands import main; main()", *arguments)
