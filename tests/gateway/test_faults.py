"""The gateway killed, stopped, and without space: a mail that got its 250 is there, once."""

from __future__ import annotations

import resource
import signal
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger, open_ledger
from ledger.errors import LedgerBusy, StorageFull, TooMuchOwed
from service.mail.limits import Limits
from tests.gateway.conftest import Gateway, gateway_process, kept, originals, wait_for
from tests.gateway.test_dialogue import START, Wire


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with a migrated ledger."""
    folder = tmp_path / "data"
    folder.mkdir()
    with ledger_of(folder) as ledger:
        ledger.migrate()
    return folder


@contextmanager
def ledger_of(data_dir: Path) -> Iterator[Ledger]:
    """The ledger in a data folder, for a while."""
    ledger = open_ledger(f"sqlite:///{data_dir}/ledger.sqlite3", str(data_dir / "files"))
    yield ledger
    ledger.close()


class Sender:
    """Sends each mail again until it hears 250, as a mail server does, wherever the gateway is."""

    def __init__(self) -> None:
        self.port: int | None = None
        self.taken = 0
        self._lock = threading.Lock()

    def wait_until_taken(self, count: int) -> None:
        """Return when so many mails have got their 250."""
        wait_for(lambda: self.taken >= count, 60)

    def send(self, raw: bytes) -> None:
        """Return when the mail has got its 250."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                with smtplib.SMTP("127.0.0.1", self.port or 1, timeout=20) as client:
                    client.sendmail("ann@example.com", "help@example.org", raw)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)
                continue
            with self._lock:
                self.taken += 1
            return
        pytest.fail("a mail was never taken")


@pytest.mark.slow
def test_killed_while_mail_streams_in_nothing_is_lost_or_doubled(data_dir: Path) -> None:
    """A machine that loses its power in the middle of the morning's mail."""
    mails = [
        b"Message-ID: <%d@x>\r\nSubject: %d\r\n\r\n" % (number, number) + b"x" * (number * 400)
        for number in range(300)
    ]
    sender = Sender()
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(sender.send, raw) for raw in mails]
        for kill_after in (40, 110, 200):
            with gateway_process(data_dir) as (process, port):
                sender.port = port
                sender.wait_until_taken(kill_after)
                process.send_signal(signal.SIGKILL)
        with gateway_process(data_dir) as (_, port):
            sender.port = port
            for future in sending:
                future.result()
    with ledger_of(data_dir) as ledger:
        found = Counter(raw.split(b"\r\n")[0] for raw in originals(ledger))
        assert found == Counter(raw.split(b"\r\n")[0] for raw in mails)
        assert ledger.owed.outstanding("interactive") == 300


@pytest.mark.slow
def test_a_full_disk_puts_mail_off_and_loses_none(data_dir: Path) -> None:
    """A full disk must be the sender's delay, never the customer's lost mail."""
    small, large = (
        b"Message-ID: <%d@x>\r\n\r\n" % size + b"x" * size + b"\r\n" for size in (1000, 300_000)
    )
    with gateway_process(data_dir) as (process, port):
        sender = Sender()
        sender.port = port
        sender.send(b"Message-ID: <first@x>\r\n\r\n")
        # no file may grow past this size: what a full disk says to a write, without filling one
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for raw in (small, large):
            assert refusal(port, raw) in (451, 452)
        resource.prlimit(
            process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        for raw in (small, large, small, large):
            sender.send(raw)
        assert process.poll() is None
    with ledger_of(data_dir) as ledger:
        assert originals(ledger)[1:] == [small, large]


def refusal(port: int, raw: bytes) -> int:
    """Return the code with which a mail is refused."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("ann@example.com", "help@example.org", raw)
        return refused.value.smtp_code


@pytest.mark.slow
def test_large_attachments_keep_memory_bounded(data_dir: Path) -> None:
    """A few people sending videos at once would have the gateway killed for its memory."""
    raws = [b"Message-ID: <%d@x>\r\n\r\n" % i + b"QUJD" * 19 * 1000 * 540 for i in range(6)]
    sender = Sender()
    with gateway_process(data_dir) as (process, port):
        sender.port = port
        sender.send(b"Message-ID: <first@x>\r\n\r\n")
        before = peak_memory(process.pid)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(sender.send, raws))
        grown = peak_memory(process.pid) - before
    with ledger_of(data_dir) as ledger:
        assert [document.size for document in kept(ledger)[1:]] == [len(raws[0]) + 2] * 6
    # four mails' worth on their way in, each with one copy while it is written
    assert grown < 8 * 45_000_000


def peak_memory(pid: int) -> int:
    """Return the most memory a process ever had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_sigterm_finishes_the_message_in_hand(data_dir: Path) -> None:
    """A restart for an update must not cut mails in half, nor leave idle clients hanging."""
    with gateway_process(data_dir) as (process, port):
        busy, idle = RawGateway(port), RawGateway(port)
        writing, waiting = Wire(busy), Wire(idle)  # type: ignore[arg-type]
        writing.say(START)
        writing.replies(4)
        writing.say(b"Message-ID: <1@x>\r\n\r\nhalf")
        process.send_signal(signal.SIGTERM)
        assert waiting.reply().startswith(b"421")
        assert waiting.reply() == b""
        writing.say(b" and whole\r\n.\r\n")
        assert writing.reply().startswith(b"250")
        assert writing.reply().startswith(b"421")
        assert process.wait(20) == 0
        writing.close()
        waiting.close()
    with ledger_of(data_dir) as ledger:
        assert originals(ledger) == [b"Message-ID: <1@x>\r\n\r\nhalf and whole\r\n"]


class RawGateway:
    """Only the address of a gateway, for a raw connection to it."""

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port


def test_a_client_that_never_ends_does_not_stop_the_stop(
    start_gateway: Callable[..., Gateway],
) -> None:
    """Stopping would take as long as the slowest sender likes."""
    gateway = start_gateway(limits=Limits(stop_seconds=0.2))
    wire = Wire(gateway)
    wire.say(START + b"half")
    wire.replies(4)
    gateway.stop()
    wire.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TooMuchOwed("much", retry_after=3), 452),
        (StorageFull("full"), 452),
        (LedgerBusy("busy"), 451),
        (RuntimeError("secret/path"), 451),
    ],
)
def test_our_own_faults_are_answered_with_try_again(
    gateway: Gateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    """A 5xx for a fault of ours bounces the customer's mail; the sender learns nothing of us."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch, gateway.client() as client:
        patch.setattr(ledger.documents, "accept", fail)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@x", "b@y", b"Message-ID: <1@x>\r\n\r\nhi")
        assert refused.value.smtp_code == code
        assert b"secret" not in refused.value.smtp_error
    with gateway.client() as client:
        client.sendmail("a@x", "b@y", b"Message-ID: <1@x>\r\n\r\nhi")
    assert len(kept(ledger)) == 1
    wait_for(lambda: gateway.door.memory._left == gateway.door.limits.memory_bytes)


def test_a_client_that_hangs_up_before_its_answer_has_its_mail_kept_once(
    gateway: Gateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between the commit and its 250 is where mails are doubled."""
    accept, begun, gone = ledger.documents.accept, threading.Event(), threading.Event()

    def accept_slowly(*arguments: Any, **named: Any) -> Any:
        begun.set()
        assert gone.wait(20)
        return accept(*arguments, **named)

    monkeypatch.setattr(ledger.documents, "accept", accept_slowly)
    wire = Wire(gateway)
    wire.say(START + b"Message-ID: <1@x>\r\n\r\nhi\r\n.\r\n")
    assert begun.wait(20)
    wire.close()
    wait_for(lambda: not gateway.door._dialogues)
    gone.set()
    wait_for(lambda: gateway.bell.rung)
    with gateway.client() as client:
        client.sendmail("ann@example.com", "help@example.org", b"Message-ID: <1@x>\r\n\r\nhi\r\n")
    assert len(kept(ledger)) == 1


def test_a_missing_ledger_is_said_at_the_start(tmp_path: Path) -> None:
    """A gateway that starts on no tables would put off every mail without a word to anybody."""
    with pytest.raises(AssertionError, match="did not start"), gateway_process(tmp_path):
        pass
