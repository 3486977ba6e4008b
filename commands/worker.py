"""`mailroom worker`: read what waits on some queues."""

from __future__ import annotations

import click


@click.command()
@click.option("--queues", default=None, help="Comma-separated; all of them unless said.")
@click.option("--name", default="worker", show_default=True, help="As it stands in logs.")
def command(queues: str | None, name: str) -> None:
    """Read what waits on some queues, until SIGTERM.

    Any number may run, on any number of machines.
    """
    import logging
    import os

    from settings import Settings
    from workers.client import QUEUES, NoAddress, configure_logs
    from workers.worker import UnknownQueue, run_worker

    settings = Settings()
    configure_logs(settings)
    wanted = [queue.strip() for queue in queues.split(",")] if queues else list(QUEUES)
    try:
        status = run_worker(settings, queues=wanted, name=name)
    except (NoAddress, UnknownQueue) as error:
        raise click.ClickException(str(error)) from error
    logging.shutdown()
    # The pool has been joined; at exit Celery would look for it again, for two seconds.
    os._exit(status)
