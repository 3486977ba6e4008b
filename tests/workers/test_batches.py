"""Batch jobs on real workers: whatever dies, every row is in the result once and in order."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Batch
from tests.workers.installation import VIEWER, Installation, process_of
from tests.workers.waiting import eventually

pytestmark = pytest.mark.slow

KIND = "ticket"
GOOD = "I was charged twice for my order and would like my money back, please."


CHUNK = 500  # rows: many chunks of a small file


@pytest.fixture
def mailroom(tmp_path: Path) -> Iterator[Installation]:
    """An installation without workers yet."""
    installation = Installation(tmp_path, chunk_rows=CHUNK)
    yield installation
    installation.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a worker for bulk work and a scheduler."""
    installation = Installation(tmp_path_factory.mktemp("bulk"), chunk_rows=CHUNK)
    installation.worker("bulk")
    installation.scheduler()
    yield installation
    installation.close()


def table(rows: int, words: int = 1) -> bytes:
    """Return a CSV of that many rows, each with its number."""
    lines = ["id,text"] + [f'{n},"{GOOD * words} Order {n}."' for n in range(rows)]
    return ("\n".join(lines) + "\n").encode()


def accept(mailroom: Installation, body: bytes, *, ring: bool = True, **said: str) -> Batch:
    """Hand in a batch as the API does."""
    options = {"kind": KIND, "name": "in.csv", "file_format": "csv", **said}
    batch = mailroom.ledger.batches.accept([body], viewer=VIEWER, **options)
    if ring:
        mailroom.client.ring("bulk")
    return batch


def get(mailroom: Installation, batch: Batch) -> Batch:
    return mailroom.ledger.batches.get(batch.id, VIEWER)


def finished(mailroom: Installation, batch: Batch) -> bytes:
    """Wait for a batch's end and return its result."""
    final = ("done", "failed", "cancelled")
    eventually(lambda: get(mailroom, batch).state in final, seconds=150, what="not finished")
    now, stream = mailroom.ledger.batches.result(batch.id, VIEWER)
    assert now.state == "done", now.error
    with stream:
        return stream.read()


def rows_of(result: bytes) -> list[dict[str, str]]:
    csv.field_size_limit(10_000_000)
    return list(csv.DictReader(io.StringIO(result.decode(), newline="")))


def assert_whole(result: bytes, rows: int) -> None:
    """Every row once, in the order of the input, each with an answer."""
    found = rows_of(result)
    assert [row["id"] for row in found] == [str(number) for number in range(rows)]
    assert all(row["queue"] and not row["error"] for row in found)


def test_rows_come_back_in_order_with_an_answer_each(running: Installation) -> None:
    """The main job: a file in, the same file with more columns out; bad rows say so."""
    body = table(1100) + b'1100,"",too many,cells\n1101,\n'
    batch = accept(running, body)
    result = finished(running, batch)

    found = rows_of(result)
    assert [row["id"] for row in found] == [str(number) for number in range(1102)]
    assert all(row["queue"] and row["intent"] and not row["error"] for row in found[:1100])
    assert 0 < float(found[0]["queue_confidence"]) <= 1
    assert found[0]["needs_review"] in ("true", "false")
    assert set(json.loads(found[0]["evidence"])) <= {"queue", "intent"}
    codes = [json.loads(row["error"])["code"] for row in found[1100:]]
    assert codes == ["bad_row", "no_text"]
    now = get(running, batch)
    assert (now.rows_total, now.rows_done, now.rows_failed) == (1102, 1102, 2)


def test_files_in_a_zip_are_read_as_documents(running: Installation) -> None:
    """Mails, texts and what cannot be read, by their paths."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/one.txt", GOOD)
        archive.writestr("b/two.bin", b"\0\1\2\xff" * 50)
    batch = accept(running, packed.getvalue(), file_format="zip", name="x.zip")
    found = [json.loads(line) for line in finished(running, batch).splitlines()]
    assert [row["path"] for row in found] == ["a/one.txt", "b/two.bin"]
    assert found[0]["queue"]
    assert found[1]["error"]["code"]


def test_a_file_without_the_column_fails_and_says_what_there_is(running: Installation) -> None:
    """Nothing is guessed, and nobody waits for hours to learn it."""
    batch = accept(running, b"a,b\n1,2\n")
    eventually(lambda: get(running, batch).state == "failed")
    error = get(running, batch).error
    assert error is not None
    assert error["code"] == "no_such_column"
    assert "a, b" in error["message"]


def test_a_worker_killed_in_the_middle_loses_and_doubles_no_row(mailroom: Installation) -> None:
    """SIGKILL, twice, to all of it: another worker goes on behind what was committed."""
    batch = accept(mailroom, table(3500), ring=False)
    for _ in range(2):
        worker = mailroom.worker("bulk")
        mailroom.client.ring("bulk")
        before = get(mailroom, batch).rows_done
        eventually(lambda before=before: get(mailroom, batch).rows_done > before)  # type: ignore[misc]
        worker.kill()
    assert get(mailroom, batch).rows_done < 3500, "it was over before the kill"

    mailroom.worker("bulk")
    mailroom.scheduler()
    assert_whole(finished(mailroom, batch), 3500)
    assert get(mailroom, batch).rows_done == 3500


def test_pause_resume_and_cancel(running: Installation) -> None:
    """Paused, nothing moves; resumed, it ends whole; cancelled, it has no result."""
    batches = running.ledger.batches
    batch = accept(running, table(3000))
    eventually(lambda: get(running, batch).rows_done > 0)
    batches.pause(batch.id, VIEWER)
    eventually(lambda: not running.ledger.chunks.holders())
    paused = get(running, batch)
    assert paused.state == "paused"
    other = accept(running, table(300))
    assert_whole(finished(running, other), 300)
    assert get(running, batch).rows_done == paused.rows_done < 3000

    batches.resume(batch.id, VIEWER)
    running.client.ring("bulk")
    assert_whole(finished(running, batch), 3000)

    gone = accept(running, table(3000))
    eventually(lambda: get(running, gone).rows_done > 0)
    batches.cancel(gone.id, VIEWER)
    eventually(lambda: not running.ledger.chunks.holders())
    assert get(running, gone).state == "cancelled"


def test_a_worker_asked_to_stop_gives_its_chunk_back(mailroom: Installation) -> None:
    """A restart for an update costs no attempt."""
    batch = accept(mailroom, table(3500), ring=False)
    worker = mailroom.worker("bulk")
    mailroom.client.ring("bulk")
    eventually(lambda: get(mailroom, batch).rows_done > 0)
    assert worker.stop() == 0
    assert not mailroom.ledger.chunks.holders()
    mailroom.worker("bulk")
    mailroom.scheduler()
    assert_whole(finished(mailroom, batch), 3500)


def test_two_workers_share_a_batch(mailroom: Installation) -> None:
    """A second process takes chunks too, and the order holds."""
    for _ in range(2):
        mailroom.worker("bulk")
    batch = accept(mailroom, table(3500))
    seen: set[str] = set()

    def both() -> bool:
        seen.update(mailroom.ledger.chunks.holders())
        return len(seen) == 2 or get(mailroom, batch).state == "done"

    eventually(both)
    assert_whole(finished(mailroom, batch), 3500)
    assert len(seen) == 2


def test_a_row_that_kills_its_worker_is_an_error_in_its_place(mailroom: Installation) -> None:
    """The job goes on: the row is found by dividing its chunk, and set aside."""
    poison = 33
    rows = [f'{n},"{GOOD * (15_000 if n == poison else 1)}"' for n in range(60)]
    batch = accept(mailroom, ("id,text\n" + "\n".join(rows)).encode(), ring=False)
    mailroom.worker("bulk")
    mailroom.scheduler()
    killed: set[tuple[str, int]] = set()

    def kill_whoever_reads_it() -> bool:
        # the ledger says who holds the chunk that the row is in
        for holder, chunk in held(mailroom):
            holds_it = chunk[0] <= poison < chunk[0] + chunk[1]
            if holds_it and (holder, chunk[0]) not in killed:
                killed.add((holder, chunk[0]))
                os.kill(process_of(holder), signal.SIGKILL)
        return get(mailroom, batch).state in ("done", "failed")

    eventually(kill_whoever_reads_it, seconds=150)
    found = rows_of(finished(mailroom, batch))
    assert [row["id"] for row in found] == [str(number) for number in range(60)]
    errors = [row["id"] for row in found if row["error"]]
    assert errors == [str(poison)], found[0]["error"]
    assert json.loads(found[poison]["error"])["code"] == "worker_lost"


def held(mailroom: Installation) -> list[tuple[str, tuple[int, int]]]:
    """Return who holds which rows now."""
    from sqlalchemy import select

    from ledger.schema import batch_chunks

    query = select(batch_chunks.c.holder, batch_chunks.c.first_row, batch_chunks.c.rows).where(
        batch_chunks.c.holder.is_not(None),
        batch_chunks.c.stage == "read",
        batch_chunks.c.free_at > mailroom.ledger.database.now(),
    )
    with mailroom.ledger.database.reading() as connection:
        return [(row.holder, (row.first_row, row.rows)) for row in connection.execute(query)]
