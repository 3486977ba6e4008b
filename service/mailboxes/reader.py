"""Takes what is new in the folders of an account into the ledger, mail by mail.

A mail is committed before its folder's cursor moves past it, so a crash makes us look again at
mails the ledger knows already: they are the same documents. A mail that cannot be taken is set
aside with the reason, and the next one is read.
"""

from __future__ import annotations

import imaplib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from intake.mail.glance import headers, hops, name_of
from intake.mail.sameness import mail_key, mail_mark
from ledger import Ledger
from ledger.errors import LedgerError
from ledger.mailboxes import Seen
from routing import loops
from service.mailboxes.accounts import Account
from service.mailboxes.connection import Connection, Found, Gone, Place
from service.mailboxes.signing import keeper

log = structlog.get_logger(__name__)

QUEUE = "interactive"
GROUP = 50  # mails whose headers are fetched together, and after which the cursor moves
HISTORY_PRIORITY = 7  # of what lay there before: behind what comes now
PRIORITY = 5
_LOST_TWICE = 2  # times that the connection may end on one mail before that mail is set aside


class Bell(Protocol):
    """What wakes the workers."""

    def ring(self, queue: str) -> bool:
        """Say that work waits on a queue."""


class Reader:
    """One account's mail; lives as long as its process and outlives its connections."""

    def __init__(
        self,
        account: Account,
        ledger: Ledger,
        *,
        mail_bytes: int,
        hops: int,
        bell: Bell | None = None,
        loop_key: bytes = b"",
    ) -> None:
        self.account = account
        self._ledger = ledger
        self._viewer = keeper(account)
        self._mail_bytes = mail_bytes
        self._hops = hops
        self._bell = bell
        self._loop_key = loop_key
        self._losses: Counter[tuple[str, int, int]] = Counter()

    def read(self, connection: Connection, *, go_on: Callable[[], bool] = lambda: True) -> int:
        """Take what is new in every folder; return how many mails became documents.

        `go_on` is asked before each group of mails: a long history must not outlive a lease.
        Raises LedgerError when the ledger takes no more now: the cursor stands before the mail.
        """
        taken = 0
        for folder in connection.folders(self.account):
            try:
                taken += self._read_folder(connection, folder, go_on)
            except Gone:  # renamed or deleted since it was listed
                log.info("folder_gone", account=self.account.name)
        return taken + self._try_again(connection)

    def _read_folder(self, connection: Connection, folder: str, go_on: Callable[[], bool]) -> int:
        seen = connection.look(folder)
        cursor = self._ledger.mailboxes.cursor(self.account.name, folder, self._viewer)
        known = cursor is not None and cursor.uidvalidity == seen.uidvalidity
        if cursor is not None and known and seen.uidnext == cursor.last_uid + 1:
            return 0
        place = connection.open(folder)
        is_history = cursor is None
        last = cursor.last_uid if cursor is not None and known else 0
        if is_history:
            last = self._before_first(connection, place)
            self._advance(place, last, waiting=0)
        taken, waiting = 0, None
        for uids in connection.uids(place, last):
            waiting = len(uids) if waiting is None else waiting
            for start in range(0, len(uids), GROUP):
                if not go_on():
                    return taken
                group = uids[start : start + GROUP]
                left = len(uids) - start - len(group)
                taken += self._take_group(connection, place, group, left, is_history=is_history)
        return taken

    def _before_first(self, connection: Connection, place: Place) -> int:
        """Return the UID behind which the first look begins: so many days back."""
        newest = (place.uidnext or 1) - 1
        if self.account.days == 0:
            return newest
        first = connection.first_since(self.account.days)
        return newest if first is None else first - 1

    def _take_group(
        self,
        connection: Connection,
        place: Place,
        uids: Sequence[int],
        left: int,
        *,
        is_history: bool,
    ) -> int:
        found = connection.peek(uids)
        marks = {mail.uid: mail_mark(mail.header, mail.size) for mail in found}
        wanted = [mark for mark in marks.values() if mark is not None]
        known = self._ledger.mailboxes.recognise(wanted, self._viewer)
        seen: list[Seen] = []
        try:
            for mail in found:
                mark = marks[mail.uid]
                if mark is not None and mark in known:
                    seen.append(_known(mail, known[mark], mark))
                else:
                    seen.append(self._take(connection, place, mail, mark, is_history=is_history))
        except BaseException:
            # what was taken before the fault is written down; the rest comes again
            if seen:
                self._advance(place, seen[-1].uid, waiting=left + len(uids) - len(seen), seen=seen)
            raise
        lag = _lag(found) if not is_history else None
        self._advance(place, uids[-1], waiting=left, seen=seen, lag_seconds=lag)
        fresh = [
            mail for mail in seen if mail.document_id and mail.document_id not in known.values()
        ]
        if fresh and self._bell is not None:
            self._bell.ring(QUEUE)
        return len(fresh)

    def _take(
        self,
        connection: Connection,
        place: Place,
        mail: Found,
        mark: str | None,
        *,
        is_history: bool = False,
    ) -> Seen:
        """Return what became of one mail: a document, or an error that people see."""
        name = name_of(mail.header)
        seen = Seen(uid=mail.uid, mark=mark, name=name, size=mail.size)
        if mail.size > self._mail_bytes:
            return replace(seen, error=_error("too_large", f"over {self._mail_bytes:,} bytes"))
        lost = (place.name, place.uidvalidity, mail.uid)
        if self._losses[lost] >= _LOST_TWICE:
            return replace(seen, error=_error("not_fetched", "the connection ended on it twice"))
        try:
            raw = connection.fetch(mail.uid)
        except imaplib.IMAP4.abort:
            self._losses[lost] += 1
            raise
        except (imaplib.IMAP4.error, Gone):
            return replace(seen, error=_error("not_fetched", "the server did not give it"))
        if not raw:
            return replace(seen, error=_error("empty", "the server gave a mail of no bytes"))
        if hops(raw) > self._hops:
            return replace(seen, error=_error("too_many_hops", "it goes in circles"))
        try:
            document_id = self._keep(place, mail, raw, name, is_history=is_history)
        except LedgerError:
            raise
        except Exception as error:
            log.exception("mail_not_kept", account=self.account.name, uid=mail.uid)
            return replace(seen, error=_error("not_kept", type(error).__name__))
        return replace(seen, document_id=document_id)

    def _keep(self, place: Place, mail: Found, raw: bytes, name: str, *, is_history: bool) -> str:
        """Commit a mail and return its document; known through another door, it is that one."""
        arrived = mail.arrived or datetime.now(UTC)
        where: dict[str, Any] = {
            "account": self.account.name,
            "folder": place.name,
            "uidvalidity": place.uidvalidity,
            "uid": mail.uid,
        }
        envelope: dict[str, Any] = {"mailbox": where, "received_at": arrived.isoformat()}
        if self._loop_key and loops.is_ours(headers(raw), self._loop_key):
            envelope["ours"] = True
        document = self._ledger.documents.accept(
            raw,
            viewer=self._viewer,
            source="imap",
            kind="email",
            name=name,
            media_type="message/rfc822",
            queue=QUEUE,
            priority=HISTORY_PRIORITY if is_history else PRIORITY,
            idempotency_key=mail_key(raw, received_at=arrived),
            envelope=envelope,
            any_body=True,
        )
        return document.id

    def _try_again(self, connection: Connection) -> int:
        """Take what people asked to have tried again."""
        taken = 0
        for aside in self._ledger.mailboxes.to_try(self.account.name, self._viewer):
            try:
                place = connection.open(aside.folder)
                found = connection.peek([aside.uid])
            except Gone:
                place, found = Place(aside.folder, aside.uidvalidity, None), []
            self._losses.pop((aside.folder, aside.uidvalidity, aside.uid), None)
            if place.uidvalidity != aside.uidvalidity or not found:
                words = "it is no longer where it was"
                mail = Seen(
                    uid=aside.uid, name=aside.name, size=aside.size, error=_error("gone", words)
                )
                place = Place(aside.folder, aside.uidvalidity, None)
            else:
                mark = mail_mark(found[0].header, found[0].size)
                mail = self._take(connection, place, found[0], mark)
                taken += mail.document_id is not None
            cursor = self._ledger.mailboxes.cursor(self.account.name, aside.folder, self._viewer)
            if cursor is not None:
                self._advance(
                    Place(aside.folder, aside.uidvalidity, None),
                    cursor.last_uid,
                    waiting=cursor.waiting,
                    seen=[mail],
                )
        if taken and self._bell is not None:
            self._bell.ring(QUEUE)
        return taken

    def _advance(self, place: Place, last_uid: int, *, waiting: int, **said: Any) -> None:
        self._ledger.mailboxes.advance(
            self.account.name,
            place.name,
            self._viewer,
            uidvalidity=place.uidvalidity,
            last_uid=last_uid,
            waiting=waiting,
            **said,
        )


def _known(mail: Found, document_id: str, mark: str) -> Seen:
    """Return a mail that is in the ledger already and was now seen here."""
    return Seen(uid=mail.uid, document_id=document_id, mark=mark, size=mail.size)


def _lag(found: Sequence[Found]) -> float | None:
    """Return how long ago the newest of these came."""
    arrived = [mail.arrived for mail in found if mail.arrived is not None]
    return max(0.0, (datetime.now(UTC) - max(arrived)).total_seconds()) if arrived else None


def _error(code: str, words: str) -> dict[str, str]:
    return {"code": code, "message": f"This mail was not taken: {words}."}
