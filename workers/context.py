"""What a worker's processes have at hand: ledger, models, the bell, who they are, when to stop.

Built once in the worker's main process; connections, models and the parser are made anew in each
child, when first needed, for none of them survives a fork.
"""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery

from intake import Limits
from ledger import Ledger
from ledger.errors import LedgerError
from settings import Settings
from workers import devices, doorbell, trained
from workers.addresses import models_folder, open_ledger
from workers.process import Identity, identify
from workers.reading import Readers

log = structlog.get_logger(__name__)


class Context:
    """A worker process's belongings; every attribute is made when first asked for."""

    def __init__(self, settings: Settings, *, name: str = "worker") -> None:
        self.settings = settings
        self.name = name
        self.slot = 0
        # One byte that the main process writes and its children, forked later, read.
        self._stop = mmap.mmap(-1, 1)
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._pid = os.getpid()
        self._versions: dict[str, str | None] = {}

    @property
    def ledger(self) -> Ledger:
        """This process's own connection to the ledger."""
        ledger: Ledger = self._once("ledger", lambda: open_ledger(self.settings))
        return ledger

    @property
    def readers(self) -> Readers:
        """This process's models and parser."""
        readers: Readers = self._once("readers", self._make_readers)
        return readers

    @property
    def holder(self) -> str:
        """Who holds a lease: machine, process id space, this very process, and the worker's name.

        Whoever runs on the same machine can tell from it whether the holder still lives.
        """
        holder: str = self._once("holder", lambda: _holder(self.name))
        return holder

    @property
    def stopping(self) -> bool:
        """Whether the worker was asked to stop: finish what is in hand, take nothing new."""
        return self._stop[0] == 1

    def stop(self) -> None:
        """Ask all of the worker's processes to stop."""
        self._stop[0] = 1

    def ring(self, app: Celery, queue: str) -> None:
        """Ring a queue's bell; with the broker away the scheduler does it later."""
        try:
            with app.pool.acquire(block=True, timeout=5) as connection:
                doorbell.ring(app, connection, queue, expiry_seconds=expiry(self.settings))
        except doorbell.BROKER_ERRORS as error:
            log.warning("bell_not_rung", queue=queue, reason=type(error).__name__)

    def heard(self, app: Celery, queue: str) -> None:
        """Say that a queue's bell was heard; with the broker away its key expires."""
        try:
            with app.pool.acquire(block=True, timeout=5) as connection:
                doorbell.clear(connection, queue)
        except doorbell.BROKER_ERRORS as error:
            log.warning("bell_not_cleared", queue=queue, reason=type(error).__name__)

    def close(self) -> None:
        """Close what this process opened."""
        with self._lock:
            made, self._made = self._made, {}
            if self._pid != os.getpid():
                return
        for name in ("readers", "ledger"):
            if name in made:
                made[name].close()

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if self._pid != os.getpid():  # what the parent made is the parent's
                self._made, self._pid = {}, os.getpid()
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    def _make_readers(self) -> Readers:
        settings = self.settings
        try:
            trained.sweep(self.ledger, models_folder(settings))
        except LedgerError as error:
            log.warning("models_not_swept", reason=error.code)
        return Readers(
            models_dir=models_folder(settings),
            limits=Limits(
                # a mail with the largest file there may be is larger than the file
                bytes=max(settings.upload_bytes, settings.smtp_bytes),
                memory_bytes=settings.parse_memory_bytes,
                seconds=settings.parse_seconds,
                characters=settings.text_characters,
            ),
            active=self._active,
            fetch=lambda name, version: trained.fetch(
                self.ledger, name, version, models_folder(settings)
            ),
            device=lambda: devices.device_of_child(settings.device, self.slot),
            threads=settings.threads,
            batch_seconds=settings.task_seconds,
        )

    def _active(self, model: str) -> str | None:
        """Return the promoted version; with the ledger away, the one last heard of."""
        try:
            self._versions[model] = self.ledger.models.active(model)
        except LedgerError as error:
            log.warning("version_not_known", model=model, reason=error.code)
        return self._versions.get(model)


def expiry(settings: Settings) -> float:
    """Return after how many seconds a bell that nobody heard is taken for lost."""
    return 2 * settings.pulse_seconds


def _holder(name: str) -> str:
    me = identify(os.getpid()) or Identity(os.getpid(), "0")
    return f"{machine()} {me} {name}"


def machine() -> str:
    """Return this host's name and its process id space, without blanks.

    Two containers may have one host name, and each its own process 1.
    """
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}/{space}".replace(" ", "_")


def lives(holder: str) -> bool | None:
    """Return whether a lease's holder still runs; None when it is not of this machine."""
    try:
        where, process, _ = holder.split(" ", 2)
        pid, since = process.split("-", 1)
        identity = Identity(int(pid), since)
    except ValueError:
        return None
    return identity.alive() if where == machine() else None
