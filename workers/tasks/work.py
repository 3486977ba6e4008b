"""`mailroom.work(queue)`: the doorbell's task. Takes what the ledger owes and does it."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from workers import job_desk
from workers.batches import QUEUE as BULK
from workers.batches import Bulk
from workers.claiming import Desk
from workers.context import Context
from workers.delivery import QUEUE, Courier
from workers.doorbell import WORK
from workers.job_desk import JobDesk
from workers.payments import QUEUE as SWIFT
from workers.payments import SwiftDesk


def register(app: Celery, context: Context) -> None:
    """Register the task."""
    desks: dict[str, Bulk | Courier | Desk | JobDesk | SwiftDesk] = {}

    @app.task(name=WORK)
    def work(queue: str) -> None:
        """Do what is owed on a queue until nothing is, or until others should have a turn.

        Running it twice, or at the same time, is harmless: each row is leased to one of them,
        and only who still holds the lease can finish it.
        """
        if queue not in desks:
            desks[queue] = _desk(app, context, queue)
        desks[queue].work()

    def stop(**_: Any) -> None:
        for desk in desks.values():
            if isinstance(desk, JobDesk):
                desk.stop()

    signals.worker_process_shutdown.connect(stop, weak=False)


def _desk(app: Celery, context: Context, queue: str) -> Bulk | Courier | Desk | JobDesk | SwiftDesk:
    if queue == BULK:
        return Bulk(app, context)
    if queue == SWIFT:
        return SwiftDesk(app, context)
    if queue in job_desk.QUEUES:
        return JobDesk(app, context, queue)
    return Courier(app, context, queue) if queue == QUEUE else Desk(app, context, queue)
