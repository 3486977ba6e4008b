"""A signed-in connection to a mail server that only ever looks.

What goes wrong becomes one of our errors. Answers are bounded: a server that announces more bytes
than a mail may have is hung up on before they are read.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.utils import encode_folder

from service.mailboxes.accounts import Account
from service.mailboxes.errors import (
    BadCertificate,
    MailboxUnreachable,
    SignInRefused,
)

SECONDS = 60.0  # that the server may take for one answer
OVERHEAD_BYTES = 2_000_000  # of an answer beyond the mail in it
WINDOW = 5_000  # UIDs that are asked about at once

_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')


class Gone(Exception):
    """The mail is no longer where it was."""


class TooLargeAnswer(imaplib.IMAP4.abort):
    """The server announced more than we read; the connection is of no more use."""


@dataclass(frozen=True)
class Place:
    """A folder as it stands: its UIDs mean what they did while `uidvalidity` is the same."""

    name: str
    uidvalidity: int
    uidnext: int | None


@dataclass(frozen=True)
class Found:
    """What the server tells of a mail before it is fetched; `arrived` is when it came there."""

    uid: int
    size: int
    arrived: datetime | None
    header: bytes


class Connection:
    """A mailbox opened for looking."""

    def __init__(self, mailbox: BaseMailBox, *, mail_bytes: int) -> None:
        self._mailbox = mailbox
        self._client = mailbox.client
        read = self._client.read

        def bounded(size: int) -> bytes:
            if size > mail_bytes + OVERHEAD_BYTES:
                raise TooLargeAnswer(f"the server announced {size:,} bytes")
            return read(size)

        self._client.read = bounded  # type: ignore[method-assign]
        _, said = self._client.capability()
        self.can_idle = b" IDLE" in b" " + (said[-1] or b"").upper()

    def folders(self, account: Account) -> list[str]:
        """Return the folders of which mail is wanted, INBOX first."""
        wanted = [
            folder.name
            for folder in self._mailbox.folder.list()
            if account.wants(folder.name, folder.flags, folder.delim)
        ]
        return sorted(wanted, key=lambda name: (name.upper() != "INBOX", name))

    def look(self, folder: str) -> Place:
        """Return how a folder stands, without opening it."""
        name: Any = encode_folder(folder)
        status, said = self._client.status(name, "(UIDVALIDITY UIDNEXT)")
        line = b" ".join(part for part in said if isinstance(part, bytes))
        found = dict(re.findall(rb"(UIDVALIDITY|UIDNEXT) (\d+)", line))
        if status != "OK" or b"UIDVALIDITY" not in found:
            return self.open(folder)
        uidnext = found.get(b"UIDNEXT")
        return Place(folder, int(found[b"UIDVALIDITY"]), None if uidnext is None else int(uidnext))

    def open(self, folder: str) -> Place:
        """Open a folder with EXAMINE (nothing in it can change) and return how it stands."""
        name: Any = encode_folder(folder)
        status, _ = self._client.select(name, readonly=True)
        if status != "OK":
            raise Gone(folder)
        return Place(folder, self._number("UIDVALIDITY") or 0, self._number("UIDNEXT"))

    def uids(self, place: Place, after: int) -> Iterator[list[int]]:
        """Yield the open folder's UIDs beyond `after`, in order, some thousand at a time."""
        if place.uidnext is None:
            yield [uid for uid in self._search(f"UID {after + 1}:*") if uid > after]
            return
        for start in range(after + 1, place.uidnext, WINDOW):
            stop = min(start + WINDOW, place.uidnext) - 1
            found = [uid for uid in self._search(f"UID {start}:{stop}") if start <= uid <= stop]
            if found:
                yield found

    def first_since(self, days: int) -> int | None:
        """Return the lowest UID of the open folder that came in the last days, if any did."""
        day = (datetime.now(UTC) - timedelta(days=days)).strftime("%d-%b-%Y")
        found = self._search(f"SINCE {day}")
        return min(found) if found else None

    def peek(self, uids: Sequence[int]) -> list[Found]:
        """Return what is known of these mails and their headers; one that is gone is left out."""
        numbers = ",".join(str(uid) for uid in uids)
        answer = self._fetch(numbers, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])")
        wanted, found = set(uids), {}
        for told, header in _literals(answer):
            uid, size = _UID.search(told), _SIZE.search(told)
            if uid and size and int(uid[1]) in wanted:
                found[int(uid[1])] = Found(int(uid[1]), int(size[1]), _arrived(told), header)
        return [found[uid] for uid in uids if uid in found]

    def fetch(self, uid: int) -> bytes:
        """Return a mail as it lies there; raises Gone."""
        for told, raw in _literals(self._fetch(str(uid), "(UID BODY.PEEK[])")):
            named = _UID.search(told)
            if named and int(named[1]) == uid:
                return raw
        raise Gone(str(uid))

    def wait(self, seconds: float) -> bool:
        """Wait in IDLE until the server says something of the open folder; True when it did."""
        with self._mailbox.idle as idle:
            return bool(idle.poll(timeout=seconds))

    def _search(self, criteria: str) -> list[int]:
        status, said = self._client.uid("SEARCH", criteria)
        if status != "OK":
            raise imaplib.IMAP4.error(f"SEARCH was refused: {status}")
        words = b" ".join(part for part in said if isinstance(part, bytes)).split()
        return sorted(int(word) for word in words if word.isdigit())

    def _fetch(self, uids: str, what: str) -> list[Any]:
        status, said = self._client.uid("FETCH", uids, what)
        if status != "OK":
            raise imaplib.IMAP4.error(f"FETCH was refused: {status}")
        return list(said)

    def _number(self, name: str) -> int | None:
        _, values = self._client.response(name)
        value = values[-1] if values else None
        return int(value) if value and bytes(value).isdigit() else None


@contextmanager
def connected(
    account: Account, *, password: str = "", token: str = "", mail_bytes: int
) -> Iterator[Connection]:
    """Yield a signed-in connection; raises one of our errors for what goes wrong inside."""
    mailbox: BaseMailBox | None = None
    try:
        mailbox = _connect(account)
        if token:
            mailbox.xoauth2(account.username, token, initial_folder=None)
        else:
            mailbox.login_utf8(account.username, password, initial_folder=None)
        yield Connection(mailbox, mail_bytes=mail_bytes)
    except MailboxLoginError as error:
        raise SignInRefused(f"{account.host} refused the sign-in of {account.username}.") from error
    except ssl.SSLCertVerificationError as error:
        raise BadCertificate(
            f"{account.host} has no certificate that can be trusted ({error.verify_message})."
        ) from error
    except imaplib.IMAP4.abort as error:
        raise MailboxUnreachable(f"{account.host} closed the connection.") from error
    except imaplib.IMAP4.error as error:
        if "AUTHENTICATIONFAILED" in str(error).upper():
            raise SignInRefused(f"{account.host} refused the sign-in.") from error
        raise MailboxUnreachable(f"{account.host} refused what was asked.") from error
    except (ImapToolsError, OSError) as error:
        raise MailboxUnreachable(
            f"{account.host}:{account.port} does not answer as a mail server does "
            f"({type(error).__name__})."
        ) from error
    finally:
        if mailbox is not None:
            with suppress(imaplib.IMAP4.error, ImapToolsError, OSError, AttributeError):
                mailbox.logout()


def _connect(account: Account) -> BaseMailBox:
    if account.security == "none":
        return MailBoxUnencrypted(account.host, account.port, timeout=SECONDS)
    context = ssl.create_default_context(cafile=account.ca_file or None)
    kind = MailBox if account.security == "tls" else MailBoxStartTls
    return kind(account.host, account.port, timeout=SECONDS, ssl_context=context)


def _literals(answer: Sequence[Any]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (what was told beside it, literal) for each mail of an answer to FETCH.

    Items may stand before or after the literal: what follows up to the next one belongs to it.
    """
    for index, part in enumerate(answer):
        if isinstance(part, tuple) and len(part) == 2:
            after = answer[index + 1] if index + 1 < len(answer) else b""
            tail = after if isinstance(after, bytes) else b""
            yield part[0] + b" " + tail, part[1]


def _arrived(told: bytes) -> datetime | None:
    found = _DATE.search(told)
    if found is None:
        return None
    try:
        text = found[1].decode("ascii").strip()
        return datetime.strptime(text, "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
