"""A mail's header fields for rules, what its sender marked it as, and what could not be opened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from intake import Limits
from intake.mail.marks import CHARACTERS, FIELDS, VALUE_CHARACTERS
from intake.mail.message import read_mail
from intake.parsed import Mail, pack, unpack
from routing.facts import facts
from routing.priority import priority
from routing.replies import never_answer


def mail_of(raw: bytes) -> Mail:
    """Return the mail, as it is after its way out of the reading process."""
    parsed = read_mail(raw, Limits())
    packed, bodies = pack(parsed)
    again = unpack(packed, iter(bodies)).mail
    assert again is not None
    assert again == parsed.mail
    return again


def test_headers_are_there_for_rules_decoded_and_in_order() -> None:
    """`header.x-customer = "..."` could never match without them; seals say nothing to a rule."""
    mail = mail_of(
        b"Received: from a by b\nX-Customer: =?utf-8?q?M=C3=BCller?=\nX-Tag: a\n b\n"
        b"DKIM-Signature: v=1\nX-Tag: c\nFrom: a@b.c\n\nhi\n"
    )
    assert mail.headers == (
        *(("x-customer", "Müller"), ("x-tag", "a b"), ("x-tag", "c")),
        ("from", "a@b.c"),
    )
    assert mail.to_json()["headers"][0] == ["x-customer", "Müller"]


def test_rules_priority_and_replies_read_the_headers_of_a_real_mail() -> None:
    """They were written against headers in another form than the one that intake gives."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    said = mail_of(
        b"X-Tag: a\nX-Tag: b\nX-Priority: 1\nPrecedence: junk\nFrom: a@b.c\n\nHello there?\n"
    ).to_json()
    assert facts(None, said, "", received_at=now).headers["x-tag"] == ("a", "b")
    asks = {"wants_answer": {"value": "yes", "confidence": 0.9}}
    unmarked = {**said, "importance": None, "bulk": False}
    assert priority(asks, "Hello there?", unmarked, now).value == "high"
    assert never_answer({**said, "bulk": False}) == "It says that it was sent in bulk."


def test_a_header_of_a_megabyte_does_not_fill_the_ledger() -> None:
    """Every list of documents would carry it."""
    many = b"".join(b"X-%d: %s\n" % (i, b"v" * 2000) for i in range(300))
    headers = mail_of(many + b"From: a@b.c\n\nhi\n").headers
    assert len(headers) <= FIELDS
    assert max(len(value) for _, value in headers) <= VALUE_CHARACTERS
    assert sum(len(value) for _, value in headers) <= CHARACTERS


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b"Importance: High", "high"),
        (b"X-Priority: 1 (Highest)", "high"),
        (b"X-Priority: 3", None),
        (b"Priority: non-urgent", "low"),
        (b"X-MSMail-Priority: Low", "low"),
        (b"Subject: high", None),
    ],
)
def test_importance_is_what_the_sender_claims(field: bytes, found: str | None) -> None:
    """Programs write it in four ways."""
    assert mail_of(field + b"\nFrom: a@b.c\n\nhi\n").importance == found


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (b"application/ms-tnef; name=winmail.dat", "winmail.dat"),
        (b"application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "encrypted"),
        (b"application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", "signed"),
    ],
)
def test_what_cannot_be_opened_is_said(kind: bytes, word: str) -> None:
    """An empty text without a word looks like a customer who wrote nothing."""
    mail = mail_of(b"From: a@b.c\nContent-Type: %s\n\nMIIB\n" % kind)
    assert word in "; ".join(mail.warnings)
    assert not mail_of(b"From: a@b.c\n\nhi\n").warnings
