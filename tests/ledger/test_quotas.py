"""Quotas: a token hands in so much and no more, whoever counts; nothing refused leaves a trace."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import pytest

from ledger import Cut, Ledger, Quota, Viewer, open_ledger
from ledger.errors import NotFound, QuotaExceeded, TooMuchOwed

ADMIN = Viewer()


def signed_in(ledger: Ledger, **limits: int) -> Viewer:
    """Return who comes with a new token of this quota."""
    _, secret = ledger.tokens.issue(
        ADMIN, name="shop", scopes=["read", "write"], quota=Quota(**limits)
    )
    return ledger.tokens.verify(secret)


def hand_in(ledger: Ledger, viewer: Viewer, body: bytes = b"text", **said: Any) -> str:
    return ledger.documents.accept(body, viewer=viewer, source="api", **said).id


def test_the_document_past_the_limit_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    """Who handed in all they may is told when to come again; a repeat costs nothing."""
    viewer = signed_in(ledger, documents_a_day=2)
    hand_in(ledger, viewer, idempotency_key="one")
    hand_in(ledger, viewer, idempotency_key="one")
    hand_in(ledger, viewer)

    with pytest.raises(QuotaExceeded, match="2 documents a day") as refused:
        hand_in(ledger, viewer)

    assert isinstance(refused.value, TooMuchOwed)
    assert 1 <= refused.value.retry_after <= 86_400
    assert sum(ledger.documents.counts(ADMIN).values()) == 2
    assert ledger.owed.outstanding("interactive") == 2
    hand_in(ledger, signed_in(ledger))  # another's token, and nobody's
    hand_in(ledger, ADMIN)


def test_bytes_are_counted_too(ledger: Ledger) -> None:
    """A few large documents are as much as many small ones."""
    viewer = signed_in(ledger, bytes_a_minute=10)
    hand_in(ledger, viewer, b"123456")
    with pytest.raises(QuotaExceeded, match="10 bytes a minute"):
        hand_in(ledger, viewer, b"12345")
    hand_in(ledger, viewer, b"1234")
    (use,) = ledger.quotas.uses(viewer.token_id or "", viewer.quota or Quota())
    assert (use.period, use.documents, use.bytes) == ("minute", 2, 10)


def test_a_new_minute_begins_with_nothing_used(ledger: Ledger) -> None:
    """A full minute is over with it; the day goes on counting."""
    clock = [datetime(2026, 1, 5, 12, 0, 30).timestamp()]
    later = open_ledger(
        ledger.database.url.render_as_string(hide_password=False),
        ledger.files.url,
        clock=lambda: clock[0],
    )
    viewer = signed_in(later, documents_a_minute=1, documents_a_day=2)
    hand_in(later, viewer)
    with pytest.raises(QuotaExceeded) as refused:
        hand_in(later, viewer)
    assert refused.value.retry_after == 30
    clock[0] += refused.value.retry_after
    hand_in(later, viewer)
    clock[0] += 60
    with pytest.raises(QuotaExceeded, match="a day"):
        hand_in(later, viewer)
    later.close()


def test_many_at_once_take_no_more_places_than_there_are(ledger: Ledger) -> None:
    """The last place goes to one of them: counts are the ledger's, not a process's."""
    viewer = signed_in(ledger, documents_a_day=5)
    refused: list[QuotaExceeded] = []

    def some() -> None:
        for _ in range(3):
            try:
                hand_in(ledger, viewer)
            except QuotaExceeded as error:
                refused.append(error)

    threads = [threading.Thread(target=some) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 10
    assert sum(ledger.documents.counts(ADMIN).values()) == 5


def test_rows_of_a_batch_are_counted_when_they_are_cut_off(ledger: Ledger) -> None:
    """A batch needs room for itself; its rows use up the day of who handed it in."""
    viewer = signed_in(ledger, documents_a_day=100, bytes_a_day=1000)
    said = {"kind": "ticket", "name": "in.csv", "file_format": "csv"}
    batch = ledger.batches.accept([b"text\na\n"], viewer=viewer, **said)
    split = ledger.chunks.claim(holder="one", lease_seconds=60)
    assert split is not None
    assert split.batch_id == batch.id
    cut = Cut(0, 120, ledger.files.put(b"rows"))
    assert ledger.chunks.cut(split, [cut], {"row": 120}, holder="one", rows_total=120)

    (use,) = ledger.quotas.uses(viewer.token_id or "", viewer.quota or Quota())
    assert (use.documents, use.bytes) == (121, 7)
    with pytest.raises(QuotaExceeded):
        hand_in(ledger, viewer)
    with pytest.raises(QuotaExceeded):
        ledger.batches.accept([b"text\nb\n"], viewer=viewer, **said)


def test_a_quota_can_be_changed_and_taken_away(ledger: Ledger) -> None:
    """From the next request on, by an admin of the workspace only."""
    token, secret = ledger.tokens.issue(ADMIN, name="shop", scopes=["write"])
    assert ledger.tokens.verify(secret).quota is None
    ledger.tokens.limit(token.id, Quota(documents_a_day=0), ADMIN)
    with pytest.raises(QuotaExceeded):
        hand_in(ledger, ledger.tokens.verify(secret))
    ledger.tokens.limit(token.id, Quota(), ADMIN)
    hand_in(ledger, ledger.tokens.verify(secret))
    with pytest.raises(NotFound):
        ledger.tokens.limit(token.id, Quota(), Viewer(workspace="other"))
    with pytest.raises(ValueError, match="documents_a_day"):
        Quota(documents_a_day=-1)


def test_chunks_are_owed_work_that_people_see(ledger: Ledger) -> None:
    """The queue bulk is not empty while a batch runs, and its rows are its throughput."""
    ledger.batches.accept(
        [b"text\na\n"], viewer=ADMIN, kind="ticket", name="in.csv", file_format="csv"
    )
    assert ledger.owed.status()["bulk"]["claimable"] == 1
    split = ledger.chunks.claim(holder="one", lease_seconds=60)
    assert split is not None
    cut = Cut(0, 60, ledger.files.put(b"rows"))
    ledger.chunks.cut(split, [cut], {"row": 60}, holder="one", rows_total=60)
    read = ledger.chunks.claim(holder="one", lease_seconds=60)
    assert read is not None
    status = ledger.owed.status()["bulk"]
    assert (status["owed"], status["leased"]) == (1, 1)
    assert 0 <= status["oldest_seconds"] < 60
    ledger.chunks.finish(read, holder="one", output=ledger.files.put(b"out"), rows_failed=6)
    assert ledger.owed.throughput("bulk", 60) == 1.0
