"""A worker: Celery's prefork pool with one child a device, and what its children do at start."""

from __future__ import annotations

import os
import socket
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import structlog
from billiard.process import current_process  # type: ignore[import-untyped]
from celery import Celery, signals

from ledger.errors import LedgerError
from settings import Settings
from workers import devices
from workers.app import keep_our_logs, make_app
from workers.context import Context
from workers.doorbell import DIRECT_QUEUE, QUEUES, WORK_QUEUES
from workers.leases import take_up
from workers.process import drop_inherited_connections

log = structlog.get_logger(__name__)

# Queues on which a person waits: their worker loads its models before the first document
_WARM = {"interactive", DIRECT_QUEUE}


class UnknownQueue(ValueError):
    """There is no queue of this name."""

    code = "unknown_queue"


def run_worker(settings: Settings, *, queues: Sequence[str] = QUEUES, name: str = "worker") -> int:
    """Consume queues until SIGTERM; return the exit status.

    On SIGTERM work in hand is finished or given back. Raises UnknownQueue, and NoAddress when
    nothing says where the broker is.
    """
    unknown = sorted(set(queues) - set(QUEUES))
    if unknown or not queues:
        raise UnknownQueue(f"No such queue: {', '.join(unknown)}. There are {', '.join(QUEUES)}.")
    # Celery warns of superuser privileges; JSON-only messages are what that is about.
    os.environ.setdefault("C_FORCE_ROOT", "1")
    warnings.filterwarnings("ignore", module="celery.platforms")
    devices.share_cores()
    context = Context(settings, name=name)
    app = make_app(settings, context)
    keep_our_logs()
    _connect_signals(app, context, queues)
    worker = app.Worker(
        queues=list(queues),
        hostname=f"{name}@{socket.gethostname()}",
        pool="prefork",
        concurrency=max(1, devices.cards(settings.device)),
        optimization="fair",
        quiet=True,
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    log.info("worker_started", worker=name, queues=list(queues))
    worker.start()
    log.info("worker_stopped", worker=name)
    return int(worker.exitcode or 0)


def _connect_signals(app: Celery, context: Context, queues: Sequence[str]) -> None:
    def begin_child(**_: Any) -> None:
        drop_inherited_connections()
        context.slot = int(getattr(current_process(), "index", 0) or 0)
        # Celery gives a child four seconds to come up, and models take longer: beside it.
        threading.Thread(target=_start_child, args=(app, context, queues), daemon=True).start()

    def end_child(**_: Any) -> None:
        context.close()

    def stop(**_: Any) -> None:
        context.stop()

    signals.worker_process_init.connect(begin_child, weak=False)
    signals.worker_process_shutdown.connect(end_child, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)


def _start_child(app: Celery, context: Context, queues: Sequence[str]) -> None:
    """Take up what a child before this one left, ring where work waits, and load models."""
    try:
        take_up(context.ledger, attempts_allowed=context.settings.attempts)
        for queue in set(queues) & set(WORK_QUEUES):
            if context.ledger.owed.outstanding(queue, up_to=1):
                context.ring(app, queue)
        if "bulk" in queues and context.ledger.chunks.outstanding():
            context.ring(app, "bulk")
    except LedgerError as error:
        log.error("ledger_unavailable", reason=error.code)
    if _WARM & set(queues):
        from nlp import kinds

        context.readers.warm(kinds.names())
