"""`mailroom.tidy()`: what the ledger wants done from time to time."""

from __future__ import annotations

import structlog
from celery import Celery

from ledger.errors import LedgerError
from workers.context import Context

log = structlog.get_logger(__name__)


def register(app: Celery, context: Context) -> None:
    """Register the task."""

    @app.task(name="mailroom.tidy")
    def tidy() -> None:
        """Remove files that no document names, and old counts.

        Running it twice, or in two places, is harmless: what is gone is gone.
        """
        try:
            removed = context.ledger.tidy()
        except LedgerError as error:
            log.warning("not_tidied", reason=error.code)
        else:
            log.info("tidied", files=removed)
