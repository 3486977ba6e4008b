"""A desk: takes what one queue is owed, reads it, commits it, until nothing is owed.

Nothing waits for a batch to fill: a claim takes what is there, up to what is read in about a
second, so batches form by themselves while the worker is busy. One outcome an item; what goes
wrong with one item stays with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from celery import Celery

from ledger import Finished, Viewer
from ledger.errors import LedgerError
from ledger.owed import Owed
from workers.context import Context
from workers.decisions import decider, deliveries
from workers.delivery import QUEUE as DELIVERY
from workers.leases import Keeper, take_up
from workers.reading import Incoming, Reading

log = structlog.get_logger(__name__)

# How long one turn lasts before the worker's other queues have theirs
TURN_SECONDS = {"interactive": 3.0}
# How long one batch should take: a person's document waits for the one before it
BATCH_SECONDS = {"interactive": 0.5}
OTHER_SECONDS = (5.0, 2.0)
PULSE_PAUSE_SECONDS = 1.0
_FIRST_CHARACTERS = 100_000  # of a first batch: nothing is known yet
_LEAST_CHARACTERS = 10_000
# A commit that the ledger cannot take now (disk full, another writer) is tried again so often
COMMIT_PAUSES = (0.2, 0.5, 1, 2, 5, 5, 10, 10)
ATTACHMENT_DEPTH = 5  # a mail in a mail in a mail: deeper ones stay in their parent's original


class Pace:
    """Learns how fast a queue's documents are read, and how much of them one batch should hold.

    Counted in characters (bytes stand for them), not in documents: a batch has a fixed cost, so
    short documents are always taken many at a time.
    """

    def __init__(self, seconds: float, *, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._speed = min(most, _FIRST_CHARACTERS) / seconds  # characters a second

    def characters(self) -> int:
        """Return how much to claim next."""
        return max(
            min(self._most, _LEAST_CHARACTERS), min(self._most, int(self._speed * self._seconds))
        )

    def note(self, characters: int, seconds: float) -> None:
        """Take in how long a batch took; a small one says little about speed."""
        if characters < 0.5 * self.characters() and seconds < self._seconds:
            return
        measured = characters / max(seconds, 1e-6)
        # One odd batch (a model was loaded, a file was hard) changes it by half at most.
        self._speed = min(max(measured, self._speed / 2), self._speed * 2)


class Desk:
    """One queue's work in one process; it rings for others to help unless told not to."""

    def __init__(self, app: Celery, context: Context, queue: str, *, rings: bool = True) -> None:
        self._rings = rings
        self._app = app
        self._context = context
        self._queue = queue
        self._settings = context.settings
        turn, batch = OTHER_SECONDS
        self._turn_seconds = TURN_SECONDS.get(queue, turn)
        self._batch_seconds = BATCH_SECONDS.get(queue, batch)
        self._pace = Pace(self._batch_seconds, most=self._settings.batch_characters)
        self._decider = decider(self._settings, lambda: self._context.ledger)
        self._looked_at = 0.0
        self._beat_at = 0.0
        self._unsaid = 0

    def work(self) -> None:
        """Do what is owed until nothing is, the turn is over, or the worker is to stop."""
        self._context.heard(self._app, self._queue)
        try:
            self._take_turn()
        except LedgerError as error:
            # The scheduler rings again; what was claimed lapses and is taken up.
            log.error("ledger_unavailable", queue=self._queue, reason=error.code)

    def once(self) -> bool:
        """Take one batch and do it; return whether there was any."""
        claimed = self._claim()
        if claimed:
            self._do(claimed)
        return bool(claimed)

    def _take_turn(self) -> None:
        until = time.monotonic() + self._turn_seconds
        while not self._context.stopping and self.once():
            if time.monotonic() > until:
                if self._outstanding():
                    self._context.ring(self._app, self._queue)
                break
        # After the work, for they are commits, and somebody may wait for what was claimed.
        self._beat(0)
        self._look_after_the_dead()

    def _claim(self) -> list[Owed]:
        settings = self._settings
        characters = self._pace.characters()
        claimed = self._context.ledger.owed.claim(
            self._queue,
            holder=self._context.holder,
            items=settings.batch_items,
            characters=characters,
            lease_seconds=settings.lease_seconds,
            attempts_allowed=settings.attempts,
        )
        # Before reading: the next idle worker, here or elsewhere, takes its share at once. A claim
        # that is far from full took all there was, and nobody waits while we look.
        size = sum(row.size for row in claimed)
        full = len(claimed) >= settings.batch_items or 2 * size >= characters
        alone = len(claimed) == 1 and claimed[0].attempts > 1
        if self._rings and (full or alone) and self._outstanding():
            self._context.ring(self._app, self._queue)
        return claimed

    def _do(self, claimed: Sequence[Owed]) -> None:
        began = time.monotonic()
        settings = self._settings
        keeper = Keeper(
            self._context.ledger.owed,
            holder=self._context.holder,
            lease_seconds=settings.lease_seconds,
            at_most_seconds=2 * settings.task_seconds + settings.parse_seconds * len(claimed),
        )
        with keeper.holding(row.id for row in claimed):
            readings = self._read(claimed)
            self._commit(claimed, readings)
        seconds = time.monotonic() - began
        read = [row.size for row, reading in zip(claimed, readings, strict=True) if reading]
        done = len(read)
        self._pace.note(sum(read), seconds)
        self._beat(done)
        log.info("batch", queue=self._queue, documents=done, seconds=round(seconds, 3))

    def _read(self, claimed: Sequence[Owed]) -> list[Reading | None]:
        """Read what was claimed; None where the worker was told to stop, or time was up."""
        bodies = self._context.ledger.owed.bodies(claimed)
        readings: list[Reading | None] = [
            None
            if isinstance(body, bytes)
            else Reading(error={"code": body.code, "message": str(body)})
            for body in bodies
        ]
        there = [index for index, body in enumerate(bodies) if isinstance(body, bytes)]
        documents = [
            Incoming(
                body=bodies[index],  # type: ignore[arg-type]
                kind=claimed[index].kind_said,
                name=claimed[index].name,
                media_type=claimed[index].media_type,
            )
            for index in there
        ]
        until = time.monotonic() + 2 * self._batch_seconds
        found = self._context.readers.read(
            documents,
            enough=lambda: self._context.stopping or time.monotonic() > until,
            vectors=True,  # the document's page shows labelled examples like it
        )
        for index, reading in zip(there, found, strict=True):
            readings[index] = reading
        return readings

    def _commit(self, claimed: Sequence[Owed], readings: Sequence[Reading | None]) -> None:
        """Write every row's end in as few transactions as may be."""
        finished: list[Finished] = []
        later: dict[float, list[tuple[str, dict[str, Any]]]] = {}
        back: list[str] = []
        for row, reading in zip(claimed, readings, strict=True):
            if reading is None:
                back.append(row.id)
                continue
            error, transient = reading.error, reading.transient
            if not transient:
                # also of a mail that failed for good: what came with it can be read for itself
                missed = self._accept_attachments(row, reading)
                error, transient = missed or error, missed is not None
            if transient and error is not None:
                later.setdefault(_pause(row.attempts), []).append((row.id, error))
            else:
                finished.append(self._decided(row, reading))
        self._finish(finished)
        if any(one.deliveries for one in finished):
            self._context.ring(self._app, DELIVERY)
        for delay, failures in later.items():
            self._context.ledger.owed.put_off(
                failures,
                holder=self._context.holder,
                attempts_allowed=self._settings.attempts,
                delay_seconds=delay,
            )
        if back:
            self._context.ledger.owed.give_back(back, holder=self._context.holder)

    def _decided(self, row: Owed, reading: Reading) -> Finished:
        """Return the row's end, with what the rules make of it and the deliveries they ask for."""
        finished = _finished(row, reading)
        decision = self._decider.decide(
            finished.outcome,
            finished.mail,
            finished.text,
            envelope=row.envelope,
            source=row.source,
        )
        if decision is None:
            return finished
        return replace(
            finished,
            outcome={**(finished.outcome or {}), "decision": decision.to_json()},
            deliveries=deliveries(decision, ours=bool((row.envelope or {}).get("ours"))),
        )

    def _finish(self, finished: Sequence[Finished]) -> None:
        if not finished:
            return
        for pause in (*COMMIT_PAUSES, None):
            try:
                done = self._context.ledger.owed.finish(finished, holder=self._context.holder)
            except LedgerError as error:
                if pause is None or self._context.stopping:
                    raise
                log.warning("commit_put_off", queue=self._queue, reason=error.code)
                time.sleep(pause)
            else:
                if len(done) < len(finished):
                    log.warning("lease_lost", rows=len(finished) - len(done))
                return

    def _accept_attachments(self, row: Owed, reading: Reading) -> dict[str, str] | None:
        """Keep a mail's attachments as documents of their own; return an error that may pass.

        Their keys are made of the parent, their place in it and their bytes: a second run adds
        nothing.
        """
        if reading.mail is None or not reading.mail.attachments:
            return None
        depth = int((row.envelope or {}).get("depth", 0)) + 1
        if depth > ATTACHMENT_DEPTH:
            log.warning("attachments_too_deep", document=row.document_id)
            return None
        viewer = Viewer(workspace=row.workspace, actor="worker", scopes=frozenset({"write"}))
        try:
            for place, attachment in enumerate(reading.mail.attachments, start=1):
                self._context.ledger.documents.accept(
                    attachment.body,
                    viewer=viewer,
                    source="attachment",
                    name=attachment.name or f"attachment-{place}",
                    media_type=attachment.type,
                    queue=row.queue,
                    priority=row.priority,
                    idempotency_key=f"attachment {row.document_id} {place} {attachment.sha256}",
                    parent_id=row.document_id,
                    envelope={"depth": depth},
                )
        except LedgerError as error:
            return {"code": error.code, "message": str(error)}
        self._context.ring(self._app, row.queue)
        return None

    def _outstanding(self) -> bool:
        return self._context.ledger.owed.outstanding(self._queue, up_to=1) > 0

    def _beat(self, documents: int) -> None:
        """Leave a pulse, at most one a second: what came between is counted with the next."""
        self._unsaid += documents
        now = time.monotonic()
        if now - self._beat_at >= PULSE_PAUSE_SECONDS:
            self._context.ledger.pulses.beat(self._queue, self._context.holder, self._unsaid)
            self._beat_at, self._unsaid = now, 0

    def _look_after_the_dead(self) -> None:
        """Take up what dead processes held, now and then."""
        now = time.monotonic()
        if now - self._looked_at < self._settings.pulse_seconds / 2:
            return
        self._looked_at = now
        take_up(self._context.ledger, attempts_allowed=self._settings.attempts)


def _finished(row: Owed, reading: Reading) -> Finished:
    return Finished(
        owed_id=row.id,
        outcome=reading.outcome,
        error=reading.error,
        text=reading.text,
        kind=reading.kind,
        type=reading.type,
        pages=reading.pages,
        mail=reading.mail.to_json() if reading.mail else None,
        vector=reading.vector,
    )


def _pause(attempts: int) -> float:
    """Return the seconds until a document is tried again: 2, 8, 32, ... at most ten minutes."""
    return min(600.0, 2.0 * 4 ** (attempts - 1))
