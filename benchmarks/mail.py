"""Mails a second over SMTP and over IMAP, from `250` to the decision, and memory with large ones.

    python -m benchmarks.mail [--mails 1000] [--rate 20] [--seconds 30] [--large 30000000]

Three runs, each in a data folder of its own (SQLite): the gateway alone, the mailboxes' reader
alone on a Dovecot that holds the mails already, then `mailroom up` with a rule, mail coming at a
steady rate and one with a large attachment at the end. Needs `dovecot` on the path.
"""

from __future__ import annotations

import base64
import json
import os
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from ledger import Ledger, Viewer, open_ledger
from tests.connectors.dovecot import PASSWORD, Dovecot, running_dovecot

VIEWER = Viewer()
SENDERS = 4
RULES = """
[[rule]]
name = "refunds"
when.text = "*refund*"
then.queue = "billing"
"""


def mail(number: str, attachment: bytes = b"") -> bytes:
    """Return a mail of a few paragraphs, or one with an attached file."""
    head = (
        f"From: anna@example.org\r\nTo: support@example.org\r\nSubject: Order {number}\r\n"
        f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n"
    ).encode()
    text = b"Hello, my order has not come. Could you refund it, or send another one?\r\n" * 12
    if not attachment:
        return head + b"\r\n" + text
    return (
        head + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/plain\r\n\r\n" + text + b"\r\n--b\r\n"
        b"Content-Type: application/octet-stream; name=scan.bin\r\n"
        b"Content-Disposition: attachment; filename=scan.bin\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(attachment).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def memory(pid: int, field: str) -> int:
    """Return a process's VmRSS or VmHWM in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(field))


@contextmanager
def part(folder: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """Run one of Mailroom's commands; yields it and what it printed once it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from commands import main; main()", *arguments, "--json"],
        env={**os.environ, "MAILROOM_DATA_DIR": folder, "MAILROOM_LOG_LEVEL": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ledger_of(folder: str) -> Iterator[Ledger]:
    """Yield the ledger of a data folder."""
    ledger = open_ledger(f"sqlite:///{folder}/ledger.sqlite3", f"{folder}/files")
    ledger.migrate()
    yield ledger
    ledger.close()


def held(ledger: Ledger) -> int:
    """Return how many documents there are."""
    return sum(ledger.documents.counts(VIEWER).values())


def wait_for(ledger: Ledger, number: int, seconds: float = 300) -> None:
    """Wait until so many documents are there."""
    until = time.monotonic() + seconds
    while held(ledger) < number:
        if time.monotonic() > until:
            raise TimeoutError(f"{held(ledger)} of {number} mails came")
        time.sleep(0.02)


def send(port: int, raws: list[bytes]) -> None:
    """Hand mails in over one connection."""
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
        for raw in raws:
            client.sendmail("anna@example.org", ["support@example.org"], raw)


def over_smtp(mails: int, large: bytes) -> dict[str, Any]:
    """Return what the gateway takes a second, and its memory before and after large mails."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ledger_of(folder) as ledger,
        part(folder, "gateway", "--port", "0") as (process, said),
    ):
        raws = [mail(f"s{number}") for number in range(mails)]
        began = time.perf_counter()
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda n: send(said["port"], raws[n::SENDERS]), range(SENDERS)))
        seconds = time.perf_counter() - began
        assert held(ledger) == mails
        before = memory(process.pid, "VmHWM")
        send(said["port"], [mail(f"large{number}", large) for number in range(3)])
        return {
            "mails_per_second": round(mails / seconds, 1),
            "megabytes": before,
            "megabytes_with_large": memory(process.pid, "VmHWM"),
        }


def fill(dovecot: Dovecot, user: str, raws: list[bytes]) -> None:
    """Put mails into a mailbox."""
    with dovecot.mailbox(user) as mailbox:
        for raw in raws:
            mailbox.append(raw, "INBOX")


def over_imap(mails: int, large: bytes) -> dict[str, Any]:
    """Return what is read from a mailbox a second, and the reader's memory likewise."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_dovecot() as dovecot,
        ledger_of(folder) as ledger,
    ):
        Path(folder, "mailboxes.toml").write_text(
            f'[support]\nhost = "{dovecot.host}"\nport = {dovecot.port}\nsecurity = "none"\n'
            f'username = "bench"\npassword = "{PASSWORD}"\npoll_seconds = 1\n'
        )
        fill(dovecot, "bench", [mail(f"i{number}") for number in range(mails)])
        with part(folder, "mailboxes", "run") as (process, _):
            wait_for(ledger, 1)
            began, first = time.perf_counter(), held(ledger)
            wait_for(ledger, mails)
            seconds = time.perf_counter() - began
            before = memory(process.pid, "VmHWM")
            fill(dovecot, "bench", [mail(f"large{number}", large) for number in range(3)])
            wait_for(ledger, mails + 3)
            return {
                "mails_per_second": round((mails - first) / seconds, 1),
                "megabytes": before,
                "megabytes_with_large": memory(process.pid, "VmHWM"),
            }


def to_decision(rate: int, seconds: int, large: bytes) -> dict[str, Any]:
    """Return the milliseconds from `250` to the decision, under a steady rate."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, ledger_of(folder) as ledger:
        Path(folder, "rules.toml").write_text(RULES)
        with part(folder, "up", "--port", "0", "--smtp-port", str(port)):
            send(port, [mail(f"warm{number}") for number in range(10)])
            for warm in ledger.documents.list(VIEWER).items:  # by then the model is loaded
                _decided(ledger, warm.id)
            kept = _steadily(port, rate, seconds)
            waits = [_decided(ledger, document) - at for document, at in kept]
            send(port, [mail("large", large)])
            newest = ledger.documents.list(VIEWER, source="smtp").items[0]
            _decided(ledger, newest.id)
            return _quantiles(waits) | {
                "rate": rate,
                "mails": len(waits),
                "megabytes_with_large": _peaks(Path(folder, "run")),
            }


def _steadily(port: int, rate: int, seconds: int) -> list[tuple[str, float]]:
    """Send mails at a rate; return each one's document and when its `250` came."""
    kept = []
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        began = time.time()
        for number in range(rate * seconds):
            time.sleep(max(0.0, began + number / rate - time.time()))
            client.mail("anna@example.org")
            client.rcpt("support@example.org")
            _, answer = client.data(mail(f"d{number}"))
            kept.append((answer.decode().rpartition(" ")[2], time.time()))
    return kept


def _decided(ledger: Ledger, document_id: str) -> float:
    """Return when a document was decided, in seconds since 1970; waits for it."""
    until = time.monotonic() + 120
    while True:
        document = ledger.documents.get(document_id, VIEWER)
        if document.finished_at is not None:
            assert (document.outcome or {}).get("decision"), document.error
            return document.finished_at.timestamp()
        if time.monotonic() > until:
            raise TimeoutError(f"{document_id} was not decided")
        time.sleep(0.05)


def _quantiles(waits: list[float]) -> dict[str, float]:
    waits = sorted(waits)
    return {
        "milliseconds_p50": round(1000 * waits[len(waits) // 2], 1),
        "milliseconds_p95": round(1000 * waits[int(len(waits) * 0.95)], 1),
        "milliseconds_most": round(1000 * waits[-1], 1),
    }


def _peaks(folder: Path) -> dict[str, int]:
    """Return the most memory that a process of gateway and worker held, in megabytes."""
    peaks = {}
    for name in ("gateway", "worker"):
        pid = int((folder / f"{name}.pid").read_text().split()[0])
        peaks[name] = max(memory(one, "VmHWM") for one in _family(pid))
    return peaks


def _family(pid: int) -> list[int]:
    """Return a process and all below it."""
    below: list[str] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread that ended since it was listed
            below += path.read_text().split()
    return [pid, *(one for child in below for one in _family(int(child)))]


@click.command()
@click.option("--mails", default=1000, show_default=True)
@click.option("--rate", default=20, show_default=True, help="Mails a second that come.")
@click.option("--seconds", default=30, show_default=True, help="For so long.")
@click.option("--large", default=30_000_000, show_default=True, help="Bytes of an attachment.")
def main(mails: int, rate: int, seconds: int, large: int) -> None:
    """Print one JSON object."""
    body = os.urandom(large)
    figures = {
        "mails": mails,
        "large_bytes": large,
        "smtp": over_smtp(mails, body),
        "imap": over_imap(mails, body),
        "from_250_to_decision": to_decision(rate, seconds, body),
    }
    click.echo(json.dumps(figures))


if __name__ == "__main__":
    main()
