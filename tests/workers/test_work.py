"""The promise: whatever dies, every accepted document ends in exactly one final state."""

from __future__ import annotations

import io
import os
import signal
import threading
import zipfile
from collections.abc import Iterator

import pytest
import redis

from tests.workers.installation import KIND, VIEWER, Installation
from tests.workers.waiting import eventually

pytestmark = pytest.mark.slow

GOOD = "The printer in room four does not print any more. Please send somebody."


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a worker and a scheduler, for tests that leave it working."""
    installation = Installation(tmp_path_factory.mktemp("running"))
    installation.worker("interactive")
    installation.scheduler()
    yield installation
    installation.close()


def texts(count: int) -> list[str]:
    """Return that many different tickets."""
    return [f"{GOOD} This is report number {number}." for number in range(count)]


def assert_each_finished_once(mailroom: Installation, documents: list) -> None:
    """Every document is done, by exactly one result, and nothing is owed any more."""
    finished = mailroom.finished(documents)
    assert {document.state for document in finished} == {"done"}
    assert {mailroom.results_of(document) for document in documents} == {1}
    assert not mailroom.ledger.owed.status()


def test_documents_are_read_and_an_idle_worker_wakes_at_once(mailroom: Installation) -> None:
    """The main job: handed in, rung, claimed, read, committed; no scheduler is needed for it."""
    mailroom.worker("interactive")
    documents = [mailroom.accept(text) for text in texts(40)]

    finished = mailroom.finished(documents)

    assert {document.state for document in finished} == {"done"}
    for document in finished:
        assert document.outcome is not None
        assert document.outcome["kind"] == KIND
        assert document.outcome["labels"]
        assert document.outcome["read"]["characters"] == document.outcome["read"]["of"]


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(mailroom: Installation) -> None:
    """A power cut, an out-of-memory kill: what was in hand is read by the next, once."""
    documents = [mailroom.accept(text, ring=False) for text in texts(120)]
    worker = mailroom.worker("interactive")
    mailroom.client.ring("interactive")
    eventually(lambda: mailroom.leased() > 0)
    worker.kill()

    mailroom.worker("interactive")
    mailroom.scheduler()

    assert_each_finished_once(mailroom, documents)


def test_a_killed_child_is_replaced_and_its_documents_taken_up(running: Installation) -> None:
    """Only the process that read dies: its rows need not wait for their lease to lapse."""
    documents = [running.accept(text, ring=False) for text in texts(20)]
    long = running.accept(GOOD * 3_000)
    eventually(lambda: running.get(long).state == "running")
    (reader,) = running.readers()
    os.kill(reader, signal.SIGKILL)

    assert_each_finished_once(running, [*documents, long])


def test_a_broker_stopped_and_started_delays_and_loses_nothing(running: Installation) -> None:
    """Documents are accepted while the broker is away, and read when it is back."""
    before = [running.accept(text) for text in texts(50)]
    running.broker.stop()
    meanwhile = [running.accept(text) for text in texts(50)]
    running.broker.start()

    assert_each_finished_once(running, before + meanwhile)


def test_a_broker_that_goes_away_under_work_in_hand_is_heard_again(running: Installation) -> None:
    """An acknowledgement that failed, and a child replaced before, left Celery deaf for good."""
    for _ in range(2):
        long = running.accept(GOOD * 3_000)
        eventually(lambda long=long: running.get(long).state == "running")
        os.kill(min(running.readers()), signal.SIGKILL)
        running.finished([long])
        long = running.accept(GOOD * 3_000)
        eventually(lambda long=long: running.get(long).state == "running")
        running.broker.stop()
        running.finished([long])
        running.broker.start()

    assert_each_finished_once(running, [running.accept(text) for text in texts(5)])


def test_a_flushed_broker_is_made_good_by_the_scheduler(mailroom: Installation) -> None:
    """Somebody cleans the broker: bells are gone, documents are not."""
    documents = [mailroom.accept(text) for text in texts(50)]
    with redis.Redis.from_url(mailroom.broker.url) as connection:
        connection.flushall()
    mailroom.worker("interactive")
    mailroom.scheduler()

    assert_each_finished_once(mailroom, documents)


def test_documents_nobody_rang_for_are_read_all_the_same(running: Installation) -> None:
    """The process that accepted them died before it rang."""
    documents = [running.accept(text, ring=False) for text in texts(20)]

    assert_each_finished_once(running, documents)


def test_a_bell_rung_many_times_reads_once(mailroom: Installation) -> None:
    """Bells beside the client's rules (a script, another version) do no harm to two workers."""
    documents = [mailroom.accept(text, ring=False) for text in texts(80)]
    for _ in range(2):
        mailroom.worker("interactive")
    with redis.Redis.from_url(mailroom.broker.url) as connection:
        for _ in range(6):
            mailroom.client.ring("interactive")
            connection.delete("mailroom:bell:interactive")

    assert_each_finished_once(mailroom, documents)


def test_a_document_that_breaks_its_parser_takes_nobody_with_it(running: Installation) -> None:
    """A file that unpacks to more than memory is one clear error among answers."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"<w:t>" + b" " * 400_000_000)
    bad = running.accept(packed.getvalue(), name="bomb.docx", ring=False)
    good = [running.accept(text, ring=False) for text in texts(20)]
    running.client.ring("interactive")

    finished = running.finished([bad, *good])

    assert finished[0].state == "failed"
    assert finished[0].error is not None
    assert finished[0].error["code"] in ("too_large", "corrupt_file", "parse_memory")
    assert {document.state for document in finished[1:]} == {"done"}


def test_a_document_that_kills_its_worker_is_set_aside(running: Installation) -> None:
    """It is tried alone, a bounded number of times, and then shown with its reason and original."""
    poison = running.accept(GOOD * 3_000, ring=False)
    good = [running.accept(text, ring=False) for text in texts(20)]
    over = threading.Event()
    kills: list[int] = []

    def kill_whoever_reads_it() -> None:
        while not over.wait(0.005):
            # whoever holds its lease, and nobody who reads others: a new process each time
            reader = running.reader_of(poison)
            if reader is not None and reader not in kills:
                os.kill(reader, signal.SIGKILL)
                kills.append(reader)

    killer = threading.Thread(target=kill_whoever_reads_it)
    killer.start()
    try:
        finished = running.finished([poison, *good])
    finally:
        over.set()
        killer.join()

    assert finished[0].state == "failed"
    assert finished[0].error is not None
    assert finished[0].error["code"] == "worker_lost"
    assert finished[0].attempts == running.settings.attempts == len(kills)
    assert {document.state for document in finished[1:]} == {"done"}
    assert running.ledger.documents.original(poison.id, VIEWER)[1] == (GOOD * 3_000).encode()
    running.ledger.documents.retry(poison.id, VIEWER)
    assert running.finished([poison])[0].state == "done"


def test_a_worker_asked_to_stop_gives_back_what_it_has_not_read(mailroom: Installation) -> None:
    """A restart for an update: no attempt is counted, no lease left to wait for."""
    documents = [mailroom.accept(text * 60, ring=False) for text in texts(100)]
    worker = mailroom.worker("interactive")
    mailroom.client.ring("interactive")
    eventually(lambda: mailroom.ledger.documents.counts(VIEWER)["done"] > 0)

    assert worker.stop() == 0

    assert mailroom.leased() == 0
    waiting = [mailroom.get(each) for each in documents if mailroom.get(each).state == "waiting"]
    assert waiting, "everything was read before the worker stopped: the test says nothing"
    assert {document.attempts for document in waiting} == {0}


def test_a_lease_of_another_machine_lapses_and_is_taken_up(mailroom: Installation) -> None:
    """The other machine is gone: nobody here can tell, so its lease's time decides."""
    document = mailroom.accept(GOOD, ring=False)
    (taken,) = mailroom.ledger.owed.claim(
        "interactive", holder="elsewhere/1 7-7 worker", items=1, characters=1000, lease_seconds=3
    )

    mailroom.worker("interactive")
    mailroom.scheduler()

    assert_each_finished_once(mailroom, [document])
    late = mailroom.ledger.owed.extend([taken.id], holder=taken.id, lease_seconds=60)
    assert not late


def test_the_same_document_handed_in_twice_is_one(running: Installation) -> None:
    """A client that repeats a request after a timeout gets its first document."""
    first = running.accept(GOOD, idempotency_key="order 17")
    second = running.accept(GOOD, idempotency_key="order 17")
    assert second.id == first.id
    assert second.repeated
    assert_each_finished_once(running, [first])


def test_attachments_become_documents_of_their_own(running: Installation) -> None:
    """A mail's enclosed files are read too; reading the mail again adds none."""
    message = (
        b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Two files\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xx\r\n\r\n"
        b"--xx\r\nContent-Type: text/plain\r\n\r\nPlease see the files.\r\n"
        b"--xx\r\nContent-Type: text/plain\r\n"
        b"Content-Disposition: attachment; filename=one.txt\r\n\r\nThe product is great.\r\n"
        b"--xx\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Disposition: attachment; filename=two.bin\r\n\r\n\x00\x01\x02\x03\xff\xfe\r\n"
        b"--xx--\r\n"
    )
    parent = running.accept(message, kind=None, name="mail.eml")
    assert running.finished([parent])[0].state == "done"

    def enclosed() -> list:
        return running.ledger.documents.list(VIEWER, parent_id=parent.id).items

    children = running.finished(enclosed())
    assert {child.name for child in children} == {"one.txt", "two.bin"}
    assert {child.source for child in children} == {"attachment"}
    states = {child.name: child.state for child in children}
    assert states["two.bin"] == "failed", "what cannot be read is kept and says so"
    running.ledger.documents.retry(parent.id, VIEWER)
    running.client.ring("interactive")
    running.finished([parent])
    assert len(enclosed()) == 2


def test_attachments_of_a_mail_that_no_model_reads_are_read(running: Installation) -> None:
    """What came with a mail is not lost because the mail's own reader is missing."""
    message = (
        b"From: a@example.org\r\nSubject: One file\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=xx\r\n\r\n"
        b"--xx\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n"
        b"--xx\r\nContent-Type: text/plain\r\n"
        b"Content-Disposition: attachment; filename=one.txt\r\n\r\nA fine product.\r\n--xx--\r\n"
    )
    parent = running.accept(message, kind="nobody-reads-this", name="mail.eml")
    assert running.finished([parent])[0].state == "failed"
    (child,) = running.ledger.documents.list(VIEWER, parent_id=parent.id).items
    assert child.name == "one.txt"


def test_pulses_go_through_every_queue(mailroom: Installation) -> None:
    """Alive means consuming: a queue without a worker has no pulse, however many bells ring."""
    mailroom.worker("interactive", "delivery", "celery")
    mailroom.scheduler()
    expected = {"interactive", "delivery", "celery"}
    eventually(lambda: set(mailroom.ledger.pulses.ages()) == expected)
    eventually(lambda: max(mailroom.ledger.pulses.ages().values()) < 5)
