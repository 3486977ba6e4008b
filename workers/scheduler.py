"""The scheduler: rings every queue from time to time, work or none.

It makes good whatever bell was lost, and its bells are the pulses that show a queue is consumed.
Celery's beat with its schedule in memory: nothing is written to disk, and nothing needs to be.
"""

from __future__ import annotations

import signal
from datetime import timedelta
from types import FrameType
from typing import Any

import structlog
from celery import beat
from celery.schedules import schedule

from settings import Settings
from workers.app import make_app
from workers.context import Context
from workers.doorbell import DIRECT_QUEUE, QUEUES, WORK

log = structlog.get_logger(__name__)

TIDY = "mailroom.tidy"
TIDY_SECONDS = 3600


class Bells(beat.Scheduler):
    """A schedule in memory whose bells are rung by the rules of `workers/doorbell.py`."""

    context: Context
    # Celery's own would wait for the broker here, longer and longer, holding all bells up.
    producer = None

    def setup_schedule(self) -> None:
        """Take the schedule from the settings; called by Celery."""
        self.data: dict[str, Any] = {}
        pulse = schedule(timedelta(seconds=self.context.settings.pulse_seconds))
        self.update_from_dict(
            {
                f"ring {queue}": {"task": WORK, "schedule": pulse, "kwargs": {"queue": queue}}
                for queue in QUEUES
            }
            | {
                "tidy": {
                    "task": TIDY,
                    "schedule": schedule(timedelta(seconds=TIDY_SECONDS)),
                    "options": {"queue": DIRECT_QUEUE, "retry": False},
                }
            }
        )

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        """Send what is due; a bell only where none is ringing."""
        if entry.task == WORK:
            self.context.ring(self.app, entry.kwargs["queue"])
            return None
        return super().apply_async(entry, producer=None, advance=advance, **options)


def run_scheduler(settings: Settings) -> None:
    """Ring until SIGTERM or SIGINT. Raises NoAddress when nothing says where the broker is."""
    context = Context(settings, name="scheduler")
    app = make_app(settings, context)
    for queue in QUEUES:
        context.ring(app, queue)
    service = beat.Service(
        app, scheduler_cls=type("Bells", (Bells,), {"context": context}), max_interval=1
    )

    def stop(_: int, __: FrameType | None) -> None:
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("scheduler_started", pulse_seconds=settings.pulse_seconds)
    service.start()
