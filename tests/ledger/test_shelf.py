"""What documents, batches and jobs have in common, asked of each of them on each database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete

from ledger import Batch, Document, Job, Ledger, Viewer
from ledger.errors import IdempotencyConflict, InvalidCursor, NotFound
from ledger.schema import metadata
from tests.ledger.conftest import Place

Thing = Document | Batch | Job


def document(ledger: Ledger, viewer: Viewer, body: bytes, key: str | None = None) -> Document:
    return ledger.documents.accept(body, viewer=viewer, source="api", idempotency_key=key)


def batch(ledger: Ledger, viewer: Viewer, body: bytes, key: str | None = None) -> Batch:
    return ledger.batches.accept(
        [body], viewer=viewer, kind="review", name="a", file_format="csv", idempotency_key=key
    )


def job(ledger: Ledger, viewer: Viewer, body: bytes, key: str | None = None) -> Job:
    return ledger.jobs.add(
        viewer,
        queue="series",
        task="demand",
        name="a",
        options={},
        input=ledger.files.put(body),
        idempotency_key=key,
    )


ADDERS = {"documents": document, "batches": batch, "jobs": job}


@pytest.fixture(params=ADDERS)
def noun(request: pytest.FixtureRequest) -> str:
    """Each of the nouns that are handed in."""
    return str(request.param)


@pytest.fixture
def add(noun: str) -> Callable[..., Thing]:
    """Hand one in."""
    return ADDERS[noun]  # type: ignore[return-value]


def test_a_key_is_one_thing_and_means_one_request(
    ledger: Ledger, viewer: Viewer, add: Callable[..., Thing]
) -> None:
    """A sender who did not hear our answer would hand the same in twice."""
    first, again = add(ledger, viewer, b"a", "key"), add(ledger, viewer, b"a", "key")

    assert (first.repeated, again.repeated) == (False, True)
    assert again.id == first.id
    with pytest.raises(IdempotencyConflict):
        add(ledger, viewer, b"b", "key")
    assert add(ledger, viewer, b"a").id != first.id


def test_a_key_sent_by_many_at_once_is_one_thing(
    place: Place, viewer: Viewer, add: Callable[..., Thing]
) -> None:
    """Two processes look, find nothing, and both insert."""
    ledgers = [place.open() for _ in range(4)]
    ids: list[str] = []

    def send(ledger: Ledger) -> None:
        ids.extend(add(ledger, viewer, b"a", f"key {number}").id for number in range(8))

    threads = [threading.Thread(target=send, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ledger in ledgers:
        ledger.close()

    assert (len(ids), len(set(ids))) == (32, 8)


def test_what_a_key_named_was_deleted_so_it_is_new(
    ledger: Ledger, viewer: Viewer, noun: str, add: Callable[..., Thing]
) -> None:
    """A key would answer "not found" for ever, or show what was erased."""
    first = add(ledger, viewer, b"a", "key")
    getattr(ledger, noun).delete(first.id, viewer)

    again = add(ledger, viewer, b"a", "key")

    assert (again.id != first.id, again.repeated) == (True, False)


def test_deleted_between_two_looks_it_is_new(
    ledger: Ledger,
    viewer: Viewer,
    noun: str,
    add: Callable[..., Thing],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever hands something in is never told that it is not there."""
    first = add(ledger, viewer, b"a", "key")
    things = getattr(ledger, noun)
    hidden = "_again" if noun == "documents" else "_get"
    show = getattr(things, hidden)

    def deleted_first(row_id: str, viewer: Viewer) -> Any:
        if row_id == first.id:
            with ledger.database.writing() as connection:
                table = metadata.tables[noun]
                connection.execute(delete(table).where(table.c.id == row_id))
        return show(row_id, viewer)

    monkeypatch.setattr(things, hidden, deleted_first)

    again = add(ledger, viewer, b"a", "key")

    assert (again.id != first.id, again.repeated) == (True, False)


def test_who_may_only_write_gets_an_answer(ledger: Ledger, add: Callable[..., Thing]) -> None:
    """A token that hands in and reads nothing would be refused after the commit, and send again."""
    writer = Viewer("ours", "writer", frozenset({"write"}))

    assert add(ledger, writer, b"a", "key").id == add(ledger, writer, b"a", "key").id


def test_pages_have_each_thing_once_and_end(
    ledger: Ledger, viewer: Viewer, noun: str, add: Callable[..., Thing]
) -> None:
    """A list read page by page would lose some, or never end."""
    ids = [add(ledger, viewer, b"%d" % number).id for number in range(7)]
    things = getattr(ledger, noun)
    found: list[str] = []
    after = None
    while True:
        page = things.list(viewer, limit=3, after=after)
        found += [each.id for each in page.items]
        after = page.after
        if after is None:
            break

    assert found == ids[::-1]
    assert things.list(viewer, limit=7).after is None


@pytest.mark.parametrize("after", ["", "7", "x" * 36, "\x00", "' OR 1=1"])
def test_a_cursor_of_no_list_is_refused(
    ledger: Ledger, viewer: Viewer, noun: str, after: str
) -> None:
    """It would answer with some page, and rows would be missing silently."""
    with pytest.raises(InvalidCursor):
        getattr(ledger, noun).list(viewer, after=after)


@pytest.mark.parametrize("row_id", ["", "7", 7, None, "\x00", "../etc", "x" * 36])
@pytest.mark.parametrize("method", ["get", "cancel", "retry", "delete"])
def test_what_is_no_id_is_not_found(
    ledger: Ledger, viewer: Viewer, noun: str, method: str, row_id: Any
) -> None:
    """A malformed id would reach the database, and come back as its error."""
    things = getattr(ledger, noun)
    if (noun, method) == ("batches", "retry"):
        method = "resume"
    with pytest.raises(NotFound):
        getattr(things, method)(row_id, viewer)
