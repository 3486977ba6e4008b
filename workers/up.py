"""`mailroom up`: an installation on one machine, from an empty folder to a sign-in address."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import RawIOBase
from pathlib import Path

import structlog

from ledger import Ledger, Viewer
from ledger.errors import InvalidToken, LedgerError
from settings import Settings
from workers.addresses import open_ledger, run_folder, write_private
from workers.app import hard_limit
from workers.doorbell import QUEUES
from workers.parts import (
    Part,
    environment,
    free_port,
    lock_folder,
    programs,
    servers,
)
from workers.supervisor import Supervisor

log = structlog.get_logger(__name__)

_SERVER_SECONDS = 30
_READY_SECONDS = 180
_TOKEN_DAYS = 365
_WATCH_SECONDS = 10.0


@dataclass(frozen=True)
class Ready:
    """A running installation: where its pages are, and a token that opens them."""

    url: str
    token: str

    @property
    def sign_in(self) -> str:
        """The address that signs a browser in."""
        return f"{self.url}/sign-in?token={self.token}"


def up(
    settings: Settings, announce: Callable[[Ready], None], *, sink: RawIOBase | None = None
) -> None:
    """Run everything on this machine until SIGINT or SIGTERM.

    `announce` is called once, when a pulse went through every queue and every door is open.
    The parts' logs go to `sink`, standard error unless said. Raises CannotStart and its like
    before anything was started, or after everything was stopped again.
    """
    settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})
    lock = lock_folder(settings.data_dir)
    try:
        _locked(settings, announce, sink)
    finally:
        lock.close()


def _locked(settings: Settings, announce: Callable[[Ready], None], sink: RawIOBase | None) -> None:
    supervisor = Supervisor(
        settings.data_dir, {}, prefix=settings.log_format == "console", sink=sink
    )
    supervisor.listen_to_signals()
    left = supervisor.end_leftovers()
    if left:
        log.warning("leftovers_ended", parts=left)
    settings = settings.model_copy(
        update={
            "port": free_port(settings.host, settings.port, "--port"),
            "smtp_port": free_port(settings.smtp_host, settings.smtp_port, "--smtp-port"),
        }
    )
    supervisor.environment = environment(settings)
    ledger = open_ledger(settings)
    try:
        _run(settings, supervisor, ledger, announce)
    finally:
        supervisor.stop()
        ledger.close()
        _note(settings.data_dir).unlink(missing_ok=True)


def _run(
    settings: Settings,
    supervisor: Supervisor,
    ledger: Ledger,
    announce: Callable[[Ready], None],
) -> None:
    ours = servers(settings)
    supervisor.start(ours)
    up_to = {"timeout_seconds": _SERVER_SECONDS, "what": "The embedded server"}
    if not supervisor.wait_until(lambda: _all_answer(ours), **up_to):  # type: ignore[arg-type]
        return
    ledger.migrate()
    ready = Ready(f"http://{_reachable(settings.host)}:{settings.port}", _token(settings, ledger))
    began = time.monotonic()
    parts = programs(settings)
    supervisor.start(parts)
    up_to = {"timeout_seconds": _READY_SECONDS, "what": "Mailroom"}
    condition = _Condition(settings, ledger, ready, began)
    if not supervisor.wait_until(condition, **up_to):  # type: ignore[arg-type]
        return
    write_private(
        _note(settings.data_dir), json.dumps({"url": ready.url, "token": ready.token}) + "\n"
    )
    announce(ready)
    supervisor.run(Watch(settings, supervisor, ledger, parts))


class _Condition:
    """Whether a document handed in now would be read: asked again until it is so."""

    def __init__(self, settings: Settings, ledger: Ledger, ready: Ready, began: float) -> None:
        self._settings = settings
        self._ledger = ledger
        self._ready = ready
        self._began = began
        self._next = 0.0

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + 0.25
        return self._pulses() and self._mail() and self._web()

    def _pulses(self) -> bool:
        try:
            ages = self._ledger.pulses.ages()
        except LedgerError:
            return False
        # An older pulse is one of an earlier run.
        lived = time.monotonic() - self._began
        return all(ages.get(queue, lived) < lived for queue in QUEUES)

    def _mail(self) -> bool:
        where = (_reachable(self._settings.smtp_host), self._settings.smtp_port)
        try:
            with socket.create_connection(where, timeout=2) as connection:
                connection.settimeout(2)
                greeting = connection.recv(512)
                connection.sendall(b"QUIT\r\n")
        except OSError:
            return False
        return greeting.startswith(b"220")

    def _web(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._ready.url}/readyz", timeout=5) as answer:  # noqa: S310 (our own http address)
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class Watch:
    """Restarts a worker that is alive but consumes nothing: alive means consuming."""

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        ledger: Ledger,
        parts: Sequence[Part],
    ) -> None:
        self._supervisor = supervisor
        self._ledger = ledger
        self._parts = [part for part in parts if part.queues]
        # The longest that one task may take, and a few bells missed
        self._seconds = hard_limit(settings) + 6 * settings.pulse_seconds
        self._next = 0.0

    def __call__(self) -> None:
        """Look, now and then."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _WATCH_SECONDS
        try:
            ages = self._ledger.pulses.ages()
            busy = {name: each["leased"] for name, each in self._ledger.owed.status().items()}
        except LedgerError as error:
            log.warning("ledger_unavailable", reason=error.code)
            return
        for part in self._parts:
            # Long work on one queue keeps its lease alive, and the others waiting.
            if any(busy.get(queue) for queue in part.queues):
                continue
            age = min(ages.get(queue, self._seconds + 1) for queue in part.queues)
            if min(age, self._supervisor.lived(part.name)) > self._seconds:
                log.error("not_consuming", part=part.name, seconds=round(age))
                self._supervisor.restart(part.name)


def _all_answer(parts: Sequence[Part]) -> bool:
    return all(part.server is not None and part.server.answers() for part in parts)


def _token(settings: Settings, ledger: Ledger) -> str:
    """Return the token of the last run while it is good, else a new one."""
    path = run_folder(settings.data_dir) / "token"
    try:
        kept = path.read_text().strip()
        ledger.tokens.verify(kept)
    except (OSError, InvalidToken):
        expires = datetime.now(UTC) + timedelta(days=_TOKEN_DAYS)
        _, kept = ledger.tokens.issue(
            Viewer(), name="up", scopes={"read", "write", "admin"}, expires_at=expires
        )
        write_private(path, kept + "\n")
    return kept


def _note(data_dir: Path) -> Path:
    """Return the file in which other commands find a running installation."""
    return run_folder(data_dir) / "up.json"


def _reachable(host: str) -> str:
    """Return the address under which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
