"""Batches and their chunks: nothing is read twice into a result, nothing is left out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ledger import Batch, Chunk, Cut, Ledger, Viewer, open_ledger
from ledger.errors import (
    IdempotencyConflict,
    NotCancellable,
    NotFound,
    NotRead,
    NotResumable,
    TooMuchOwed,
)
from ledger.restore import restore
from tests.ledger.conftest import Clock, Place

LEASE = 60


def accept(ledger: Ledger, viewer: Viewer, body: bytes = b"a,b\n1,2\n", **said: object) -> Batch:
    options = {"kind": "review", "name": "in.csv", "file_format": "csv", "text_column": "a"}
    return ledger.batches.accept([body], viewer=viewer, **options | said)  # type: ignore[arg-type]


def claim(ledger: Ledger, holder: str = "worker") -> Chunk:
    chunk = ledger.chunks.claim(holder=holder, lease_seconds=LEASE)
    assert chunk is not None
    return chunk


def split(ledger: Ledger, chunks: int = 3, rows: int = 10) -> Chunk:
    """Claim a batch's split and cut it into that many chunks."""
    chunk = claim(ledger)
    assert chunk.stage == "split"
    cuts = [
        Cut(number * rows, rows, ledger.files.put(f"in {number}".encode()))
        for number in range(chunks)
    ]
    cursor = {"row": chunks * rows}
    assert ledger.chunks.cut(chunk, cuts, cursor, holder="worker", rows_total=chunks * rows)
    return chunk


def finish(ledger: Ledger, chunk: Chunk, holder: str = "worker", failed: int = 0) -> bool:
    output = ledger.files.put(f"out {chunk.first_row}".encode())
    return ledger.chunks.finish(chunk, holder=holder, output=output, rows_failed=failed)


def test_a_batch_from_its_input_to_its_result(ledger: Ledger, viewer: Viewer) -> None:
    """Split, read, merge: each once, and the result is there at the end only."""
    batch = accept(ledger, viewer)
    with pytest.raises(NotRead):
        ledger.batches.result(batch.id, viewer)
    split(ledger)
    for number in range(3):
        assert finish(ledger, claim(ledger), failed=number)
    now = ledger.batches.get(batch.id, viewer)
    assert (now.state, now.rows_total, now.rows_done, now.rows_failed) == ("running", 30, 30, 3)

    merge = claim(ledger)
    assert merge.stage == "merge"
    assert [piece.first_row for piece in ledger.chunks.pieces(batch.id)] == [0, 10, 20]
    output = ledger.files.put(b"the result")
    assert ledger.chunks.finish_merge(merge, holder="worker", output=output, size=10)

    done, stream = ledger.batches.result(batch.id, viewer)
    with stream:
        assert stream.read() == b"the result"
    assert done.state == "done"
    assert done.finished_at is not None
    assert not ledger.chunks.outstanding()


def test_finishing_twice_counts_once(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A worker thought dead, and the one that took over: only who holds the lease finishes."""
    batch = accept(ledger, viewer)
    split(ledger, chunks=1, rows=1)
    first = claim(ledger, "slow")
    clock.seconds += LEASE + 1
    second = claim(ledger, "quick")

    assert not finish(ledger, first, "slow")
    assert finish(ledger, second, "quick")
    assert not finish(ledger, second, "quick")
    assert ledger.batches.get(batch.id, viewer).rows_done == 1


def test_a_split_that_died_goes_on_where_it_was(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """The cursor and the chunks before it are one commit: no row twice, none left out."""
    accept(ledger, viewer)
    first = claim(ledger)
    cuts = [Cut(0, 10, ledger.files.put(b"in 0"))]
    assert ledger.chunks.cut(first, cuts, {"row": 10}, holder="worker")
    clock.seconds += LEASE + 1

    again = claim(ledger, "other")
    assert (again.stage, again.cursor) == ("split", {"row": 10})
    assert not ledger.chunks.cut(first, cuts, {"row": 10}, holder="worker")


def test_what_kills_workers_is_divided_until_one_row_is_alone(
    ledger: Ledger, viewer: Viewer, clock: Clock
) -> None:
    """One row in a thousand costs itself, not its chunk and not the job."""
    batch = accept(ledger, viewer)
    split(ledger, chunks=1, rows=1000)
    poison, deaths = 777, 0
    while (chunk := ledger.chunks.claim(holder="worker", lease_seconds=LEASE)) is not None:
        if chunk.stage == "merge":
            break
        if chunk.first_row <= poison < chunk.first_row + chunk.rows:
            deaths += 1
            clock.seconds += LEASE + 1
            ledger.chunks.set_aside()
        else:
            assert finish(ledger, chunk)

    pieces = list(ledger.chunks.pieces(batch.id))
    rows = [row for piece in pieces for row in range(piece.first_row, piece.first_row + piece.rows)]
    assert rows == list(range(1000))
    assert all(piece.skip == piece.first_row for piece in pieces)
    (lost,) = [piece for piece in pieces if piece.error is not None]
    assert (lost.first_row, lost.rows, lost.output_sha256) == (poison, 1, None)
    assert lost.error is not None
    assert lost.error["code"] == "worker_lost"
    assert deaths <= 8
    now = ledger.batches.get(batch.id, viewer)
    assert (now.rows_done, now.rows_failed) == (1000, 1)


def test_pause_resume_cancel(ledger: Ledger, viewer: Viewer) -> None:
    """Paused: what is in hand is finished, nothing new is taken. Cancelled: nothing more counts."""
    batch = accept(ledger, viewer)
    split(ledger)
    chunk = claim(ledger)
    assert ledger.batches.pause(batch.id, viewer).state == "paused"
    assert finish(ledger, chunk)
    assert ledger.chunks.claim(holder="worker", lease_seconds=LEASE) is None
    assert ledger.batches.pause(batch.id, viewer).state == "paused"

    assert ledger.batches.resume(batch.id, viewer).state == "waiting"
    chunk = claim(ledger)
    assert ledger.batches.get(batch.id, viewer).state == "running"
    assert ledger.batches.cancel(batch.id, viewer).state == "cancelled"
    assert not finish(ledger, chunk)
    assert ledger.chunks.claim(holder="worker", lease_seconds=LEASE) is None
    assert ledger.batches.cancel(batch.id, viewer).state == "cancelled"
    with pytest.raises(NotResumable):
        ledger.batches.resume(batch.id, viewer)


def test_a_failed_batch_goes_on_from_where_it_stopped(ledger: Ledger, viewer: Viewer) -> None:
    """A missing model is installed, and the rows that were read stay read."""
    batch = accept(ledger, viewer)
    split(ledger)
    assert finish(ledger, claim(ledger))
    chunk = claim(ledger)
    error = {"code": "no_reader", "message": "no model"}
    assert ledger.chunks.fail_batch(chunk, error, holder="worker")
    assert ledger.chunks.claim(holder="worker", lease_seconds=LEASE) is None
    assert ledger.batches.get(batch.id, viewer).error == error

    resumed = ledger.batches.resume(batch.id, viewer)
    assert (resumed.state, resumed.error, resumed.finished_at) == ("waiting", None, None)
    assert claim(ledger).first_row == 10


def test_a_stop_counts_no_attempt_and_divides_nothing(ledger: Ledger, viewer: Viewer) -> None:
    """A restart for an update is nobody's fault."""
    accept(ledger, viewer)
    split(ledger, chunks=1)
    chunk = claim(ledger)
    ledger.chunks.give_back(chunk, holder="worker")
    again = claim(ledger)
    assert (again.id, again.attempts, again.rows) == (chunk.id, 1, 10)


def test_batches_take_turns(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A small file handed in behind a large one is not read after all of it."""
    large = accept(ledger, viewer)
    split(ledger, chunks=6)
    clock.seconds += 1
    small = accept(ledger, viewer, b"small")
    split(ledger, chunks=2)
    taken = []
    for _ in range(4):
        clock.seconds += 1
        chunk = claim(ledger)
        taken.append(chunk.batch_id)
        assert finish(ledger, chunk)
    assert sorted(taken) == sorted([large.id, small.id] * 2)


def test_the_same_key_is_the_same_batch(ledger: Ledger, viewer: Viewer) -> None:
    """An upload that is repeated after a timeout reads the file once."""
    first = accept(ledger, viewer, idempotency_key="key")
    again = accept(ledger, viewer, idempotency_key="key")
    assert (again.id, again.repeated) == (first.id, True)
    with pytest.raises(IdempotencyConflict):
        accept(ledger, viewer, b"other", idempotency_key="key")
    with pytest.raises(IdempotencyConflict):
        accept(ledger, viewer, idempotency_key="key", text_column="b")


def test_others_see_nothing(ledger: Ledger, viewer: Viewer, stranger: Viewer) -> None:
    """Another workspace's batches do not exist, whatever is asked of them."""
    batch = accept(ledger, viewer)
    assert not ledger.batches.list(stranger).items
    for ask in ("get", "result", "pause", "resume", "cancel", "delete"):
        with pytest.raises(NotFound):
            getattr(ledger.batches, ask)(batch.id, stranger)
    assert ledger.batches.list(viewer).items[0].id == batch.id


def test_too_many_are_refused(place: Place, viewer: Viewer) -> None:
    """What is unfinished is bounded, and a client learns when to come back."""
    ledger = place.open(batches_limit=2)
    accept(ledger, viewer, idempotency_key="key")
    accept(ledger, viewer, b"second")
    with pytest.raises(TooMuchOwed) as caught:
        accept(ledger, viewer, b"third")
    assert caught.value.retry_after > 0
    assert accept(ledger, viewer, idempotency_key="key").repeated
    ledger.close()


def test_progress_says_how_fast_and_how_long(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """Ten rows in two seconds, twenty to go: four more seconds."""
    batch = accept(ledger, viewer)
    split(ledger)
    clock.seconds += 2
    assert finish(ledger, claim(ledger))
    now = ledger.batches.get(batch.id, viewer)
    assert now.rate == pytest.approx(5)
    assert now.seconds_left == pytest.approx(4)


def test_files_are_kept_while_needed_and_no_longer(
    ledger: Ledger, viewer: Viewer, tmp_path: Path
) -> None:
    """Tidying takes nothing from a running batch, and a backup brings it back whole."""
    batch = accept(ledger, viewer, b"x" * 5000)
    split(ledger)
    chunk = claim(ledger)
    assert ledger.tidy(orphan_seconds=-1) == 0
    archive = tmp_path / "backup.tar"
    ledger.backup(archive)
    target = f"sqlite:///{tmp_path}/restored.sqlite3"
    if ledger.database.is_sqlite:
        restore(archive, target, str(tmp_path / "restored"))
        restored = open_ledger(target, str(tmp_path / "restored"))
        assert restored.batches.get(batch.id, viewer).input_sha256 == batch.input_sha256
        assert restored.files.get(batch.input_sha256) == b"x" * 5000
        restored.close()

    assert finish(ledger, chunk)
    ledger.batches.cancel(batch.id, viewer)
    assert ledger.tidy(orphan_seconds=-1) == 4
    assert ledger.files.has(batch.input_sha256)
    ledger.batches.delete(batch.id, viewer)
    assert not ledger.files.has(batch.input_sha256)
    assert hashlib.sha256(b"x" * 5000).hexdigest() == batch.input_sha256
    with pytest.raises(NotFound):
        ledger.batches.get(batch.id, viewer)


def test_a_finished_batch_cannot_be_cancelled(ledger: Ledger, viewer: Viewer) -> None:
    """Its result stays what it is."""
    batch = accept(ledger, viewer, b"")
    chunk = claim(ledger)
    assert ledger.chunks.cut(chunk, [], {}, holder="worker", rows_total=0)
    merge = claim(ledger)
    assert merge.stage == "merge", "an input without rows has a result without rows"
    output = ledger.files.put(b"empty")
    assert ledger.chunks.finish_merge(merge, holder="worker", output=output, size=5)
    with pytest.raises(NotCancellable):
        ledger.batches.cancel(batch.id, viewer)
