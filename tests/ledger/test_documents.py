"""A document is kept whole, once, and goes through its states."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Finished, Ledger, Viewer
from ledger.errors import (
    BodyDamaged,
    BodyMissing,
    Forbidden,
    IdempotencyConflict,
    InvalidCursor,
    NotCancellable,
    NotFound,
    NotRead,
    NotRetryable,
)
from tests.ledger.conftest import OUTCOME, SMALL, Place, claim


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 50_000])
def test_the_original_comes_back_byte_for_byte(ledger: Ledger, viewer: Viewer, size: int) -> None:
    """Small in the row or large in the file store: what was handed in is what is kept."""
    body = bytes(i % 256 for i in range(size))

    accepted = ledger.documents.accept(body, viewer=viewer, source="api")

    document, original = ledger.documents.original(accepted.id, viewer)
    assert original == body
    assert (document.size, document.state) == (size, "waiting")
    assert len(list(ledger.files.list())) == (size > SMALL)


def test_what_accept_returns_is_what_get_returns(ledger: Ledger, viewer: Viewer) -> None:
    """An answer to a client may be made from either."""
    accepted = ledger.documents.accept(
        b"Dear all",
        viewer=viewer,
        source="smtp",
        kind="email",
        name="mail.eml",
        media_type="message/rfc822",
        priority=2,
        deadline=datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        envelope={"from": "a@example.org"},
        idempotency_key="k",
    )

    assert ledger.documents.get(accepted.id, viewer) == accepted
    assert accepted.created_at.tzinfo is UTC


def test_names_that_no_database_can_hold(ledger: Ledger, viewer: Viewer) -> None:
    """A NUL or half a surrogate in a name, text or key is no reason to lose a document."""
    odd = "a\x00b\ud800c"
    accepted = ledger.documents.accept(
        b"x",
        viewer=viewer,
        source="web",
        name=odd,
        media_type=odd,
        kind=odd,
        idempotency_key=odd,
        envelope={"from": odd},
    )
    (owed,) = claim(ledger)
    mail = {"subject": odd, "text": odd, "reply_text": odd}
    ledger.owed.finish(
        [Finished(owed.id, outcome=OUTCOME, text=odd, type=odd, kind=odd, mail=mail)],
        holder="worker",
    )

    text = ledger.documents.text(accepted.id, viewer)
    assert text == "a\ufffdb\ufffdc"
    assert len(text) == len(odd)  # offsets stay what they were
    assert ledger.documents.get(accepted.id, viewer).envelope == {"from": odd}
    assert [found.id for found in ledger.documents.list(viewer, name=odd).items] == [accepted.id]
    assert ledger.documents.list(viewer, source="\x00").items == []
    with pytest.raises(NotFound):
        ledger.documents.get("\x00", viewer)


def test_same_key_same_document(ledger: Ledger, viewer: Viewer) -> None:
    """A client that repeats itself after a timeout is given the document it made."""
    options = {"viewer": viewer, "source": "api", "kind": "review", "idempotency_key": "k" * 5000}
    first = ledger.documents.accept(b"Good", **options)
    again = ledger.documents.accept(b"Good", **options)

    assert dataclasses.replace(again, repeated=False) == first
    assert again.repeated
    assert ledger.owed.outstanding("interactive") == 1


@pytest.mark.parametrize("changed", [{"body": b"Bad"}, {"kind": "ticket"}, {"kind": None}])
def test_same_key_other_request(ledger: Ledger, viewer: Viewer, changed: dict) -> None:
    """A key that was used for something else is an error, not the wrong document."""
    request = {"body": b"Good", "kind": "review"}
    options = {"viewer": viewer, "source": "api", "idempotency_key": "k"}
    ledger.documents.accept(**request, **options)

    with pytest.raises(IdempotencyConflict):
        ledger.documents.accept(**request | changed, **options)


def test_same_key_at_the_same_moment(place: Place, viewer: Viewer) -> None:
    """Of requests that race, one makes the document and the others are given it."""
    ledgers = [place.open() for _ in range(6)]
    ready = threading.Barrier(len(ledgers))
    found = []

    def accept(ledger: Ledger) -> None:
        ready.wait()
        found.append(
            ledger.documents.accept(b"x" * 5000, viewer=viewer, source="api", idempotency_key="k")
        )

    threads = [threading.Thread(target=accept, args=[ledger]) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({document.id for document in found}) == 1
    assert sorted(document.repeated for document in found) == [False] + [True] * 5
    assert ledgers[0].owed.outstanding("interactive") == 1
    for ledger in ledgers:
        ledger.close()


def test_unknown_and_malformed_ids(ledger: Ledger, viewer: Viewer) -> None:
    """Whatever stands in an address is not found, never a fault of ours."""
    unknown = "01a20510-9968-70ef-8ecd-c970a3a552f6"
    for document_id in (unknown, unknown.upper(), "", "x", "1" * 10_000, None, 7):
        for read in ("get", "text", "original", "results", "retry", "cancel", "delete"):
            with pytest.raises(NotFound):
                getattr(ledger.documents, read)(document_id, viewer)
        if document_id is not None:
            with pytest.raises(NotFound):
                ledger.documents.accept(b"", viewer=viewer, source="api", parent_id=document_id)


def test_pages_show_every_document_once(ledger: Ledger, viewer: Viewer) -> None:
    """Newest first, and nothing is skipped or shown twice between pages."""
    made = [ledger.documents.accept(b"x", viewer=viewer, source="api").id for _ in range(7)]

    seen, after = [], None
    while True:
        page = ledger.documents.list(viewer, limit=3, after=after)
        seen += [document.id for document in page.items]
        after = page.after
        if after is None:
            break

    assert seen == made[::-1]
    assert ledger.documents.list(viewer, limit=7).after is None
    for wrong in ("x", "\x00", "' OR 1=1"):
        with pytest.raises(InvalidCursor):
            ledger.documents.list(viewer, after=wrong)


def test_filters(ledger: Ledger, viewer: Viewer) -> None:
    """Each filter leaves what it names and nothing else."""
    one = ledger.documents.accept(b"1", viewer=viewer, source="api", kind="review", name="A_1.TXT")
    two = ledger.documents.accept(b"2", viewer=viewer, source="web", parent_id=one.id, name="ab1")
    doubtful = {"labels": {"sentiment": {"value": "positive", "needs_review": True}}}
    (first, second) = claim(ledger)
    ledger.owed.finish(
        [Finished(first.id, outcome=doubtful), Finished(second.id, outcome=OUTCOME, kind="email")],
        holder="worker",
    )

    def ids(**filters: object) -> list[str]:
        return [document.id for document in ledger.documents.list(viewer, **filters).items]

    assert ids(kind="review") == ids(source="api") == ids(needs_review=True) == [one.id]
    assert ids(kind="email") == ids(parent_id=one.id) == ids(needs_review=False) == [two.id]
    assert ids(state="done") == [two.id, one.id]
    assert ids(state="waiting") == []
    assert ids(name="a_1") == [one.id]  # the underscore is itself, not any character
    assert ids(kind="review", source="web") == []


def test_a_result_and_its_text(ledger: Ledger, viewer: Viewer) -> None:
    """What a reader found is with the document: outcome, text, mail, kind, type, pages."""
    document = ledger.documents.accept(b"raw", viewer=viewer, source="smtp")
    with pytest.raises(NotRead):
        ledger.documents.text(document.id, viewer)
    (owed,) = claim(ledger)
    assert ledger.documents.get(document.id, viewer).state == "running"
    mail = {"subject": "Hi", "text": "long", "reply_text": None, "attachments": []}
    ledger.owed.finish(
        [
            Finished(
                owed.id,
                outcome=OUTCOME,
                text="Grüße 😀",
                kind="email",
                type="eml",
                pages=2,
                mail=mail,
            )
        ],
        holder="worker",
    )

    read = ledger.documents.get(document.id, viewer)
    assert (read.state, read.outcome, read.error, read.mail) == ("done", OUTCOME, None, mail)
    assert (read.kind, read.kind_said, read.type, read.pages) == ("email", None, "eml", 2)
    assert (read.characters, read.needs_review, read.attempts) == (7, False, 1)
    assert ledger.documents.text(document.id, viewer) == "Grüße 😀"
    (result,) = ledger.documents.results(document.id, viewer)
    assert (result.model_name, result.model_version) == ("review-1", "1")
    # A list of fifty mails is not fifty mails' texts
    assert ledger.documents.list(viewer).items[0].mail == {"subject": "Hi", "attachments": []}


def test_retry_keeps_what_was(ledger: Ledger, viewer: Viewer) -> None:
    """A failed document is read again without a second upload; its first failure is kept."""
    document = ledger.documents.accept(b"x" * 5000, viewer=viewer, source="api", kind="ticket")
    with pytest.raises(NotRetryable):
        ledger.documents.retry(document.id, viewer)
    (owed,) = claim(ledger)
    with pytest.raises(NotRetryable):
        ledger.documents.retry(document.id, viewer)
    error = {"code": "parse_timeout", "message": "It took too long."}
    ledger.owed.finish([Finished(owed.id, error=error)], holder="worker")
    assert ledger.documents.get(document.id, viewer).error == error

    again = ledger.documents.retry(document.id, viewer)

    assert (again.state, again.attempts, again.error, again.finished_at) == (
        "waiting",
        0,
        None,
        None,
    )
    (owed_again,) = claim(ledger)
    assert (owed_again.kind_said, owed_again.attempts) == ("ticket", 1)
    assert ledger.owed.bodies([owed_again]) == [b"x" * 5000]
    # who still holds the first lease cannot end the second
    assert ledger.owed.finish([Finished(owed.id, outcome={})], holder="worker") == []
    ledger.owed.finish([Finished(owed_again.id, outcome=OUTCOME)], holder="worker")
    results = ledger.documents.results(document.id, viewer)
    assert [result.error for result in results] == [None, error]


def test_retry_races_with_itself(place: Place, viewer: Viewer) -> None:
    """Two people press the button at once: it is owed once, and neither sees a fault."""
    ledgers = [place.open() for _ in range(4)]
    document = ledgers[0].documents.accept(b"x", viewer=viewer, source="api")
    ledgers[0].documents.cancel(document.id, viewer)
    said: list[str] = []

    def retry(ledger: Ledger) -> None:
        try:
            said.append(ledger.documents.retry(document.id, viewer).state)
        except NotRetryable:
            said.append("refused")

    threads = [threading.Thread(target=retry, args=[ledger]) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["refused"] * 3 + ["waiting"]
    for ledger in ledgers:
        ledger.close()


def test_cancel(ledger: Ledger, viewer: Viewer) -> None:
    """Cancelled work is not claimed, and what a worker was making of it is not kept."""
    waiting = ledger.documents.accept(b"1", viewer=viewer, source="api")
    assert ledger.documents.cancel(waiting.id, viewer).state == "cancelled"
    assert ledger.documents.cancel(waiting.id, viewer).state == "cancelled"
    assert claim(ledger) == []

    running = ledger.documents.accept(b"2", viewer=viewer, source="api")
    (owed,) = claim(ledger)
    ledger.documents.cancel(running.id, viewer)
    assert ledger.owed.finish([Finished(owed.id, outcome=OUTCOME)], holder="worker") == []
    assert ledger.documents.get(running.id, viewer).state == "cancelled"

    ledger.documents.retry(running.id, viewer)
    (owed,) = claim(ledger)
    ledger.owed.finish([Finished(owed.id, outcome=OUTCOME)], holder="worker")
    with pytest.raises(NotCancellable):
        ledger.documents.cancel(running.id, viewer)
    counts = ledger.documents.counts(viewer)
    assert counts == {"waiting": 0, "running": 0, "done": 1, "failed": 0, "cancelled": 1}


def test_delete_leaves_nothing_but_a_line(ledger: Ledger, viewer: Viewer, place: Place) -> None:
    """Erased is erased: no row and no file has the content, and the log says who and when."""
    secret = b"Her diagnosis is 4711. " * 100
    options = {"viewer": viewer, "source": "smtp", "name": "diagnosis.eml", "idempotency_key": "k"}
    document = ledger.documents.accept(secret, envelope={"to": "diagnosis"}, **options)
    child = ledger.documents.accept(b"", viewer=viewer, source="attachment", parent_id=document.id)
    owed = next(one for one in claim(ledger) if one.document_id == document.id)
    finished = Finished(
        owed.id,
        outcome={"diagnosis": 1},
        text="diagnosis",
        mail={"subject": "diagnosis"},
        deliveries=({"connector": "webhook", "payload": "diagnosis"},),
    )
    ledger.owed.finish([finished], holder="worker")
    ledger.corrections.add(document.id, "team", "diagnosis", viewer)

    ledger.documents.delete(document.id, viewer)

    with pytest.raises(NotFound):
        ledger.documents.get(document.id, viewer)
    assert list(ledger.files.list()) == []
    assert ledger.documents.get(child.id, viewer).parent_id is None
    archive = Path(place.files_url).parent / "all.tar"
    ledger.backup(archive)
    import gzip
    import tarfile

    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            assert stream is not None
            content = stream.read()
            if member.name.endswith(".gz"):
                content = gzip.decompress(content)
            assert b"diagnosis" not in content, member.name
    lines = ledger.audit.list(viewer, document_id=document.id)
    assert [line.action for line in lines] == ["deleted", "corrected", "accepted"]
    assert lines[0].actor == "anna"
    assert not ledger.documents.accept(b"other", **options).repeated  # the key is free again


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_deleted_content_is_overwritten(ledger: Ledger, viewer: Viewer, place: Place) -> None:
    """On SQLite the deleted bytes are not left lying in free pages of the file."""
    secret = b"A sentence that nobody may find again."
    document = ledger.documents.accept(secret, viewer=viewer, source="api")
    ledger.documents.delete(document.id, viewer)
    ledger.close()  # the last connection folds the log into the file

    path = Path(place.database_url.removeprefix("sqlite:///"))
    assert secret not in path.read_bytes()


def test_documents_share_a_file(ledger: Ledger, viewer: Viewer, stranger: Viewer) -> None:
    """Deleting one of two documents with the same bytes leaves the other its original."""
    body = b"y" * 5000
    one = ledger.documents.accept(body, viewer=viewer, source="api")
    two = ledger.documents.accept(body, viewer=stranger, source="api")
    assert len(list(ledger.files.list())) == 1

    ledger.documents.delete(one.id, viewer)
    assert ledger.documents.original(two.id, stranger)[1] == body

    ledger.documents.delete(two.id, stranger)
    assert list(ledger.files.list()) == []


def test_missing_and_damaged_files_are_said_in_their_place(
    ledger: Ledger, viewer: Viewer, place: Place
) -> None:
    """One lost original does not hide the others of a batch, and wrong bytes are never read."""
    bodies = [b"1" * 5000, b"2" * 5000, b"3" * 5000, b"4"]
    documents = [ledger.documents.accept(body, viewer=viewer, source="api") for body in bodies]
    ledger.files.delete(documents[0].sha256)
    damaged = documents[1].sha256
    (Path(place.files_url) / damaged[:2] / damaged).write_bytes(b"something else")

    missing, wrong, *whole = ledger.owed.bodies(claim(ledger))

    assert isinstance(missing, BodyMissing)
    assert isinstance(wrong, BodyDamaged)
    assert whole == bodies[2:]
    with pytest.raises(BodyMissing):
        ledger.documents.original(documents[0].id, viewer)


def test_orphans_are_collected_and_nothing_else(ledger: Ledger, viewer: Viewer) -> None:
    """A crash between the file and its row leaves a file that goes; named files stay."""
    orphan = ledger.files.put(b"z" * 5000)
    document = ledger.documents.accept(b"y" * 5000, viewer=viewer, source="api")

    assert ledger.tidy(orphan_seconds=10 * 365 * 86400) == 0  # young ones may be on their way
    assert ledger.tidy(orphan_seconds=-10 * 365 * 86400) == 1
    assert not ledger.files.has(orphan)
    assert ledger.documents.original(document.id, viewer)[1] == b"y" * 5000


def test_a_delete_beside_an_accept_of_the_same_bytes(place: Place, viewer: Viewer) -> None:
    """However they interleave, a document that is there has its original."""
    ledger, other = place.open(), place.open()
    body = b"w" * 5000
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            document = other.documents.accept(body, viewer=viewer, source="api")
            other.documents.delete(document.id, viewer)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(40):
            document = ledger.documents.accept(body, viewer=viewer, source="api")
            assert ledger.documents.original(document.id, viewer)[1] == body
            ledger.documents.delete(document.id, viewer)
    finally:
        stop.set()
        thread.join()
        ledger.close()
        other.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_file_that_is_slow_to_delete_is_not_taken_from_who_hands_it_in(
    place: Place, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes keeps the name for as long as it takes, and is not cut off in between."""
    monkeypatch.setattr("ledger.database.SILENT_SECONDS", 0.1)
    ledger, other = place.open(), place.open()
    body = b"the same large file" * 1000
    ledger.files.put(body)
    deleting, accepted = threading.Event(), threading.Event()
    delete = ledger.files.delete

    def slowly(name: str) -> None:
        deleting.set()
        accepted.wait(1)  # longer than anybody may be silent
        delete(name)

    monkeypatch.setattr(ledger.files, "delete", slowly)
    thread = threading.Thread(target=ledger.tidy, kwargs={"orphan_seconds": -1})
    thread.start()
    assert deleting.wait(30)
    document = other.documents.accept(body, viewer=viewer, source="api")
    accepted.set()
    thread.join()

    assert other.documents.original(document.id, viewer)[1] == body
    ledger.close()
    other.close()


def test_scopes(ledger: Ledger, viewer: Viewer) -> None:
    """A token that may only hand in cannot read, one that may only read cannot change."""
    reader = Viewer("ours", "r", frozenset({"read"}))
    writer = Viewer("ours", "w", frozenset({"write"}))
    document = ledger.documents.accept(b"x", viewer=writer, source="api")

    assert ledger.documents.get(document.id, reader).id == document.id
    for call in (
        lambda: ledger.documents.get(document.id, writer),
        lambda: ledger.documents.list(writer),
        lambda: ledger.documents.counts(writer),
        lambda: ledger.documents.text(document.id, writer),
        lambda: ledger.documents.original(document.id, writer),
        lambda: ledger.documents.accept(b"", viewer=reader, source="api"),
        lambda: ledger.documents.cancel(document.id, reader),
        lambda: ledger.documents.retry(document.id, reader),
        lambda: ledger.documents.delete(document.id, reader),
        lambda: ledger.corrections.add(document.id, "team", "x", reader),
        lambda: ledger.audit.list(reader),
        lambda: ledger.tokens.list(reader),
    ):
        with pytest.raises(Forbidden):
            call()
    assert ledger.documents.cancel(document.id, writer).state == "cancelled"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    text=st.text(),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_any_text_and_any_outcome_come_back(
    ledger: Ledger, viewer: Viewer, text: str, value: object
) -> None:
    """Whatever a reader makes of a document, it is kept, and one code point stays one."""
    document = ledger.documents.accept(b"x", viewer=viewer, source="api")
    (owed,) = claim(ledger)
    outcome = {"labels": {}, "value": value}

    ledger.owed.finish([Finished(owed.id, outcome=outcome, text=text)], holder="worker")

    kept = ledger.documents.get(document.id, viewer)
    assert kept.outcome == outcome
    assert ledger.documents.text(document.id, viewer) == text.replace("\x00", "\ufffd")
    assert kept.characters == len(text)
