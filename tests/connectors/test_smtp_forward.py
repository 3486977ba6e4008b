"""Forwarding: the original arrives intact, and never goes in circles."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest

from connectors import BadSettings, Parcel, Permanent, Transient, build
from routing import loops
from tests.connectors.conftest import Inbox, parcel, smtp_server

RAW = (
    b"Received: from x by y; Wed, 4 Mar 2026 09:30:00 +0000\r\nDKIM-Signature: v=1; b=abc\r\n"
    b"From: Ann <ann@example.com>\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n"
    b"Message-ID: <7@example.com>\r\n\r\nHello\r\n.dot\r\n"
)


def forward(port: int, **settings: Any) -> Any:
    """Return a connector to a server on this machine."""
    known = {"host": "127.0.0.1", "port": port, "security": "none", "seconds": 10}
    known |= {"to": ["billing@example.org"], "sender": "mailroom@example.org"}
    return build({"connector": "smtp_forward"} | known | settings)


def arrived(inbox: Inbox, number: int = -1) -> bytes:
    """Return the bytes of a mail that arrived."""
    content = inbox.envelopes[number].original_content
    assert isinstance(content, bytes)
    return content


def test_a_resent_mail_is_the_original_under_new_trace_headers(inbox: tuple[Inbox, int]) -> None:
    """One changed byte breaks the sender's signature, and an answer must reach who wrote."""
    handler, port = inbox
    receipt = forward(port).send(parcel(RAW))
    raw = arrived(handler)
    assert raw.endswith(RAW)
    added = raw.removesuffix(RAW)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["From"] == "Ann <ann@example.com>"
    assert message["Resent-To"] == "billing@example.org"
    assert message["Resent-Message-ID"] == receipt.reference == "<d-1.mailroom@example.org>"
    assert added.startswith(b"Received: by ")
    assert handler.envelopes[0].mail_from == "mailroom@example.org"
    assert handler.envelopes[0].rcpt_tos == ["billing@example.org"]


@pytest.mark.parametrize(
    "raw",
    [b"From: a\r\n\r\nbare\nline", b"From: a\r\n\r\n\x00", b"From: a\r\n\r\n" + b"x" * 2000,
     b"%PDF-1.7\n\n", b"", b"From: a\r\n\r\nbare\rreturn\r\n"],
)  # fmt: skip
def test_what_smtp_cannot_carry_travels_as_a_file(inbox: tuple[Inbox, int], raw: bytes) -> None:
    """A server on the way would mend it, and the original would be gone."""
    handler, port = inbox
    forward(port).send(parcel(raw, subject="A\r\nBcc: x@y", reason="Rule Ω."))
    message = email.message_from_bytes(arrived(handler), policy=email.policy.default)
    (attachment,) = message.iter_attachments()
    assert attachment.get_content() == raw
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None
    body = message.get_body()
    assert body is not None
    assert body.get_content().strip() == "Rule Ω."


def test_a_file_with_plain_line_ends_is_a_mail_all_the_same(inbox: tuple[Inbox, int]) -> None:
    """Mail from a Unix file is as common as mail from the wire."""
    handler, port = inbox
    forward(port).send(parcel(RAW.replace(b"\r\n", b"\n")))
    assert arrived(handler).endswith(RAW)


def test_attach_always_attaches(inbox: tuple[Inbox, int]) -> None:
    """Some servers refuse mail whose From is not the sender's."""
    handler, port = inbox
    forward(port, mode="attach").send(parcel(RAW, subject="Grüße", reason="Because."))
    message = email.message_from_bytes(arrived(handler), policy=email.policy.default)
    assert message["Subject"] == "Fwd: Grüße"
    assert [part.get_content() for part in message.iter_attachments()] == [RAW]


def test_our_own_mail_is_known_when_it_comes_back(inbox: tuple[Inbox, int]) -> None:
    """A forward to an address that leads back here would go round for ever."""
    handler, port = inbox
    key = b"k" * 32
    for mode in ("resend", "attach"):
        sent = parcel(RAW)
        sent = Parcel(**vars(sent) | {"loop_mark": lambda message_id: loops.mark(key, message_id)})
        forward(port, mode=mode).send(sent)
        assert loops.is_ours(arrived(handler), key)
        assert not loops.is_ours(arrived(handler), b"another key")
    assert not loops.is_ours(RAW, key)


def test_a_bounce_is_sent_on_with_the_empty_return_path(inbox: tuple[Inbox, int]) -> None:
    """A bounce of a bounce is how mail storms begin."""
    handler, port = inbox
    forward(port).send(parcel(RAW, null_sender=True))
    assert handler.envelopes[0].mail_from == "<>"


def test_mail_that_went_in_circles_is_not_sent_on(inbox: tuple[Inbox, int]) -> None:
    """The hundredth server in a row must stop it."""
    handler, port = inbox
    with pytest.raises(Permanent):
        forward(port).send(parcel(b"Received: x\r\n" * 100 + RAW))
    assert handler.envelopes == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 later", Transient),
        ("452 full", Transient),
        ("554 no", Permanent),
        ("550 spam", Permanent),
    ],
)
def test_answers_say_whether_waiting_helps(
    inbox: tuple[Inbox, int], answer: str, error: type[Exception]
) -> None:
    """Mail servers say plainly whether to come back; it must be heard."""
    handler, port = inbox
    handler.answer = answer
    with pytest.raises(error):
        forward(port).send(parcel(RAW))


def test_a_server_that_is_away_is_tried_again(inbox: tuple[Inbox, int]) -> None:
    """A mail server that restarts must not cost a delivery."""
    _, port = inbox
    with pytest.raises(Permanent):  # it speaks no TLS: nobody may be led to speak without it
        forward(port, security="starttls").send(parcel(RAW))
    with pytest.raises(Transient):
        forward(port, security="tls").send(parcel(RAW))
    with pytest.raises(Transient):
        forward(1).send(parcel(RAW))


class Refusing(Inbox):
    """Takes mail for nobody called `no` or `later`."""

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Answer for one recipient."""
        if address.startswith(("no", "later")):
            return "550 no such user" if address.startswith("no") else "450 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def test_refused_recipients_are_told_apart() -> None:
    """A delivery that reached two of three is neither made nor to be made again for all."""
    handler = Refusing()
    with smtp_server(handler) as port:
        with pytest.raises(Transient):
            forward(port, to=["later@x.example"]).send(parcel(RAW))
        with pytest.raises(Permanent):
            forward(port, to=["no@x.example"]).send(parcel(RAW))
        with pytest.raises(Permanent, match="not for: no@x"):
            forward(port, to=["yes@x.example", "no@x.example"]).send(parcel(RAW))
    assert len(handler.envelopes) == 1


@pytest.mark.parametrize(
    "settings",
    [{"to": []}, {"to": ["a b@x"]}, {"sender": "x"}, {"security": "maybe"}, {"username": "u"}],
)
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    """A typing error found at the first mail is found too late."""
    with pytest.raises(BadSettings):
        forward(25, **settings)
