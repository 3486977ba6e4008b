"""The embedded server: what it keeps, what it hides, and how it comes back after a crash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import redis

from workers.embedded import EmbeddedServer
from workers.process import identify


def connect(server: EmbeddedServer) -> redis.Redis:
    """Return a connection to a server."""
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_what_the_broker_took_is_there_after_a_crash(broker: EmbeddedServer) -> None:
    """Bells and direct calls of people survive a broker that is killed."""
    with connect(broker) as connection:
        connection.rpush("celery", "one", "two")
        connection.execute_command("WAITAOF", 1, 0, 2000)
    address = broker.url

    broker.kill()
    broker.start()

    assert broker.url == address, "producers would have to be told a new address"
    with connect(broker) as connection:
        assert connection.lrange("celery", 0, -1) == ["one", "two"]


def test_an_append_only_file_cut_short_loads_up_to_the_cut(broker: EmbeddedServer) -> None:
    """A power cut in the middle of a write must not keep Mailroom from starting."""
    with connect(broker) as connection:
        connection.set("kept", "yes")
        connection.set("cut", "x" * 1000)
    broker.stop()
    file = max((broker.folder / "appendonlydir").glob("*.incr.aof"))
    file.write_bytes(file.read_bytes()[:-500])

    broker.start()

    with connect(broker) as connection:
        assert connection.get("kept") == "yes"


def test_a_damaged_append_only_file_is_set_aside_not_deleted(broker: EmbeddedServer) -> None:
    """Bells can ring again; a Mailroom that never starts again cannot be repaired by its user."""
    broker.stop()
    file = max((broker.folder / "appendonlydir").glob("*.incr.aof"))
    file.write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense" + b"\xff" * 2000 + b"*1\r\n$4\r\nPING\r\n")

    broker.start(timeout_seconds=5)

    assert broker.answers()
    assert list(broker.folder.glob("appendonlydir.damaged-*"))


def test_the_password_stands_on_no_command_line(broker: EmbeddedServer) -> None:
    """Every user of the machine can read command lines."""
    assert broker.identity is not None
    password = (broker.folder / "password").read_text().strip()
    shown = subprocess.run(["ps", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    listed = Path(f"/proc/{broker.identity.pid}/cmdline").read_text()

    assert len(password) >= 32
    assert password not in shown.stdout + listed
    for path in (broker.configuration, broker.folder / "password"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (broker.data_dir / "run" / "broker.url").stat().st_mode & 0o077 == 0


def test_nobody_gets_in_without_the_password(broker: EmbeddedServer) -> None:
    """A program of another user on this machine must not read or ring."""
    port = broker.url.rpartition(":")[2].partition("/")[0]
    with redis.Redis(port=int(port)) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_what_a_crash_left_running_is_ended(broker: EmbeddedServer) -> None:
    """Two brokers on one folder would write into one file."""
    left = broker.identity
    assert left is not None
    successor = EmbeddedServer(broker.data_dir, "broker")
    try:
        successor.start()
        assert not left.alive()
        assert successor.answers()
    finally:
        successor.stop()


def test_results_give_way_and_the_broker_refuses(tmp_path: Path, broker: EmbeddedServer) -> None:
    """Eviction in the broker would lose calls; a results store without it would fill up."""
    results = EmbeddedServer(tmp_path, "results")
    results.start()
    try:
        with connect(results) as connection:
            assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-ttl"
            assert connection.config_get("appendonly")["appendonly"] == "no"
        with connect(broker) as connection:
            assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            assert connection.config_get("appendfsync")["appendfsync"] == "everysec"
    finally:
        results.stop()


def test_a_used_again_process_id_is_not_mistaken(broker: EmbeddedServer) -> None:
    """Ids wrap around: ending a stranger's process because of an old file would be unforgivable."""
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        identity = identify(bystander.pid)
        assert identity is not None
        broker.pid_file.write_text(f"{bystander.pid} 12345\n")
        EmbeddedServer(broker.data_dir, "broker").prepare()
        assert identity.alive()
    finally:
        bystander.kill()
        bystander.wait()
