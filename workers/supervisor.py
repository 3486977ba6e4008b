"""Runs the parts of an installation: starts them, restarts one that died, stops them in order.

One thread: children ask to die with the thread that forked them. Each part has a session of its
own, so that Ctrl-C reaches this process only, and its identity in a file, so that the next start
ends whatever a crash of this one left running.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from io import RawIOBase
from pathlib import Path
from types import FrameType

import structlog

from workers.addresses import run_folder
from workers.logs import NeverBlocking
from workers.parts import CannotStart, Part
from workers.process import die_with_parent, identify, remember, remembered

log = structlog.get_logger(__name__)

_TICK_SECONDS = 0.2
_RESTART_PAUSES = (0.2, 1, 2, 5, 10, 30)
_SETTLED_SECONDS = 60  # one that lived so long starts again with the shortest pause
_LEFTOVER_SECONDS = 20


class Running:
    """A part and its process, if it has one now."""

    def __init__(self, part: Part, pid_file: Path) -> None:
        self.part = part
        self.pid_file = pid_file
        self.process: subprocess.Popen[bytes] | None = None
        self.output = b""
        self.started_at = 0.0
        self.start_at = 0.0  # when it may start again
        self.deaths = 0
        self.kill_at: float | None = None  # asked to stop, and not waited for any longer

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """The parts of one data folder. `start` some, `run` until told to stop, `stop` all."""

    def __init__(
        self,
        data_dir: Path,
        environment: Mapping[str, str],
        *,
        prefix: bool = True,
        sink: RawIOBase | None = None,
    ) -> None:
        self._folder = run_folder(data_dir)
        self.environment = dict(environment)
        self._prefix = prefix
        self._sink = sink or NeverBlocking(sys.stderr.fileno())
        self._selector = selectors.DefaultSelector()
        self._running: dict[str, Running] = {}
        self._signals = 0

    @property
    def stopping(self) -> bool:
        """Whether a signal asked this process to stop."""
        return self._signals > 0

    def listen_to_signals(self) -> None:
        """Stop on SIGINT and SIGTERM; a second one no longer waits for work in hand."""

        def count(_: int, __: FrameType | None) -> None:
            self._signals += 1

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, count)

    def end_leftovers(self) -> list[str]:
        """End what an earlier run left behind after a crash; return the parts' names."""
        found = {path.stem: remembered(path) for path in sorted(self._folder.glob("*.pid"))}
        left = {name: identity for name, identity in found.items() if identity is not None}
        # Ask all before waiting for the first: each may take its time.
        for identity in left.values():
            identity.ask(signal.SIGTERM)
        for identity in left.values():
            identity.end(grace_seconds=_LEFTOVER_SECONDS)
        for path in self._folder.glob("*.pid"):
            path.unlink(missing_ok=True)
        return list(left)

    def start(self, parts: Sequence[Part]) -> None:
        """Start parts; from now on each is started again when it dies."""
        for part in parts:
            running = Running(part, self._folder / f"{part.name}.pid")
            self._running[part.name] = running
            self._spawn(running)

    def wait_until(
        self, condition: Callable[[], bool], *, timeout_seconds: float, what: str
    ) -> bool:
        """Look after the parts until the condition holds; False when asked to stop before.

        Raises CannotStart when the time is up, or a part keeps dying.
        """
        limit = time.monotonic() + timeout_seconds
        while not self.stopping:
            if condition():
                return True
            if time.monotonic() > limit:
                raise CannotStart(f"{what} did not become ready in {timeout_seconds:.0f} seconds.")
            for running in self._running.values():
                if running.deaths >= 3 and running.part.server is None:
                    raise CannotStart(f"{running.part.name} keeps stopping; its log says why.")
            self.tick()
        return False

    def run(self, every: Callable[[], None] = lambda: None) -> None:
        """Look after the parts until a signal comes; `every` is called at each look."""
        while not self.stopping:
            self.tick()
            every()

    def tick(self) -> None:
        """Pass on what the parts say, and start again those that died."""
        self._pass_on(_TICK_SECONDS)
        now = time.monotonic()
        for running in self._running.values():
            if running.process is not None and running.process.poll() is not None:
                self._bury(running)
            if running.kill_at is not None and now > running.kill_at:
                self._kill(running)
            if running.process is None and now >= running.start_at:
                self._spawn(running)

    def restart(self, name: str) -> None:
        """Ask a part that no longer does its work to stop; it is started again when it has.

        After its grace it is killed: one that hangs does not hear.
        """
        running = self._running[name]
        if running.process is not None and running.kill_at is None:
            running.process.terminate()
            running.kill_at = time.monotonic() + running.part.grace_seconds

    def lived(self, name: str) -> float:
        """Return for how many seconds a part's process has run; 0 when it does not."""
        running = self._running[name]
        return time.monotonic() - running.started_at if running.alive else 0.0

    def stop(self) -> None:
        """Stop every part: SIGTERM round by round, SIGKILL to what outlives its grace."""
        for stops in sorted({running.part.stops for running in self._running.values()}):
            group = [each for each in self._running.values() if each.part.stops == stops]
            self._stop_group(group)
        self._running.clear()

    def _stop_group(self, group: Sequence[Running]) -> None:
        began = time.monotonic()
        before = self._signals
        for running in group:
            if running.alive and running.process is not None:
                running.process.terminate()
        while alive := [running for running in group if running.alive]:
            for running in alive:
                waited = time.monotonic() - began
                # asked a second time: whoever asked is in a hurry
                if waited > running.part.grace_seconds or self._signals > max(before, 1):
                    log.warning("killed", part=running.part.name)
                    self._kill(running)
            self._pass_on(_TICK_SECONDS / 4)
        for running in group:
            self._pass_on(0)
            self._forget(running)

    def _spawn(self, running: Running) -> None:
        part = running.part
        if part.server is not None:
            if running.deaths > 1:
                aside = part.server.set_aside_damage()
                if aside is not None:
                    log.error("append_only_file_set_aside", part=part.name, path=str(aside))
            part.server.prepare()
        parent = os.getpid()

        def in_child() -> None:
            die_with_parent(parent=parent)
            os.nice(part.nice)

        process = subprocess.Popen(
            part.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,
        )
        identity = identify(process.pid)
        if identity is not None:
            remember(running.pid_file, identity)
        running.process = process
        running.started_at = time.monotonic()
        running.output = b""
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, running)

    def _bury(self, running: Running) -> None:
        """Note a death, end what the part left behind, and plan its next start."""
        if running.process is None:
            return
        self._pass_on(0)
        status = running.process.returncode
        if time.monotonic() - running.started_at > _SETTLED_SECONDS:
            running.deaths = 0
        pause = _RESTART_PAUSES[min(running.deaths, len(_RESTART_PAUSES) - 1)]
        running.deaths += 1
        running.start_at = time.monotonic() + pause
        log.error("part_died", part=running.part.name, status=status, again_in=pause)
        self._kill(running)
        self._forget(running)

    def _kill(self, running: Running) -> None:
        if running.process is None:
            return
        try:
            # its session: a worker's children, and theirs
            os.killpg(running.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def _forget(self, running: Running) -> None:
        process = running.process
        if process is not None:
            process.wait()
            if process.stdout is not None:
                if process.stdout in self._selector.get_map():
                    self._selector.unregister(process.stdout)
                process.stdout.close()
        running.process = None
        running.kill_at = None
        running.pid_file.unlink(missing_ok=True)

    def _pass_on(self, timeout: float) -> None:
        """Copy whole lines of the parts' output to ours, each with its part's name."""
        for key, _ in self._selector.select(timeout):
            running: Running = key.data
            try:
                data = os.read(key.fd, 65536)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(key.fileobj)
                data = b"\n" if running.output else b""
            *lines, running.output = (running.output + data).split(b"\n")
            mark = f"{running.part.name:<9} | ".encode() if self._prefix else b""
            for line in filter(bytes.strip, lines):
                self._sink.write(mark + line + b"\n")
        self._sink.flush()
