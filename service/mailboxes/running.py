"""The process that reads mailboxes: `mailroom mailboxes run`."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog

from ledger import Ledger
from service import access
from service.mail.limits import Limits
from service.mailboxes.accounts import Account, accounts_file, find_account, read_accounts
from service.mailboxes.connection import Connection, Gone, connected
from service.mailboxes.reader import Bell, Reader
from service.mailboxes.signing import Vault
from service.mailboxes.watch import Watch, watch
from settings import Settings
from workers.client import Client, NoAddress, broker_url, loop_key

log = structlog.get_logger(__name__)

MOST_LYING = 5_000  # mails of a folder that training looks at


def accounts_of(settings: Settings) -> list[Account]:
    """Return the accounts of the data folder; raises BadAccounts."""
    return read_accounts(accounts_file(settings.data_dir))


def make_vault(settings: Settings, ledger: Ledger) -> Vault:
    """Return what keeps secrets, under this installation's key."""
    return Vault(ledger, access.installation_key(settings))


def make_reader(settings: Settings, account: Account, ledger: Ledger, bell: Bell | None) -> Reader:
    """Return what takes an account's mail, with the limits of the gateway."""
    return Reader(
        account,
        ledger,
        mail_bytes=settings.smtp_bytes,
        hops=Limits().hops,
        bell=bell,
        loop_key=loop_key(settings),
    )


@contextmanager
def signed_in(settings: Settings, account: Account, ledger: Ledger) -> Iterator[Connection]:
    """Yield a connection to an account; raises MailboxError."""
    vault = make_vault(settings, ledger)
    token = vault.access_token(account) if account.is_authorized else ""
    password = "" if account.is_authorized else vault.password(account)
    with connected(
        account, password=password, token=token, mail_bytes=settings.smtp_bytes
    ) as connection:
        yield connection


def lying(settings: Settings, name: str, ledger: Ledger) -> Iterator[tuple[str, bytes]]:
    """Yield (folder, raw mail) of an account, the latest MOST_LYING of each folder.

    Nothing is kept and nothing there is changed. Raises MailboxError.
    """
    account = find_account(accounts_of(settings), name)
    with signed_in(settings, account, ledger) as connection:
        for folder in connection.folders(account):
            place = connection.open(folder)
            uids = [uid for some in connection.uids(place, 0) for uid in some]
            for uid in uids[-MOST_LYING:]:
                with suppress(Gone):  # moved or deleted meanwhile
                    yield folder, connection.fetch(uid)


def run(settings: Settings, ledger: Ledger, *, ready: Callable[[], None]) -> None:
    """Read every account until SIGTERM or SIGINT; raises BadAccounts.

    Without a broker mail is kept all the same: the scheduler rings.
    """
    accounts = accounts_of(settings)
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        bell: Client | None = Client(broker_url(settings))
    except NoAddress:
        bell = None
        log.warning("mailboxes_without_broker")
    vault, holder = make_vault(settings, ledger), f"{socket.gethostname()} {os.getpid()}"
    watches = [
        Watch(
            make_reader(settings, account, ledger, bell),
            ledger,
            vault,
            holder=holder,
            mail_bytes=settings.smtp_bytes,
            stopped=stopped,
        )
        for account in accounts
    ]
    log.info("mailboxes_watched", accounts=[account.name for account in accounts])
    try:
        watch(watches, stopped, ready)
    finally:
        if bell is not None:
            bell.close()
