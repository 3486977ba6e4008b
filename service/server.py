"""The web application behind gunicorn, configured here and nowhere else.

One process with many threads: it waits for the disk and the database, which release Python's
lock, and everything that needs a model happens in the workers.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from service.app import create_app
from settings import Settings

log = structlog.get_logger(__name__)

THREADS = 16
GRACE_SECONDS = 20  # for requests in hand when told to stop
SILENT_SECONDS = 60  # after which a process whose main loop stands still is replaced
KEPT_OPEN_SECONDS = 15
BACKLOG = 1024


SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - not a file's name: the place for a heartbeat


class Server(BaseApplication):
    """Runs an application that is there already; reads no file, variable or argument."""

    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        self.application = app
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        """Set the options."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application."""
        return self.application


class Log(Logger):
    """Sends gunicorn's words where ours go, without what an address carries after its `?`."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers to the root logger."""
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.error_log.addFilter(without_queries)


def without_queries(record: logging.LogRecord) -> bool:
    """Cut queries from what is logged: the address of a sign-in holds a token."""
    record.msg, record.args = re.sub(r"\?\S+", "?…", record.getMessage()), None
    return True


def serve(settings: Settings, *, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished first.

    `ready` is called with the address once connections are taken. Raises OSError when the
    address cannot be listened on and NoAddress when no broker is known.
    """
    app = create_app(settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    host, port = listener.getsockname()[:2]

    def announce(_: object) -> None:
        log.info("listening", host=host, port=port)
        if ready is not None:
            ready(host, port)

    Server(app, options(listener.detach(), announce)).run()  # which closes what it is given


def options(descriptor: int, announce: Callable[[object], None]) -> dict[str, Any]:
    """Return gunicorn's settings."""
    return {
        "bind": f"fd://{descriptor}",
        "backlog": BACKLOG,
        "workers": 1,
        "worker_class": "gthread",
        "threads": THREADS,
        "timeout": SILENT_SECONDS,
        "graceful_timeout": GRACE_SECONDS,
        "keepalive": KEPT_OPEN_SECONDS,
        "proc_name": "mailroom-web",
        "logger_class": Log,
        "loglevel": "warning",
        "when_ready": announce,
        # Its heartbeat is a file's time: on a disk, writing it can stall the whole process
        "worker_tmp_dir": str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
        # It would lie in the home folder, and two mailrooms of one user would share it
        "control_socket_disable": True,
        # Forwarded headers are read in one place, by our own setting
        "forwarded_allow_ips": "",
    }
