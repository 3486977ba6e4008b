"""A gateway on a free port over a real ledger, in this process or in one that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger import Document, Ledger, Viewer, open_ledger
from service.gateway import serving
from service.mail.door import Door
from service.mail.limits import Limits
from service.mail.recipients import Recipients

VIEWER = Viewer(actor="test")


class Bell:
    """Counts its rings."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, queue: str) -> bool:
        """Count a ring."""
        self.rung.append(queue)
        return True


class Gateway:
    """A gateway in a thread of this process."""

    def __init__(self, ledger: Ledger, **options: Any) -> None:
        self.ledger = ledger
        self.bell = Bell()
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        recipients = Recipients(self._options.pop("recipients", "*"))
        self.door = Door(self.ledger, recipients, bell=self.bell, **self._options)
        self._stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with serving(self.door, host="127.0.0.1", port=0) as (self.host, self.port):
            self._ready.set()
            await self._stopped.wait()

    def start(self) -> None:
        """Start, and return when it listens."""
        self._thread.start()
        assert self._ready.wait(10)

    def begin_to_stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    def stop(self) -> None:
        """Stop, and return when it has."""
        self.begin_to_stop()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def client(self, timeout: float = 20) -> smtplib.SMTP:
        """Return a connected client."""
        return smtplib.SMTP(self.host, self.port, timeout=timeout)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on SQLite."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", str(tmp_path / "files"))
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def start_gateway(ledger: Ledger) -> Iterator[Callable[..., Gateway]]:
    """Return a function that starts a gateway with the options of a Door."""
    started = []

    def start(**options: Any) -> Gateway:
        gateway = Gateway(ledger, **options)
        gateway.start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        if gateway._thread.is_alive():
            gateway.stop()


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with small limits that takes mail for everybody."""
    return start_gateway(limits=Limits(message_bytes=2_000_000, memory_bytes=8_000_000))


def kept(ledger: Ledger) -> list[Document]:
    """Return every mail in the ledger, oldest first."""
    documents: list[Document] = []
    after = None
    while True:
        page = ledger.documents.list(VIEWER, source="smtp", limit=200, after=after)
        documents += page.items
        after = page.after
        if after is None:
            return documents[::-1]


def originals(ledger: Ledger) -> list[bytes]:
    """Return the raw bytes of every mail in the ledger, oldest first."""
    return [ledger.documents.original(document.id, VIEWER)[1] for document in kept(ledger)]


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the condition's first true value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)
    return value


@contextmanager
def gateway_process(data_dir: Path, **settings: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run `mailroom gateway` on a free port; yields the process and the port."""
    environment = os.environ | {"MAILROOM_DATA_DIR": str(data_dir)} | settings
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from commands import main; main()",
            "gateway",
            "--port",
            "0",
            "--json",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the gateway did not start"
        yield process, json.loads(line)["port"]
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
