"""The door to the workers for web, gateway and commands: addresses, the bell, names of kinds.

It loads no torch. Nothing here is needed to keep a document: the ledger has it before a bell
rings, and the scheduler rings again for whatever a lost bell left waiting.
"""

from __future__ import annotations

import os
import threading
import time

import structlog
from celery import Celery

from workers import doorbell, first_look, past, wiring
from workers.addresses import (
    NoAddress,
    broker_url,
    database_url,
    files_url,
    masked,
    models_folder,
    open_ledger,
    results_url,
    run_folder,
    write_private,
)
from workers.content import content_of
from workers.doorbell import QUEUES, WORK_QUEUES
from workers.labelled import CannotLook, look_at_labelled
from workers.labels import labels_of, queues_of
from workers.logs import configure as configure_logs
from workers.loop_key import loop_key
from workers.rules_disk import NotWritable, RulesChanged, RulesDisk, check
from workers.similar import similar_to
from workers.tables.names import HEAD_BYTES, RESULTS, result_name, sniff
from workers.trained import erase as erase_model
from workers.trained import shipped as shipped_models

__all__ = [
    "HEAD_BYTES",
    "QUEUES",
    "RESULTS",
    "WORK_QUEUES",
    "CannotLook",
    "Client",
    "NoAddress",
    "NotWritable",
    "RulesChanged",
    "RulesDisk",
    "broker_url",
    "check",
    "configure_logs",
    "content_of",
    "database_url",
    "erase_model",
    "files_url",
    "first_look",
    "labels_of",
    "look_at_labelled",
    "loop_key",
    "masked",
    "models_folder",
    "open_ledger",
    "past",
    "queues_of",
    "result_name",
    "results_url",
    "run_folder",
    "shipped_models",
    "similar_to",
    "sniff",
    "wiring",
    "write_private",
]

log = structlog.get_logger(__name__)

# After a ring failed, callers are not made to wait for the broker again for so long.
_QUIET_SECONDS = 1.0
_EXPIRY_SECONDS = 20.0


class Client:
    """Rings the workers. Safe to share between threads and to build before a fork."""

    def __init__(self, broker_url: str, *, expiry_seconds: float = _EXPIRY_SECONDS) -> None:
        self._broker_url = broker_url
        self._expiry_seconds = expiry_seconds
        self._quiet_until = 0.0
        self._lock = threading.Lock()
        self._app: Celery | None = None
        self._pid = 0

    def ring(self, queue: str) -> bool:
        """Tell the workers that work waits on a queue; return whether the broker took it.

        Never raises and never waits long: with the broker away it is False, and the scheduler
        rings when the broker is back.
        """
        if time.monotonic() < self._quiet_until:
            return False
        try:
            app = self._application()
            with app.pool.acquire(block=True, timeout=2) as connection:
                return doorbell.ring(app, connection, queue, expiry_seconds=self._expiry_seconds)
        except doorbell.BROKER_ERRORS as error:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            log.warning("bell_not_rung", queue=queue, reason=type(error).__name__)
            return False

    def answers(self) -> bool:
        """Return whether the broker answers; does not raise."""
        try:
            with self._application().pool.acquire(block=True, timeout=2) as connection:
                doorbell.waiting(connection, QUEUES[0])
        except doorbell.BROKER_ERRORS:
            return False
        return True

    def kinds(self) -> tuple[str, ...]:
        """Return the names of the document kinds there are."""
        from nlp import kinds

        return kinds.names()

    def close(self) -> None:
        """Close the connections to the broker."""
        with self._lock:
            if self._app is not None and self._pid == os.getpid():
                self._app.close()
            self._app = None

    def _application(self) -> Celery:
        with self._lock:
            # A web server forks: sockets of the parent must not be shared with it.
            if self._app is None or self._pid != os.getpid():
                self._app = _bare_application(self._broker_url)
                self._pid = os.getpid()
            return self._app


def _bare_application(url: str) -> Celery:
    """Return a Celery application that can send and knows no task."""
    app = Celery("mailroom", broker=url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        broker_transport_options={
            **doorbell.transport_options(visibility_timeout=VISIBILITY_SECONDS),
            # A person waits behind this ring.
            "socket_connect_timeout": 1,
            "socket_timeout": 2,
        },
        broker_connection_timeout=1,
    )
    return app


# Restoring what was never acknowledged is the workers' business; a sender only has to agree.
VISIBILITY_SECONDS = 3600.0
