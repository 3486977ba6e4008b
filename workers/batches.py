"""The bench where batches are worked on: one chunk after the other, beside what `bulk` is owed.

A chunk is split off, read or merged, and committed as one row of the ledger; there is no commit
a row of the user's file. While the model reads a chunk, the one before it is stored and
committed in the background, so the disk is not waited for; after each commit that thread rests
for as long again, so that on SQLite a person's commit finds its turn. (Only waiting is worth
doing beside the model: its operations are many and short, and each would wait for a thread
that computes. Rendering there measured slower than rendering first.)
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import structlog
from celery import Celery

from ledger import Chunk, Cut
from ledger.chunks import Piece
from ledger.errors import LedgerError
from workers.claiming import COMMIT_PAUSES, Desk
from workers.context import Context
from workers.errors import InternalError
from workers.leases import Keeper
from workers.reading import Incoming, Reading
from workers.tables import BadTable, Layout, Limits, Table, columns, table_of

log = structlog.get_logger(__name__)

QUEUE = "bulk"
TURN_SECONDS = 5.0
SPLIT_SECONDS = 30.0  # of one claim: a file is cut up in turns with other work, and resumed
SLOW_ROWS = 256  # of a chunk whose every word is marked
CUTS_TOGETHER = 8  # chunks that a split adds in one commit
REST = 1.0  # of the duration of a commit, after it
LONGEST_REST = 0.5
PUT_OFF_SECONDS = 5.0
PULSE_PAUSE_SECONDS = 1.0
# What no other row of the batch would escape
HOPELESS = {"no_reader", "unknown_kind"}


class Bulk:
    """The work of queue `bulk`: documents that were sent there, then chunks of batches."""

    def __init__(self, app: Celery, context: Context) -> None:
        self._desk = Desk(app, context, QUEUE)
        self._bench = Bench(app, context)

    def work(self) -> None:
        """Do what is owed until nothing is, the turn is over, or the worker is to stop."""
        self._desk.work()
        try:
            self._bench.take_turn()
        except LedgerError as error:
            log.error("ledger_unavailable", queue=QUEUE, reason=error.code)


class Bench:
    """Batches' chunks in one process."""

    def __init__(self, app: Celery, context: Context) -> None:
        self._app = app
        self._context = context
        self._settings = context.settings
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finish")
        self._pending: Future[None] | None = None
        self._unsaid = 0
        self._beat_at = 0.0

    def take_turn(self) -> None:
        """Work on chunks until none is free, the turn is over, or the worker is to stop."""
        until = time.monotonic() + TURN_SECONDS
        try:
            while not self._context.stopping:
                chunk = self._claim()
                if chunk is None:
                    # the last one's commit may owe the merge
                    if self._pending is None:
                        break
                    self._wait()
                    continue
                self._do(chunk)
                if time.monotonic() > until:
                    break
        finally:
            self._wait()
        if not self._context.stopping and self._context.ledger.chunks.outstanding():
            self._context.ring(self._app, QUEUE)

    def _claim(self) -> Chunk | None:
        ledger = self._context.ledger
        chunk = ledger.chunks.claim(
            holder=self._context.holder, lease_seconds=self._settings.lease_seconds
        )
        if chunk is not None and ledger.chunks.outstanding():
            self._context.ring(self._app, QUEUE)  # for the next idle worker, here or elsewhere
        return chunk

    def _do(self, chunk: Chunk) -> None:
        """Do a chunk; what is wrong with it as a whole ends its batch or puts it off."""
        began = time.monotonic()
        stack = ExitStack()
        stack.enter_context(self._keeper().holding([chunk.id]))
        try:
            if chunk.stage == "split":
                self._split(chunk)
            elif chunk.stage == "merge":
                self._merge(chunk)
            else:
                self._read(chunk, stack.pop_all())
        except BadTable as error:
            self._context.ledger.chunks.fail_batch(
                chunk, error.to_json(), holder=self._context.holder
            )
        except LedgerError as error:
            log.warning("chunk_put_off", stage=chunk.stage, reason=error.code)
            self._put_off(chunk, {"code": error.code, "message": str(error)})
        except Exception as error:
            # its words may quote a row: the log gets its type and its lines
            log.error("chunk_failed", stage=chunk.stage, where=_where(error))
            self._put_off(chunk, InternalError().to_json())
        finally:
            stack.close()
        seconds = round(time.monotonic() - began, 3)
        log.info("chunk", stage=chunk.stage, batch=chunk.batch_id, rows=chunk.rows, seconds=seconds)

    def _split(self, chunk: Chunk) -> None:
        """Cut the input into chunks, from where the last attempt came to, for a while."""
        chunks, files = self._context.ledger.chunks, self._context.ledger.files
        holder = self._context.holder
        table = table_of(chunk.format)
        at = chunk.cursor or {"row": 0, "table": None}
        row, behind = at["row"], at["table"]
        until = time.monotonic() + SPLIT_SECONDS
        cuts: list[Cut] = []
        with files.local(chunk.batch_input) as path:
            layout = chunk.layout
            if layout is None:
                layout = table.look(path, kind=chunk.kind, text_column=chunk.text_column)
                chunks.begin(chunk, layout, holder=holder)
            for cut in table.cuts(path, layout, behind, self._limits(layout)):
                cuts.append(Cut(row, cut.rows, files.put(cut.body)))
                row, behind = row + cut.rows, cut.cursor
                late = time.monotonic() > until or self._context.stopping
                if late or row == cut.rows or len(cuts) >= CUTS_TOGETHER:
                    if not chunks.cut(chunk, cuts, {"row": row, "table": behind}, holder=holder):
                        return
                    cuts = []
                if late:
                    chunks.give_back(chunk, holder=holder)
                    return
        cursor = {"row": row, "table": behind}
        chunks.cut(chunk, cuts, cursor, holder=holder, rows_total=row)

    def _limits(self, layout: Layout) -> Limits:
        settings = self._settings
        usual = Limits()
        # marking every word takes far longer than one answer a text
        slow = "entities" in layout["ours"]
        return Limits(
            rows=min(SLOW_ROWS, settings.chunk_rows) if slow else settings.chunk_rows,
            characters=settings.batch_characters if slow else usual.characters,
            document_bytes=settings.upload_bytes,
            text_characters=settings.text_characters,
        )

    def _read(self, chunk: Chunk, held: ExitStack) -> None:
        """Read a chunk's rows and leave the rest to the background; `held` is its lease."""
        with held:
            table, layout = table_of(chunk.format), chunk.layout or {}
            body = self._context.ledger.files.get(str(chunk.input_sha256))
            items = table.items(body, layout)
            divided = len(items) != chunk.rows
            if divided:
                body = table.select(body, chunk.skip, chunk.rows)
                items = table.items(body, layout)
            readings = self._readings(chunk, items)
            if readings is None:
                self._context.ledger.chunks.give_back(chunk, holder=self._context.holder)
                return
            errors = [reading.error for reading in readings if reading.error]
            if errors and len(errors) == len(readings):
                code = errors[0]["code"]
                if code in HOPELESS:
                    raise BadTable(code, errors[0]["message"])
                if all(reading.transient for reading in readings):
                    self._put_off(chunk, errors[0])
                    return
            output = self._render(table, layout, body, readings)
            self._wait()
            held = held.pop_all()
            self._pending = self._pool.submit(self._finish, chunk, output, len(errors), held)
            if divided:
                # A piece of a chunk that was lost: what kills the worker may be the next one,
                # and must not take this one's commit with it.
                self._wait()

    def _readings(
        self, chunk: Chunk, items: Sequence[str | bytes | dict[str, Any]]
    ) -> list[Reading] | None:
        """Return a reading a row, or None when the worker was told to stop meanwhile."""
        there = [index for index, item in enumerate(items) if not isinstance(item, dict)]
        documents = [
            Incoming(items[index], chunk.kind)  # type: ignore[arg-type]
            for index in there
        ]
        found = self._read_all(documents)
        if found is None:
            return None
        readings = [Reading(error=item if isinstance(item, dict) else None) for item in items]
        for index, reading in zip(there, found, strict=True):
            readings[index] = reading
        return readings

    def _read_all(self, documents: list[Incoming]) -> list[Reading] | None:
        """Read documents together, and those for which the time was too short in smaller groups."""
        found = self._context.readers.read(documents, enough=lambda: self._context.stopping)
        readings = [reading for reading in found if reading is not None]
        if len(readings) < len(documents):
            return None
        slow = [index for index, reading in enumerate(readings) if _is_slow(reading)]
        if not slow or len(documents) == 1:
            return readings
        if self._context.stopping:
            return None
        middle = max(1, len(slow) // 2)
        for some in (slow[:middle], slow[middle:]):
            again = self._read_all([documents[index] for index in some]) if some else []
            if again is None:
                return None
            for index, reading in zip(some, again, strict=True):
                readings[index] = reading
        return readings

    def _render(
        self, table: Table, layout: Layout, body: bytes, readings: Sequence[Reading]
    ) -> bytes:
        """Return a chunk's output."""
        ours = layout["ours"]
        answers = [columns.answer(ours, one.outcome, one.error) for one in readings]
        return table.render(body, layout, answers)

    def _finish(self, chunk: Chunk, output: bytes, failed: int, held: ExitStack) -> None:
        """Store a chunk's output and commit it; runs in the background."""
        with held:
            for pause in (*COMMIT_PAUSES, None):
                try:
                    kept = self._context.ledger.files.put(output)
                    began = time.monotonic()
                    done = self._context.ledger.chunks.finish(
                        chunk, holder=self._context.holder, output=kept, rows_failed=failed
                    )
                    break
                except LedgerError as error:
                    if pause is None or self._context.stopping:
                        log.error("chunk_not_finished", reason=error.code)
                        return  # its lease lapses, and it is read again
                    log.warning("commit_put_off", queue=QUEUE, reason=error.code)
                    time.sleep(pause)
        if not done:
            log.warning("lease_lost", rows=chunk.rows)
            return
        rest = min(LONGEST_REST, REST * (time.monotonic() - began))
        self._beat(chunk.rows)
        time.sleep(rest)

    def _merge(self, chunk: Chunk) -> None:
        """Put the outputs together in the order of the input."""
        table, layout = table_of(chunk.format), chunk.layout or {}
        ledger = self._context.ledger
        kept = ledger.files.put_pieces(table.merge(layout, self._outputs(chunk, table, layout)))
        ledger.chunks.finish_merge(
            chunk, holder=self._context.holder, output=kept.sha256, size=kept.size
        )

    def _outputs(self, chunk: Chunk, table: Table, layout: Layout) -> Iterator[bytes]:
        """Yield each read chunk's output, checked; those set aside with their errors."""
        row = 0
        for piece in self._context.ledger.chunks.pieces(chunk.batch_id):
            if piece.first_row != row:
                raise BadTable("internal_error", f"Rows from {row} on are missing: report this.")
            row += piece.rows
            yield self._output(piece, table, layout)

    def _output(self, piece: Piece, table: Table, layout: Layout) -> bytes:
        files = self._context.ledger.files
        if piece.output_sha256 is not None:
            return files.get(piece.output_sha256)
        body = table.select(files.get(piece.input_sha256), piece.skip, piece.rows)
        failed = columns.answer(layout["ours"], None, piece.error)
        return table.render(body, layout, [failed] * piece.rows)

    def _put_off(self, chunk: Chunk, error: dict[str, Any]) -> None:
        self._context.ledger.chunks.put_off(
            chunk, error, holder=self._context.holder, delay_seconds=PUT_OFF_SECONDS
        )

    def _keeper(self) -> Keeper:
        settings = self._settings
        return Keeper(
            self._context.ledger.chunks,
            holder=self._context.holder,
            lease_seconds=settings.lease_seconds,
            at_most_seconds=2 * settings.task_seconds + settings.parse_seconds,
        )

    def _wait(self) -> None:
        """Wait until the chunk in the background is committed."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _beat(self, rows: int) -> None:
        self._unsaid += rows
        now = time.monotonic()
        if now - self._beat_at >= PULSE_PAUSE_SECONDS:
            self._context.ledger.pulses.beat(QUEUE, self._context.holder, self._unsaid)
            self._beat_at, self._unsaid = now, 0


def _where(error: Exception) -> str:
    """Return an exception's type and where it was raised, without what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join([type(error).__name__, *(f"{f.name}:{f.lineno}" for f in frames[::-1])])


def _is_slow(reading: Reading) -> bool:
    """Say whether a smaller group might get an answer."""
    return reading.error is not None and reading.error["code"] == "too_slow"
