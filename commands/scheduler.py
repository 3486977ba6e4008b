"""`mailroom scheduler`: ring every queue from time to time."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Ring every queue from time to time, until SIGTERM.

    One is enough for an installation; two do no harm.
    """
    from settings import Settings
    from workers.client import NoAddress, configure_logs
    from workers.scheduler import run_scheduler

    settings = Settings()
    configure_logs(settings)
    try:
        run_scheduler(settings)
    except NoAddress as error:
        raise click.ClickException(str(error)) from error
