"""A thousand mails over SMTP and IMAP while everything that takes them is killed."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ledger import Document
from tests.connectors.conftest import Receiver
from tests.connectors.dovecot import PASSWORD, Dovecot
from tests.connectors.test_delivery import destinations, webhook
from tests.mailboxes.conftest import VIEWER, mail
from tests.workers.installation import Installation, Program
from tests.workers.waiting import eventually

pytestmark = pytest.mark.slow

EACH_WAY = 500
SENDERS = 4
RULES = """
[[rule]]
name = "Everything"
when.kind = "email"
then.queue = "all"
then.send = ["hook"]
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where the deliveries go."""
    receiver = Receiver()
    yield receiver
    receiver.close()


class Doors:
    """An installation with its doors and workers, each of which can be killed and comes back."""

    def __init__(self, folder: Path, dovecot: Dovecot, receiver: Receiver) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.mailroom = Installation(folder, smtp_port=self.port, lease_seconds=20, task_seconds=15)
        destinations(self.mailroom, webhook(receiver))
        (folder / "rules.toml").write_text(RULES)
        (folder / "mailboxes.toml").write_text(
            f'[support]\nhost = "{dovecot.host}"\nport = {dovecot.port}\nsecurity = "none"\n'
            f'username = "thousand"\npassword = "{PASSWORD}"\npoll_seconds = 1\n'
        )
        self.commands = {
            "gateway": ("gateway",),
            "mailboxes": ("mailboxes", "run"),
            "worker": ("worker", "--queues", "interactive"),
            "courier": ("worker", "--queues", "delivery"),
            "scheduler": ("scheduler",),
        }
        self.programs: dict[str, Program] = {}
        for name in self.commands:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a part."""
        self.programs[name] = self.mailroom.run(*self.commands[name])

    def kill(self, name: str) -> None:
        """Kill a part as the machine's end would, and start it again."""
        if name == "broker":
            self.mailroom.broker.stop()
            self.mailroom.broker.start()
            return
        self.programs[name].kill()
        self.start(name)

    def send(self, numbers: range) -> None:
        """Send mails over SMTP, each until the gateway says 250, as a mail server does."""
        for number in numbers:
            while not self._accepted(mail(f"over smtp {number}")):
                time.sleep(0.05)

    def _accepted(self, raw: bytes) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
                client.sendmail("anna@example.org", ["support@example.org"], raw)
        except (OSError, smtplib.SMTPException):
            return False
        return True

    def count(self) -> int:
        """Return how many mails are in the ledger."""
        return sum(self.mailroom.ledger.documents.counts(VIEWER).values())

    def has(self, number: int) -> bool:
        """Say whether so many mails are there."""
        return self.count() >= number

    def kept(self) -> list[Document]:
        """Return every mail in the ledger."""
        found: list[Document] = []
        after = None
        while True:
            page = self.mailroom.ledger.documents.list(VIEWER, limit=200, after=after)
            found += page.items
            after = page.after
            if after is None:
                return found


def put_all(dovecot: Dovecot) -> None:
    """Let mails come into the mailbox one after the other."""
    with dovecot.mailbox("thousand") as mailbox:
        for number in range(EACH_WAY):
            mailbox.append(mail(f"over imap {number}"), "INBOX")


def test_each_is_kept_decided_and_delivered_once(
    tmp_path: Path, dovecot: Dovecot, receiver: Receiver
) -> None:
    """The promise on which an administrator lets it near the support mailbox."""
    doors = Doors(tmp_path, dovecot, receiver)
    try:
        share = EACH_WAY // SENDERS
        clients = [
            threading.Thread(target=doors.send, args=(range(start, start + share),))
            for start in range(0, EACH_WAY, share)
        ]
        clients.append(threading.Thread(target=put_all, args=(dovecot,)))
        for client in clients:
            client.start()
        victims = ("gateway", "worker", "mailboxes", "broker", "courier", "gateway", "worker")
        for number, victim in enumerate(victims, 1):
            eventually(partial(doors.has, 120 * number), what=f"stuck at {number}")
            doors.kill(victim)
        for client in clients:
            client.join()

        wanted = 2 * EACH_WAY
        eventually(lambda: doors.count() == wanted, what="not all are kept")
        done = doors.mailroom.ledger.documents.counts
        eventually(lambda: done(VIEWER).get("done") == wanted, seconds=180, what="not all read")
        documents = doors.kept()
        assert {document.state for document in documents} == {"done"}
        assert len({document.name for document in documents}) == wanted
        assert {doors.mailroom.results_of(document) for document in documents} == {1}

        def delivered() -> Counter[str]:
            return Counter(request.headers["webhook-id"] for request in list(receiver.received))

        eventually(lambda: len(delivered()) == wanted, seconds=180, what="not all delivered")
        # one that was on its way when its sender was killed may come again, under the same id
        again = [count for count in delivered().values() if count > 1]
        assert len(again) <= 1
    finally:
        doors.mailroom.close()
