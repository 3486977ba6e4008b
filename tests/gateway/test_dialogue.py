"""The SMTP dialogue over the wire: what is kept is what was sent, and one mail is one mail."""

from __future__ import annotations

import hashlib
import re
import smtplib
import socket
import subprocess
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Ledger
from routing import loops
from service.mail.dialogue import original
from service.mail.limits import Limits
from tests.gateway.conftest import VIEWER, Gateway, kept, originals, wait_for

START = b"EHLO test\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<help@example.org>\r\nDATA\r\n"


class Wire:
    """A raw socket that speaks what it is told to."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.create_connection((gateway.host, gateway.port), timeout=20)
        self.file = self.socket.makefile("rb")
        self.reply()

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """Return the last line of the next reply, or b"" at the end."""
        while True:
            line = self.file.readline()
            if not line or line[3:4] != b"-":
                return line

    def replies(self, count: int) -> list[bytes]:
        """Return the codes of the next replies."""
        return [self.reply()[:3] for _ in range(count)]

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[Wire]:
    """A connection on which the greeting has been read."""
    wire = Wire(gateway)
    yield wire
    wire.close()


def test_the_answer_comes_after_the_commit(gateway: Gateway, ledger: Ledger) -> None:
    """A 250 for a mail that is not in the ledger yet is a mail that a crash loses."""
    subject = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Ann\r\n"
    raw = subject + b"Message-ID: <1@x>\r\n\r\n.dot\r\n\x00\xff\r\n"
    with gateway.client() as client:
        refused = client.sendmail("ann@example.com", ["help@example.org"], raw, ["BODY=8BITMIME"])
        assert not refused
        (document,) = kept(ledger)
    assert originals(ledger) == [raw]
    assert document.name == "Grüße from Ann"
    assert (document.kind_said, document.source, document.state) == ("email", "smtp", "waiting")
    assert document.envelope is not None
    assert document.envelope["mail_from"] == "ann@example.com"
    assert document.envelope["rcpt_to"] == ["help@example.org"]
    assert document.envelope["peer"] == "127.0.0.1"
    wait_for(lambda: gateway.bell.rung == ["interactive"])


def test_null_senders_and_odd_addresses_are_taken(gateway: Gateway, ledger: Ledger) -> None:
    """Bounces come from nobody; refusing them, or senders with odd addresses, loses mail."""
    senders = ["<>", '<"a b"@example.com>', "<foo..bar@example.com>", "<x@[127.0.0.1]>", "<root>"]
    senders += ["<@relay.example:ann@example.com>", "<jörg@exämple.de>", "<a/b=c+d@e.example>"]
    wire = Wire(gateway)
    wire.say(b"EHLO x\r\n")
    wire.reply()
    for number, sender in enumerate(senders):
        wire.say(f"MAIL FROM:{sender} SMTPUTF8\r\nRCPT TO:<a@b.example>\r\nDATA\r\n".encode())
        assert wire.replies(3) == [b"250", b"250", b"354"], sender
        wire.say(b"Message-ID: <%d@x>\r\n\r\nhi\r\n.\r\n" % number)
        assert wire.reply().startswith(b"250")
    wire.close()
    said = [document.envelope["mail_from"] for document in kept(ledger) if document.envelope]
    assert said == ["", '"a b"@example.com', "foo..bar@example.com", "x@[127.0.0.1]", "root",
                    "ann@example.com", "jörg@exämple.de", "a/b=c+d@e.example"]  # fmt: skip


@pytest.mark.parametrize("sender", [b"<a\x00b@x>", b"<a\xff@x>", b"<a@x", b"a b", b""])
def test_addresses_that_are_none_are_refused(wire: Wire, sender: bytes) -> None:
    """An address that no database can hold must be refused, not answered by a fault of ours."""
    wire.say(b"EHLO x\r\nMAIL FROM:" + sender + b"\r\n")
    assert wire.replies(2)[1][:1] == b"5"


@pytest.mark.parametrize(
    "middle",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\n.\r\n",
        b"\r\n\x00.\r\n",
    ],
)
def test_nothing_but_the_true_end_ends_a_message(wire: Wire, ledger: Ledger, middle: bytes) -> None:
    """SMTP smuggling: a second mail hidden in a first would carry a forged, trusted sender."""
    smuggled = b"MAIL FROM:<boss@example.org>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nforged"
    wire.say(START)
    assert wire.replies(4) == [b"250", b"250", b"250", b"354"]
    wire.say(b"Message-ID: <1@x>\r\n\r\nfirst" + middle + smuggled + b"\r\n.\r\nNOOP\r\n")
    assert wire.replies(2) == [b"250", b"250"]
    (raw,) = originals(ledger)
    assert raw.endswith(b"forged\r\n")
    assert raw.count(b"first") == 1


def test_pipelined_messages_are_kept_apart(wire: Wire, ledger: Ledger) -> None:
    """What a client sends ahead must be read as the commands that it is, dots and all."""
    again = START.removeprefix(b"EHLO test\r\n")
    wire.say(START + b".\r\n" + again + b"\r\n.\r\n" + again + b"...a\r\n..\r\n.\r\nQUIT\r\n")
    codes = wire.replies(12)
    assert codes == [b"250"] * 3 + [b"354", b"250"] + ([b"250"] * 2 + [b"354", b"250"]) [:4] + [
        b"250", b"250", b"354"]  # fmt: skip
    assert wire.replies(2) == [b"250", b"221"]
    assert originals(ledger) == [b"", b"\r\n", b"..a\r\n.\r\n"]


def test_lines_of_any_length_are_taken(gateway: Gateway, ledger: Ledger) -> None:
    """Senders break the 998-octet rule every day; their mail would be lost."""
    raw = b"Message-ID: <1@x>\r\n\r\n" + b"x" * 500_000 + b"\r\n"
    with gateway.client() as client:
        client.sendmail("a@x", "b@y", raw)
    assert originals(ledger) == [raw]


def test_too_large_a_message_is_refused_by_its_size_and_by_its_bytes(
    gateway: Gateway, ledger: Ledger
) -> None:
    """A sender that hears 552 tells its user; one that hears nothing tries for days."""
    with gateway.client() as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "2000000"
        assert client.mail("a@x", ["SIZE=2000001"])[0] == 552
        client.rset()
        client.mail("a@x")
        client.rcpt("b@y")
        assert client.data(b"x" * 2_000_001)[0] == 552
        assert client.sendmail("a@x", "b@y", b"Message-ID: <1@x>\r\n\r\nsmall\r\n") == {}
        client.mail("a@x")
        client.rcpt("b@y")
        assert client.data(b"y" * 1_999_998)[0] == 250
    assert [document.size for document in kept(ledger)] == [28, 2_000_000]


def is_cut_off(wire: Wire, data: bytes) -> bool:
    """Send some more, and return whether the other side has hung up."""
    try:
        wire.say(data)
    except OSError:
        return True
    return False


def test_a_message_without_end_is_cut_off(wire: Wire, ledger: Ledger) -> None:
    """One sender could otherwise keep a connection and a loop busy for ever."""
    wire.say(START)
    wire.replies(4)
    assert wait_for(lambda: is_cut_off(wire, b"x" * 1_000_000))
    assert kept(ledger) == []


def test_mail_beyond_the_memory_is_put_off(start_gateway: Callable[..., Gateway]) -> None:
    """Many large mails at once must not take the machine's memory, nor be lost."""
    gateway = start_gateway(limits=Limits(message_bytes=1_000_000, memory_bytes=1_500_000))
    first, second = Wire(gateway), Wire(gateway)
    for wire in (first, second):
        wire.say(START)
        wire.replies(4)
    first.say(b"Message-ID: <1@x>\r\n\r\n" + b"x" * 900_000)
    wait_for(lambda: gateway.door.memory._left < 700_000)
    second.say(b"Message-ID: <2@x>\r\n\r\n" + b"y" * 900_000 + b"\r\n.\r\n")
    assert second.reply().startswith(b"452")
    first.say(b"\r\n.\r\n")
    assert first.reply().startswith(b"250")
    wait_for(lambda: gateway.door.memory._left == 1_500_000)
    first.close()
    second.close()


def test_mail_for_others_is_refused(start_gateway: Callable[..., Gateway], ledger: Ledger) -> None:
    """An open relay is abused within the hour."""
    gateway = start_gateway(recipients="help@example.org, @example.net")
    with gateway.client() as client:
        client.helo("x")
        client.mail("a@x")
        assert client.rcpt("Help+tag@EXAMPLE.org")[0] == 250
        assert client.rcpt("anybody@example.net")[0] == 250
        assert client.rcpt("postmaster")[0] == 250
        for other in (
            "help@example.com",
            "x@example.org",
            "x%example.com@elsewhere",
            "<>",
            "a@sub.example.net",
        ):
            assert client.rcpt(other)[0] == 550, other
        assert client.data(b"Message-ID: <1@x>\r\n\r\nhi")[0] == 250
    (document,) = kept(ledger)
    assert document.envelope is not None
    assert document.envelope["rcpt_to"] == [
        "Help+tag@EXAMPLE.org",
        "anybody@example.net",
        "postmaster",
    ]


def test_connections_and_recipients_have_limits(start_gateway: Callable[..., Gateway]) -> None:
    """One host must not be able to keep all others out."""
    gateway = start_gateway(limits=Limits(connections_a_peer=2, recipients=3))
    wires = [Wire(gateway) for _ in range(2)]
    with pytest.raises(smtplib.SMTPConnectError) as turned_away:
        gateway.client()
    assert turned_away.value.smtp_code == 421
    wires[0].close()
    client = wait_for(lambda: connected(gateway))
    client.helo("x")
    client.mail("a@x")
    assert [client.rcpt(f"{i}@y")[0] for i in range(4)] == [250, 250, 250, 452]
    client.close()
    wires[1].close()


def connected(gateway: Gateway) -> smtplib.SMTP | None:
    """Return a client, or None where it was turned away."""
    try:
        return gateway.client()
    except smtplib.SMTPConnectError:
        return None


def test_a_web_page_cannot_post_mail(gateway: Gateway, ledger: Ledger) -> None:
    """A page in a browser on this machine could otherwise hand in mail with a form."""
    wire = Wire(gateway)
    wire.say(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + START + b"x\r\n.\r\n")
    assert wire.reply().startswith(b"421")
    assert wire.reply() == b""
    wire.close()
    assert kept(ledger) == []


def test_silence_ends_a_connection(start_gateway: Callable[..., Gateway]) -> None:
    """Connections that say nothing would fill the table of those that do."""
    wire = Wire(start_gateway(limits=Limits(command_seconds=0.2)))
    assert wire.reply() == b""
    wire.close()


def test_a_message_that_trickles_is_cut_off(start_gateway: Callable[..., Gateway]) -> None:
    """A byte now and then is not silence, and holds a connection and memory just as well."""
    gateway = start_gateway(limits=Limits(data_seconds=0.2))
    wire = Wire(gateway)
    wire.say(START)
    wire.replies(4)
    assert wait_for(lambda: is_cut_off(wire, b"x"))
    wait_for(lambda: gateway.door.memory._left == gateway.door.limits.memory_bytes)
    wire.close()


def test_the_same_mail_twice_is_one(gateway: Gateway, ledger: Ledger) -> None:
    """A sender that missed our 250 sends again; the customer would get two answers."""
    dated = b"Date: Wed, 4 Mar 2026 09:30:00 +0000\r\nSubject: a\r\n\r\nhi\r\n"
    bare = b"Subject: alarm\r\n\r\nhot\r\n"
    with gateway.client() as client:
        for _ in range(3):
            client.sendmail("a@x", "b@y", dated)
        client.sendmail("a@x", "c@y", dated)  # a Bcc that came apart
        client.sendmail("a@x", "b@y", bare)
        client.sendmail("a@x", "b@y", bare)
        client.sendmail("other@x", "b@y", bare)  # another device says the same
        client.sendmail("a@x", "b@y", dated + b"more\r\n")
    assert originals(ledger) == [dated, bare, bare, dated + b"more\r\n"]


def test_mail_that_goes_in_circles_is_refused(gateway: Gateway, ledger: Ledger) -> None:
    """Two servers that pass a mail to each other would fill the disk."""
    with gateway.client() as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("a@x", "b@y", b"Received: by x\r\n" * 101 + b"\r\nhi")
    assert refused.value.smtp_code == 554
    assert kept(ledger) == []


def test_senders_of_many_kinds(gateway: Gateway, ledger: Ledger) -> None:
    """swaks speaks a dialect of its own: unusual verbs, attachments, UTF-8 addresses."""
    swaks = ["swaks", "--server", f"{gateway.host}:{gateway.port}", "--to", "help@example.org"]
    swaks += ["--from", "a@example.com", "--body", "hello\n.\nworld"]
    for extra in ([], ["--pipeline"], ["--protocol", "SMTP"], ["--attach", "@/etc/hostname"]):
        finished = subprocess.run(swaks + extra, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    texts = originals(ledger)
    assert len(texts) == 4
    assert all(re.search(rb"hello\r\n\.\r\nworld", text) for text in texts)


def test_addresses_in_other_scripts(gateway: Gateway, ledger: Ledger) -> None:
    """People whose address is not ASCII are customers too."""
    message = EmailMessage()
    message["Subject"] = "Пожар"
    message["Message-ID"] = "<1@x>"
    message["From"] = "дмитрий@почта.example"
    message["To"] = "помощь@почта.example"
    message.set_content("Привет")
    with gateway.client() as client:
        client.send_message(message)
    (document,) = kept(ledger)
    assert document.name == "Пожар"
    assert document.envelope is not None
    assert document.envelope["rcpt_to"] == ["помощь@почта.example"]
    assert document.envelope["smtputf8"] is True


def test_a_hostile_subject_does_not_refuse_the_mail(gateway: Gateway, ledger: Ledger) -> None:
    """A name for a list is not worth a mail."""
    subjects = [b"=?utf-8?b?////?=", b"=?x-unknown?q?a?=", b"\xff\xfe\x00", b"\r\n " * 500]
    subjects += [b"=?utf-8?q?=00=E2=80=AE?=", b"x" * 90_000]
    with gateway.client() as client:
        for number, subject in enumerate(subjects):
            client.sendmail(
                "a@x", "b@y", b"Message-ID: <%d>\r\nSubject: %s\r\n\r\n" % (number, subject)
            )
    names = [document.name for document in kept(ledger)]
    assert len(names) == len(subjects)
    assert all(len(name) <= 200 and (name.isprintable() or not name) for name in names)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    st.lists(
        st.sampled_from([b".", b"..", b"\r\n", b"\n", b"\r", b"a", b"\x00", b"\xff"]), max_size=30
    )
)
def test_bytes_arrive_as_they_were(gateway: Gateway, ledger: Ledger, pieces: list[bytes]) -> None:
    """A signature or a hash over a message breaks when one byte of it changes on the way."""
    body = b"".join(pieces)
    raw = b"Message-ID: <%s>\r\n\r\n" % hashlib.sha256(body).hexdigest().encode() + body + b"\r\n"
    stuffed = re.sub(rb"(?:(?<=\r\n)|\A)\.", b"..", raw)
    if original(b"\r\n" + stuffed) != raw:
        # a double dot after a bare LF: a sender that doubles dots there cannot be told apart
        assert re.search(rb"(?<!\r)\n\.\.", raw)
        return
    wire = Wire(gateway)
    wire.say(START + stuffed + b".\r\n")
    wire.replies(4)
    answer = wire.reply().decode()
    wire.close()
    assert answer.startswith("250")
    assert ledger.documents.original(answer.split()[-1], VIEWER)[1] == raw


def test_dots_that_a_client_doubled_after_a_bare_line_feed_are_undone() -> None:
    """Python's own client doubles them; the text would gain dots."""
    assert original(b"\r\na\n..b\n") == b"a\n.b\n"
    assert original(b"\r\na\n..b\n.c\n") == b"a\n..b\n.c\n"  # this sender does not double them


def test_our_own_mail_is_marked_when_it_comes_back(
    start_gateway: Callable[..., Gateway], ledger: Ledger
) -> None:
    """A mail that we sent on and that leads back here would be sent on again, for ever."""
    key = b"k" * 32
    gateway = start_gateway(loop_key=key)
    ours = f"Message-ID: <1@x>\r\nX-Mailroom-Loop: {loops.mark(key, '<1@x>')}\r\n\r\nhi\r\n"
    forged = f"Message-ID: <2@x>\r\nX-Mailroom-Loop: {loops.mark(b'other', '<2@x>')}\r\n\r\nhi\r\n"
    with gateway.client() as client:
        for raw in (ours, forged):
            client.sendmail("a@x", "b@y", raw.encode())
    assert [(document.envelope or {}).get("ours") for document in kept(ledger)] == [True, None]
