"""A real Dovecot, a ledger, and a reader between them."""

from __future__ import annotations

import email.policy
import hashlib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ledger import Document, Ledger, Viewer, open_ledger
from service.mailboxes.accounts import Account
from service.mailboxes.connection import connected
from service.mailboxes.reader import Reader
from tests.connectors.dovecot import PASSWORD, Dovecot, running_dovecot

VIEWER = Viewer(actor="test")
MAIL_BYTES = 200_000


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A server whose users need no making."""
    with running_dovecot() as server:
        yield server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", str(tmp_path / "files"))
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def account(dovecot: Dovecot, request: pytest.FixtureRequest) -> Account:
    """An account of this test's own."""
    user = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    return account_of(dovecot, user)


def account_of(dovecot: Dovecot, user: str, **options: Any) -> Account:
    """Return settings for a user of the server."""
    values = {"name": "support", "password": PASSWORD, "poll_seconds": 1, **options}
    return Account(host=dovecot.host, port=dovecot.port, security="none", username=user, **values)


def mail(subject: str, body: str = "Could you send the invoice?", **headers: str) -> bytes:
    """Return a mail with a Message-ID made of its subject."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "anna@example.org"
    message["To"] = "support@example.org"
    message["Date"] = "Mon, 23 Nov 2026 10:00:00 +0000"
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '.')}@example.org>"
    for name, value in headers.items():
        del message[name]
        if value:
            message[name] = value
    message.set_content(body)
    return message.as_bytes()


def put(dovecot: Dovecot, user: str, raw: bytes, folder: str = "INBOX") -> None:
    """Put a mail into a folder, which is made where it is not there."""
    with dovecot.mailbox(user) as mailbox:
        if not mailbox.folder.exists(folder):
            mailbox.folder.create(folder)
        mailbox.append(raw, folder)


@pytest.fixture
def look(ledger: Ledger) -> Callable[..., int]:
    """Return a function that looks once, as a new process does."""

    def once(account: Account, reader: Reader | None = None) -> int:
        reader = reader or Reader(account, ledger, mail_bytes=MAIL_BYTES, hops=50)
        with connected(account, password=account.password, mail_bytes=MAIL_BYTES) as connection:
            return reader.read(connection)

    return once


def taken(ledger: Ledger) -> list[Document]:
    """Return every mail in the ledger, oldest first."""
    return ledger.documents.list(VIEWER, limit=200).items[::-1]
