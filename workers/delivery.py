"""Carries out what results asked for: owed deliveries to their connectors.

Each is leased, sent, and finished or put off; a delivery that was sent while its worker died is
sent again, and receivers know the repeat by its id. What trying again does not cure is failed at
once, where people see it with its reason and a replay button.
"""

from __future__ import annotations

import random
import time
from typing import Any

import structlog
from celery import Celery

from connectors import ConnectorError, Parcel, Permanent, Receipt, Transient
from ledger import Viewer
from ledger.deliveries import Delivery
from ledger.document import Document
from ledger.errors import LedgerError
from routing import loops
from workers.content import content_of
from workers.context import Context
from workers.decisions import decider
from workers.destinations import Destinations, connectors_file
from workers.loop_key import loop_key

log = structlog.get_logger(__name__)

QUEUE = "delivery"
ATTEMPTS = 8  # over about fifteen hours
LEASE_SECONDS = 300.0  # longer than any connector takes
TURN_SECONDS = 5.0  # then the worker's other queues have theirs
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 6 * 3600.0
_COMMIT_PAUSES = (0.2, 1.0, 5.0, 10.0)


class Courier:
    """The queue `delivery` in one process."""

    def __init__(self, app: Celery, context: Context, queue: str = QUEUE) -> None:
        self._app = app
        self._context = context
        self._queue = queue
        self._destinations = Destinations(connectors_file(context.settings))
        self._decider = decider(context.settings, lambda: context.ledger)
        self._key = loop_key(context.settings)

    def work(self) -> None:
        """Deliver what is owed until nothing is, the turn is over, or the worker is to stop."""
        self._context.heard(self._app, self._queue)
        try:
            self._take_turn()
        except LedgerError as error:
            # The scheduler rings again; what was claimed lapses and is claimed again.
            log.error("ledger_unavailable", queue=self._queue, reason=error.code)

    def _take_turn(self) -> None:
        ledger, holder = self._context.ledger, self._context.holder
        ledger.pulses.beat(self._queue, holder, 0)
        until = time.monotonic() + TURN_SECONDS
        while not self._context.stopping:
            claimed = ledger.deliveries.claim(
                holder=holder, lease_seconds=LEASE_SECONDS, attempts_allowed=ATTEMPTS
            )
            if not claimed:
                return
            # before sending: a slow receiver must not hold up the others
            if ledger.deliveries.outstanding():
                self._context.ring(self._app, self._queue)
            for delivery in claimed:
                if not self._hold_back(delivery):
                    self._deliver(delivery)
            ledger.pulses.beat(self._queue, holder, len(claimed))
            if time.monotonic() > until:
                if ledger.deliveries.outstanding():
                    self._context.ring(self._app, self._queue)
                return

    def _hold_back(self, delivery: Delivery) -> bool:
        """Hold what is owed to a queue that is only watched by now; say whether it was."""
        payload = delivery.payload if isinstance(delivery.payload, dict) else {}
        queue = payload.get("queue")
        if not isinstance(queue, str) or not self._decider.watches(queue):
            return False
        message = "The queue is only watched now: switch it on, then release this."
        entry = {"code": "only_watched", "message": message}
        holder = self._context.holder
        self._context.ledger.deliveries.hold_back(delivery.id, entry, holder=holder)
        return True

    def _deliver(self, delivery: Delivery) -> None:
        """Send one and write down what became of it; never raises for the other side's faults."""
        began = time.monotonic()
        entry: dict[str, Any] = {}
        try:
            receipt = self._send(delivery)
        except Permanent as error:
            entry = _entry(error)
            self._fail(delivery, entry)
        except ConnectorError as error:
            entry = _entry(error)
            wish = error.retry_after if isinstance(error, Transient) else None
            self._put_off(delivery, entry, wish)
        except LedgerError:
            raise
        except Exception as error:
            # a connector's own fault; its words may quote the document
            log.exception("connector_failed", delivery=delivery.id)
            entry = {"code": "connector_failed", "message": f"It failed: {type(error).__name__}."}
            self._put_off(delivery, entry, None)
        else:
            self._finish(delivery, receipt)
        log.info(
            "delivery",
            id=delivery.id,
            connector=delivery.connector,
            attempt=delivery.attempts,
            failed=entry.get("code"),
            seconds=round(time.monotonic() - began, 3),
        )

    def _send(self, delivery: Delivery) -> Receipt:
        connector = self._destinations.connector(delivery.connector)
        ledger = self._context.ledger
        viewer = Viewer(delivery.workspace, actor="worker", scopes=frozenset({"read"}))
        document = ledger.documents.get(delivery.document_id, viewer)
        if (document.envelope or {}).get("ours"):
            raise Permanent("This mail was sent on from here and came back: it goes in circles.")
        parcel = Parcel(
            id=delivery.id,
            document_id=document.id,
            content={**content_of(document), **(delivery.payload or {})},
            created_at=delivery.created_at.isoformat(),
            original=lambda: self._original(document, viewer),
            loop_mark=lambda message_id: loops.mark(self._key, message_id),
        )
        return connector.send(parcel)

    def _finish(self, delivery: Delivery, receipt: Receipt) -> None:
        """Write down that it was made; worth some patience, for else it is made again."""
        for seconds in (*_COMMIT_PAUSES, None):
            try:
                self._context.ledger.deliveries.finish(
                    delivery.id, holder=self._context.holder, entry=receipt.to_json()
                )
            except LedgerError as error:
                if seconds is None:
                    raise
                log.warning("commit_put_off", queue=self._queue, reason=error.code)
                time.sleep(seconds)
            else:
                return

    def _original(self, document: Document, viewer: Viewer) -> bytes:
        try:
            return self._context.ledger.documents.original(document.id, viewer)[1]
        except LedgerError as error:
            if error.code == "body_missing":
                raise Permanent("The original's bytes are gone.") from error
            raise

    def _put_off(self, delivery: Delivery, entry: dict[str, Any], wish: float | None) -> None:
        self._context.ledger.deliveries.put_off(
            delivery.id,
            entry,
            holder=self._context.holder,
            delay_seconds=max(pause(delivery.attempts), wish or 0.0),
            attempts_allowed=ATTEMPTS,
        )

    def _fail(self, delivery: Delivery, entry: dict[str, Any]) -> None:
        self._context.ledger.deliveries.put_off(
            delivery.id,
            entry,
            holder=self._context.holder,
            delay_seconds=0,
            attempts_allowed=0,
        )


def pause(attempts: int) -> float:
    """Return the seconds until the next attempt: 30, 120, 480, ... at most six hours.

    A fifth more or less, so that many deliveries to one receiver do not come back at once.
    """
    seconds = min(_LONGEST_PAUSE, _FIRST_PAUSE * 4.0 ** (attempts - 1))
    return seconds * random.uniform(0.8, 1.2)


def _entry(error: ConnectorError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error)}
