"""`mailroom up`: ready means ready, what dies comes back, what stops leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.workers.waiting import eventually
from workers.parts import PortTaken, free_port
from workers.process import Identity, remembered

pytestmark = pytest.mark.slow

PARTS = {"broker", "results", "scheduler", "worker", "bulk", "web", "gateway"}


class Up:
    """A running `mailroom up --json`."""

    def __init__(
        self, folder: Path, *arguments: str, settings: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.errors = folder.parent / f"{folder.name}.log"
        environment = {
            **os.environ,
            "MAILROOM_PULSE_SECONDS": "1",
            "MAILROOM_DEVICE": "cpu",
            **(settings or {}),
        }
        with self.errors.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-P",
                        "-c",
                        "from commands import main; main()",
                        "up",
                        "--json",
                    ),
                    *("--data-dir", str(folder), "--port", "0", "--smtp-port", "0", *arguments),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )

    def ready(self) -> dict[str, str]:
        """Wait for the line on standard output and return what it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        answer: dict[str, str] = json.loads(line)
        return answer

    def parts(self) -> dict[str, Identity]:
        """Return the processes of the parts that run now."""
        found = {path.stem: remembered(path) for path in (self.folder / "run").glob("*.pid")}
        return {name: identity for name, identity in found.items() if identity is not None}

    def end(self) -> None:
        """End it, whatever became of it."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, dict[str, str]]]:
    """One `mailroom up` for the tests that leave it running."""
    up = Up(tmp_path_factory.mktemp("up") / "data")
    yield up, up.ready()
    up.end()


def read_one(ready: dict[str, str]) -> dict[str, object]:
    """Hand in a document over HTTP and return it when it is finished."""
    headers = {"Authorization": f"Bearer {ready['token']}"}
    with httpx.Client(base_url=f"{ready['url']}/api/v1", headers=headers, timeout=30) as client:
        answer = client.post("/documents", json={"kind": "review", "text": "A very good film."})
        assert answer.status_code == 202, answer.text
        where = f"/documents/{answer.json()['id']}"

        def finished() -> dict[str, object] | None:
            document: dict[str, object] = client.get(where).json()
            return document if document["state"] in ("done", "failed") else None

        return eventually(finished)


def answers(url: str) -> bool:
    """Return whether an address answers that all is well."""
    try:
        return httpx.get(url, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def test_ready_means_that_a_document_is_read(running: tuple[Up, dict[str, str]]) -> None:
    """The one line on standard output is a promise: address, token, everything consumed."""
    up, ready = running
    assert set(ready) == {"url", "token"}
    assert httpx.get(f"{ready['url']}/readyz").status_code == 200
    assert set(up.parts()) == PARTS
    note = up.folder / "run" / "up.json"
    assert json.loads(note.read_text()) == ready
    assert note.stat().st_mode & 0o077 == 0
    assert read_one(ready)["state"] == "done"


def test_the_sign_in_address_opens_the_pages(running: tuple[Up, dict[str, str]]) -> None:
    """What `up` prints for people works in a browser that knows nothing yet."""
    _, ready = running
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        page = browser.get(f"{ready['url']}/sign-in", params={"token": ready["token"]})
        assert page.status_code == 200


def test_the_same_folder_is_refused_to_a_second_one(running: tuple[Up, dict[str, str]]) -> None:
    """Two brokers and two schedulers on one folder would fight; the message says who is there."""
    up, ready = running
    second = Up(up.folder)
    assert second.process.wait(60) == 1
    said = up.errors.read_text()
    assert f"in use by another `mailroom up` (process {up.process.pid})" in said
    assert httpx.get(f"{ready['url']}/healthz").status_code == 200
    second.end()


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_dies_is_started_again(running: tuple[Up, dict[str, str]], name: str) -> None:
    """A segmentation fault at night must not be a silent mailroom in the morning."""
    up, ready = running
    before = up.parts()[name]
    os.kill(before.pid, signal.SIGKILL)

    eventually(lambda: up.parts().get(name) not in (None, before))
    eventually(lambda: answers(f"{ready['url']}/readyz"))

    assert read_one(ready)["state"] == "done"


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    """People see which port, and what to do; nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port}.*--port"):
            free_port("127.0.0.1", port, "--port")
        up = Up(tmp_path / "data", "--port", str(port))
        assert up.process.wait(60) == 1
        assert str(port) in up.errors.read_text()
        assert not up.parts()
        up.end()


def test_a_caller_that_reads_one_line_only_does_not_halt_it(tmp_path: Path) -> None:
    """Programs start Mailroom, take the address, and never look at standard error again."""
    inlet, outlet = os.pipe()
    fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, 4096)
    (tmp_path / "data.log").symlink_to(f"/proc/{os.getpid()}/fd/{outlet}")
    up = Up(tmp_path / "data", settings={"MAILROOM_LOG_LEVEL": "debug"})
    try:
        ready = up.ready()
        assert select.select([inlet], [], [], 0)[0], "nothing was said: the test says nothing"
        for _ in range(3):
            assert read_one(ready)["state"] == "done"
        up.process.terminate()
        assert up.process.wait(60) == 0
    finally:
        up.end()
        os.close(inlet)
        os.close(outlet)


def test_after_a_crash_it_starts_again_and_then_stops_cleanly(tmp_path: Path) -> None:
    """The out-of-memory killer took it: what was left is ended, documents and token are kept."""
    crashed = Up(tmp_path / "data")
    first = crashed.ready()
    left = crashed.parts()
    crashed.process.kill()
    crashed.process.wait()
    crashed.end()

    up = Up(tmp_path / "data")
    try:
        ready = up.ready()
        assert ready["token"] == first["token"]
        assert not [name for name, identity in left.items() if identity.alive()]
        assert read_one(ready)["state"] == "done"

        parts = up.parts()
        up.process.terminate()
        assert up.process.wait(90) == 0
        assert up.process.stdout is not None
        assert up.process.stdout.read() == "", "one line and nothing else on standard output"
        assert not [name for name, identity in parts.items() if identity.alive()]
        assert not (tmp_path / "data" / "run" / "up.json").exists()
    finally:
        up.end()
