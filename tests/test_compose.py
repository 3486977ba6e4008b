"""docker-compose.yml: every service's very command starts and does its work.

No container engine is needed: the commands run here with the environment of the compose file,
against a real broker, a real PostgreSQL and a real S3-compatible server of the tests' own.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from workers.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent
MAILROOM = [str(Path(sys.executable).parent / "mailroom")]
OURS = ("web", "worker", "bulk-worker", "gpu-worker", "scheduler", "gateway", "migrate")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file as a container engine would read it."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def installation(
    compose: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    new_postgresql_database: Callable[[], str],
) -> Iterator[dict[str, str]]:
    """The environment of the compose file with this machine's addresses in it."""
    from moto.server import ThreadedMotoServer

    folder = tmp_path_factory.mktemp("compose")
    broker, results = (
        EmbeddedServer(folder / "b", "broker"),
        EmbeddedServer(folder / "r", "results"),
    )
    files = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    files.start()
    endpoint = "http://{}:{}".format(*files.get_host_and_port())
    httpx.put(f"{endpoint}/mailroom").raise_for_status()
    environment = {
        **compose["services"]["worker"]["environment"],
        "MAILROOM_DATABASE_URL": new_postgresql_database(),
        "MAILROOM_BROKER_URL": broker.start(),
        "MAILROOM_RESULTS_URL": results.start(),
        "MAILROOM_S3_ENDPOINT": endpoint,
        "AWS_SECRET_ACCESS_KEY": "a-test-key",
        "MAILROOM_SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAILROOM_DATA_DIR": str(folder / "data"),
        "MAILROOM_PORT": str(free_port()),
        "MAILROOM_SMTP_PORT": str(free_port()),
        "MAILROOM_PULSE_SECONDS": "1",
        "PATH": os.environ["PATH"],
    }
    try:
        yield environment
    finally:
        for server in (broker, results, files):
            server.stop()


def run_once(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    return subprocess.run(
        [*MAILROOM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for a condition and fail with its description when it does not come."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.2)


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    """A password that everybody knows is an open door."""
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{(MAILROOM_\w+_KEY)", text))
    required = set(re.findall(r"\$\{(MAILROOM_\w+_KEY):\?", text))
    assert used == required
    assert not re.search(r"\$\{MAILROOM_\w+_KEY:-", text)


def test_every_service_proves_consumption_or_answers(compose: dict[str, Any]) -> None:
    """A worker that answers pings and consumes nothing must count as ill."""
    for name in OURS:
        service = compose["services"][name]
        if name == "migrate":
            continue
        test = service["healthcheck"]["test"]
        if "worker" in name or name == "scheduler":
            assert test[1:4] == ["mailroom", "doctor", "--pulse"]


@pytest.mark.slow
@pytest.mark.postgresql
def test_the_services_commands_carry_a_document_through(
    compose: dict[str, Any], installation: dict[str, str], tmp_path: Path
) -> None:
    """A compose file whose commands do not start is found by the user, not by us."""
    migrated = run_once(installation, *compose["services"]["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    token = run_once(installation, "token", "issue", "test", "--json")
    assert token.returncode == 0, token.stderr
    secret = yaml.safe_load(token.stdout)["token"]
    names = ("web", "worker", "bulk-worker", "scheduler", "gateway")
    logs = {name: (tmp_path / f"{name}.log").open("w+") for name in names}
    parts = {
        name: subprocess.Popen(
            [*MAILROOM, *compose["services"][name]["command"]],
            env=installation,
            stdout=logs[name],
            stderr=subprocess.STDOUT,
        )
        for name in names
    }
    try:
        carry_a_document(installation, secret)
        for name in ("worker", "bulk-worker", "scheduler"):
            check = compose["services"][name]["healthcheck"]["test"][2:]
            wait_until(
                lambda check=check: run_once(installation, *check).returncode == 0,
                seconds=60,
                what=f"{name} to be well by `{shlex.join(check)}`",
            )
        for name, part in parts.items():
            assert part.poll() is None, f"{name} ended: {(tmp_path / f'{name}.log').read_text()}"
    finally:
        for part in parts.values():
            part.send_signal(signal.SIGTERM)
        endings = {name: part.wait(60) for name, part in parts.items()}
        for log in logs.values():
            log.close()
    assert set(endings.values()) == {0}


def carry_a_document(environment: dict[str, str], secret: str) -> None:
    """Hand a review in over HTTP and see it read."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{environment['MAILROOM_PORT']}",
        headers={"Authorization": f"Bearer {secret}"},
        trust_env=False,
    ) as client:

        def answers() -> bool:
            try:
                return client.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, seconds=60, what="the web service to answer")
        accepted = client.post(
            "/api/v1/documents",
            json={"kind": "review", "text": "A wonderful film, I loved every minute of it."},
        )
        assert accepted.status_code == 202, accepted.text
        where = accepted.headers["Location"]
        wait_until(
            lambda: client.get(where).json()["state"] in {"done", "failed"},
            seconds=90,
            what="the document to be read",
        )
        document = client.get(where).json()
        assert document["state"] == "done", document
        assert document["outcome"]["labels"]["sentiment"]["value"] == "positive"
