"""A worker whose every Celery task claims, reads and commits one document: nothing is batched.

    python -m benchmarks.one_a_task

The other side of `benchmarks.interactive`: the same ledger, models, worker and promises as
`mailroom worker`, and the task that a program without a batcher would have.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from settings import Settings
from workers import worker
from workers.app import make_app
from workers.claiming import Desk
from workers.context import Context
from workers.doorbell import DIRECT_QUEUE

TASK = "benchmark.one"


def with_single_task(settings: Settings, context: Context | None = None) -> Celery:
    """Return the worker's application with one more task."""
    context = context or Context(settings)
    app = make_app(settings, context)
    desks: dict[str, Desk] = {}

    @app.task(name=TASK)
    def one(queue: str) -> None:
        """Do the next document of a queue."""
        desk = desks.setdefault(queue, Desk(app, context, queue, rings=False))
        desk.once()

    return app


def main() -> None:
    """Run until SIGTERM."""
    made: Any = worker
    made.make_app = with_single_task
    settings = Settings(batch_items=1)
    raise SystemExit(worker.run_worker(settings, queues=[DIRECT_QUEUE], name="single"))


if __name__ == "__main__":
    main()
