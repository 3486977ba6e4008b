"""Notices a consumer that no longer consumes, and makes it connect anew.

A message whose acknowledgement failed (the broker went away while its task ran) keeps its place in
the prefetch window for ever. With one message at a time the window stays full: the consumer asks
for nothing, so it never learns that its connection is gone, looks alive, and does nothing. (kombu
5.7 over Redis; reported against Celery many times as "stops consuming after a reconnect".)
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import bootsteps
from celery.worker import state

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0


class CreditLost(ConnectionResetError):
    """Nothing is in hand and nothing may be taken: as good as a lost connection."""


class Credit(bootsteps.StartStopStep):
    """A step of Celery's consumer: looks at the prefetch window from time to time."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._before = False

    def start(self, consumer: Any) -> None:
        """Begin to look; called again after each reconnect."""
        self._before = False
        self._timer = consumer.timer.call_repeatedly(_LOOK_SECONDS, self.look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self, consumer: Any) -> None:
        """Raise CreditLost, which Celery takes for a lost connection, when it is so twice."""
        full = not consumer.task_consumer.channel.qos.can_consume()
        lost = full and not state.reserved_requests
        if lost and self._before:
            log.warning("credit_lost")
            raise CreditLost("acknowledgements were lost with the broker")
        self._before = lost
