"""How far mailboxes were read, by whom, and where each mail was seen."""

from __future__ import annotations

import pytest

from ledger import Ledger, Viewer
from ledger.errors import IdempotencyConflict, NotFound
from ledger.mailboxes import Seen

ADA = Viewer(actor="ada")
ELSEWHERE = Viewer("elsewhere", actor="eve")


def take(ledger: Ledger, body: bytes = b"hello", key: str | None = None) -> str:
    """Return the id of a document made of `body`."""
    return ledger.documents.accept(
        body, viewer=ADA, source="imap", kind="email", idempotency_key=key, any_body=True
    ).id


def advance(ledger: Ledger, folder: str, *seen: Seen) -> None:
    """Write down that these mails were found in a folder of the account."""
    last = max((mail.uid for mail in seen), default=0)
    ledger.mailboxes.advance(
        "support", folder, ADA, uidvalidity=7, last_uid=last, waiting=0, seen=seen, lag_seconds=2
    )


def test_a_mail_that_people_moved_is_seen_where_they_put_it(ledger: Ledger) -> None:
    """The folder is how people sorted it: without it no agreement could be counted."""
    document = take(ledger)
    advance(ledger, "INBOX", Seen(uid=3, document_id=document, mark="m1"))
    advance(ledger, "Billing", Seen(uid=1, document_id=document, mark="m1"))
    seen = ledger.mailboxes.sightings(ADA, document_id=document)
    assert [sighting.folder for sighting in seen] == ["Billing", "INBOX"]
    after = ledger.mailboxes.sightings(ADA, after=seen[0].id)
    assert [sighting.folder for sighting in after] == ["INBOX"]
    assert ledger.mailboxes.recognise(["m1", "m2"], ADA) == {"m1": document}
    assert not ledger.mailboxes.sightings(ELSEWHERE)
    assert not ledger.mailboxes.recognise(["m1"], ELSEWHERE)
    ledger.documents.delete(document, ADA)
    assert not ledger.mailboxes.sightings(ADA)


def test_one_reader_at_a_time(ledger: Ledger) -> None:
    """Two processes on one account would fetch everything twice."""
    lease = {"lease_seconds": 60.0}
    assert ledger.mailboxes.claim("support", ADA, holder="a", **lease)
    assert not ledger.mailboxes.claim("support", ADA, holder="b", **lease)
    assert ledger.mailboxes.claim("support", ELSEWHERE, holder="b", **lease)
    assert ledger.mailboxes.claim("support", ADA, holder="a", lease_seconds=-1)
    assert ledger.mailboxes.claim("support", ADA, holder="b", **lease)
    ledger.mailboxes.release("support", ADA, holder="b")
    assert ledger.mailboxes.claim("support", ADA, holder="a", **lease)


def test_a_mail_set_aside_is_seen_and_tried_again(ledger: Ledger) -> None:
    """A mail that vanished into a log file is a customer who never hears from anybody."""
    error = {"code": "too_large", "message": "It is larger than this server takes."}
    advance(ledger, "INBOX", Seen(uid=9, name="Catalogue", size=99, error=error))
    (aside,) = ledger.mailboxes.aside(ADA, account="support")
    assert (aside.name, aside.state, aside.error) == ("Catalogue", "aside", error)
    assert not ledger.mailboxes.aside(ELSEWHERE)
    with pytest.raises(NotFound):
        ledger.mailboxes.try_again(aside.id, ELSEWHERE)
    ledger.mailboxes.try_again(aside.id, ADA)
    assert [mail.uid for mail in ledger.mailboxes.to_try("support", ADA)] == [9]
    document = take(ledger)
    advance(ledger, "INBOX", Seen(uid=9, document_id=document))
    assert not ledger.mailboxes.aside(ADA)
    assert ledger.mailboxes.sightings(ADA)[0].document_id == document


def test_an_account_is_listed_with_how_far_it_was_read(ledger: Ledger) -> None:
    """An account that stopped must not look like one without mail."""
    ledger.mailboxes.report("support", ADA, state="configured", described={"host": "h"})
    advance(ledger, "INBOX", Seen(uid=4, error={"code": "x", "message": "y"}))
    ledger.mailboxes.report("support", ADA, state="failed", detail={"code": "sign_in"})
    (account,) = ledger.mailboxes.list(ADA)
    assert (account.state, account.described, account.aside) == ("failed", {"host": "h"}, 1)
    assert (account.folders[0].last_uid, account.folders[0].lag_seconds) == (4, 2.0)
    assert account.read_at is None
    cursor = ledger.mailboxes.cursor("support", "INBOX", ADA)
    assert cursor is not None
    assert cursor.uidvalidity == 7
    ledger.mailboxes.keep_secret("support", "sealed", ADA)
    assert ledger.mailboxes.secret("support", ADA) == "sealed"
    assert ledger.mailboxes.secret("support", ELSEWHERE) is None
    ledger.mailboxes.remove("support", ADA)
    assert not ledger.mailboxes.list(ADA)


def test_under_a_mails_key_other_bytes_are_the_same_mail(ledger: Ledger) -> None:
    """Two servers stamp their copies of one mail each in its own way."""
    first = take(ledger, b"one", key="mail:1")
    assert take(ledger, b"two", key="mail:1") == first
    with pytest.raises(IdempotencyConflict):
        ledger.documents.accept(
            b"two", viewer=ADA, source="api", kind="email", idempotency_key="mail:1"
        )
