"""The Celery application: what is sent how, what is acknowledged when, and which tasks there are.

JSON only. Messages of the queues are bells (workers/doorbell.py), and direct calls on Celery's
default queue. Nothing expires: a bell that comes late finds nothing to do, and a direct call is
its caller's. The record of work is the ledger, never Celery's results.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from celery import Celery, signals
from celery.app.defaults import SETTING_KEYS
from kombu import Queue

from settings import Settings
from workers import doorbell, tasks
from workers.addresses import NoAddress, broker_url, results_url
from workers.context import Context
from workers.credit import Credit

RESULT_SECONDS = 3600


def make_app(settings: Settings, context: Context | None = None) -> Celery:
    """Return the application with every task of `workers/tasks/`; it connects when first used.

    Raises NoAddress when nothing says where the broker is, ValueError when a setting of ours is
    not one that Celery knows: it would ignore it without a word.
    """
    try:
        results: str | None = results_url(settings)
    except NoAddress:
        results = None  # direct calls then have nowhere to leave their answers; bells need none
    app = Celery("mailroom", broker=broker_url(settings), backend=results)
    wanted = configuration(settings)
    unknown = sorted(set(wanted) - SETTING_KEYS)
    if unknown:
        raise ValueError(f"Celery knows no such settings: {', '.join(unknown)}")
    app.conf.update(wanted)
    app.steps["consumer"].add(Credit)
    register_tasks(app, context or Context(settings))
    return app


def register_tasks(app: Celery, context: Context) -> None:
    """Register the tasks of every module in `workers/tasks/`: a family of tasks is one file."""
    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"{tasks.__name__}.{module.name}").register(app, context)


def hard_limit(settings: Settings) -> float:
    """Return the seconds after which a child that runs one task is killed.

    Softer limits come first: each document's while it is parsed, and `task_seconds` around each
    batch. This one is for what does not return to Python.
    """
    return 2 * settings.task_seconds + settings.parse_seconds + 30


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings under Celery's own names."""
    limit = hard_limit(settings)
    return {
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "enable_utc": True,
        # Queues: no exchange of their own, so that a flushed broker forgets no binding
        "task_queues": [Queue(name, routing_key=name) for name in doorbell.QUEUES],
        "task_default_queue": doorbell.DIRECT_QUEUE,
        "task_create_missing_queues": False,
        # Acknowledged when done: a worker that dies with a message gives it back
        "task_acks_late": True,
        # A message that killed its child is not tried again at once and for ever: a direct
        # call's sender gets the error, a bell is rung again by the scheduler.
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "task_time_limit": limit,
        # Results: of direct calls only
        "task_ignore_result": True,
        "result_expires": RESULT_SECONDS,
        "redis_socket_timeout": 30.0,
        "redis_socket_connect_timeout": 3.0,
        "redis_socket_keepalive": True,
        # The broker may go away and come back at any time
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 3.0,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_transport_options": doorbell.transport_options(
            visibility_timeout=visibility_seconds(settings)
        ),
        # Nobody commands workers over the broker; a child that died is replaced at once
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_lost_wait": 1.0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "beat_max_loop_interval": 1.0,
    }


def visibility_seconds(settings: Settings) -> float:
    """Return when an unacknowledged message is given to another worker.

    Longer than any task may run, so that living work is not done twice.
    """
    return 2 * hard_limit(settings) + 60


def keep_our_logs() -> None:
    """Keep Celery from setting logging up: the command that runs has done so."""
    signals.setup_logging.connect(_do_nothing, weak=False, dispatch_uid="mailroom-logs")


def _do_nothing(**_: Any) -> None:
    """Take the signal: having a receiver is what keeps Celery's hands off."""
