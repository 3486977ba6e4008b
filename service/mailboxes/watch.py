"""Watches every account: one thread each, under a lease, so that two processes never both read.

IDLE where the server has it, else a look now and then. A server that does not answer is asked
again after a pause that grows.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from ledger import Ledger
from ledger.errors import LedgerError
from service.mailboxes.connection import Connection, connected
from service.mailboxes.errors import MailboxError, MailboxUnreachable
from service.mailboxes.reader import Reader
from service.mailboxes.signing import Vault, keeper

log = structlog.get_logger(__name__)

LEASE_SECONDS = 30.0  # after which another process goes on where one was killed
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
_TICK_SECONDS = 1.0  # in which a wait notices that it should stop


class Watch:
    """One account in a thread of its own."""

    def __init__(
        self,
        reader: Reader,
        ledger: Ledger,
        vault: Vault,
        *,
        holder: str,
        mail_bytes: int,
        stopped: threading.Event,
    ) -> None:
        self._reader = reader
        self._account = reader.account
        self._viewer = keeper(reader.account)
        self._ledger = ledger
        self._vault = vault
        self._holder = f"{holder} {threading.get_native_id()} {reader.account.name}"
        self._mail_bytes = mail_bytes
        self._stopped = stopped
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Read until told to stop; whatever goes wrong is reported and tried again."""
        while not self._stopped.is_set():
            try:
                if self._lease():
                    self._session()
            except (MailboxError, LedgerError) as error:
                self._report("failed", error)
                log.warning("mailbox_failed", account=self._account.name, reason=error.code)
            except Exception as error:
                log.exception("mailbox_failed", account=self._account.name)
                self._report("failed", MailboxUnreachable(f"A fault of ours: {error!r:.200}"))
            self._stopped.wait(self._pause * random.uniform(0.75, 1.25))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        try:
            self._ledger.mailboxes.release(self._account.name, self._viewer, holder=self._holder)
        except LedgerError as error:
            log.warning("mailbox_not_released", reason=error.code)

    def _session(self) -> None:
        """Read and wait over one connection until it ends or we are to stop."""
        self._report("connecting")
        account = self._account
        secret = (
            {"token": self._vault.access_token(account)}
            if account.is_authorized
            else {"password": self._vault.password(account)}
        )
        with connected(account, mail_bytes=self._mail_bytes, **secret) as connection:
            while self._goes_on():
                self._report("reading")
                self._reader.read(connection, go_on=self._goes_on)
                self._pause = FIRST_PAUSE
                self._report("listening" if connection.can_idle else "polling")
                self._wait(connection)

    def _wait(self, connection: Connection) -> None:
        """Wait for news, at most until the other folders are due for a look."""
        until = time.monotonic() + self._account.poll_seconds
        if not connection.can_idle:
            while time.monotonic() < until and not self._stopped.wait(_TICK_SECONDS):
                if self._is_asked() or not self._lease():
                    return
            return
        folders = connection.folders(self._account)
        if folders:
            connection.open(folders[0])
        while time.monotonic() < until and self._goes_on():
            left = max(0.1, min(until - time.monotonic(), 5 * _TICK_SECONDS))
            if connection.wait(left) or self._is_asked():
                return

    def _is_asked(self) -> bool:
        """Whether a person waits for another try of a mail."""
        return bool(self._ledger.mailboxes.to_try(self._account.name, self._viewer))

    def _goes_on(self) -> bool:
        """Renew the lease; False when it was lost or we are to stop."""
        return not self._stopped.is_set() and self._lease()

    def _lease(self) -> bool:
        return self._ledger.mailboxes.claim(
            self._account.name, self._viewer, holder=self._holder, lease_seconds=LEASE_SECONDS
        )

    def _report(self, state: str, error: MailboxError | LedgerError | None = None) -> None:
        detail = None if error is None else {"code": error.code, "message": str(error)}
        try:
            self._ledger.mailboxes.report(
                self._account.name,
                self._viewer,
                state=state,
                detail=detail,
                described=self._account.described(),
            )
        except LedgerError as reason:
            log.warning("mailbox_not_reported", reason=reason.code)


def watch(watches: Sequence[Watch], stopped: threading.Event, ready: Callable[[], None]) -> None:
    """Run every watch until `stopped`, and return when the last has ended."""
    threads = [threading.Thread(target=each.run, daemon=True) for each in watches]
    for thread in threads:
        thread.start()
    ready()
    stopped.wait()
    for thread in threads:
        thread.join(20)
