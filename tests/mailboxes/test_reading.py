"""What is new in a mailbox becomes documents, once, and the mailbox stays as it was."""

from __future__ import annotations

import imaplib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger import Ledger
from service.mailboxes import connection as connections
from service.mailboxes.accounts import Account
from service.mailboxes.connection import Connection
from service.mailboxes.errors import MailboxUnreachable, SignInRefused
from service.mailboxes.reader import GROUP, Reader
from tests.connectors.dovecot import Dovecot
from tests.mailboxes.conftest import MAIL_BYTES, VIEWER, account_of, mail, put, taken

Look = Callable[..., int]


def standing(dovecot: Dovecot, user: str) -> list[Any]:
    """Return everything a server tells of its folders and mails; looking changes none of it."""
    found: list[Any] = []
    with dovecot.mailbox(user) as mailbox:
        for folder in sorted(each.name for each in mailbox.folder.list()):
            status = mailbox.folder.status(folder)
            mailbox.client.select(folder, readonly=True)
            _, said = mailbox.client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE)")
            found.append((folder, status, said))
    return found


def test_looking_changes_nothing_on_the_server(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """A mail that is marked as read because we looked is one that a person never answers."""
    user = account.username
    for number in range(3):
        put(dovecot, user, mail(f"unread {number}"))
    put(dovecot, user, mail("sorted"), "Billing")
    before = standing(dovecot, user)
    assert look(account) == 4
    assert look(account) == 0
    after = standing(dovecot, user)
    assert after == before
    assert any("UNSEEN" in str(line) for line in before)


def test_bytes_are_kept_as_they_lie_there(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """An original that was changed on the way proves nothing any more."""
    raw = mail("exact", "Grüße 🛏\r\n\r\nFrom here on\r\n.\r\n")
    put(dovecot, account.username, raw)
    look(account)
    (document,) = taken(ledger)
    assert ledger.documents.original(document.id, VIEWER)[1] == raw
    assert document.source == "imap"
    assert document.envelope is not None
    assert document.envelope["mailbox"]["folder"] == "INBOX"


def test_a_mail_that_people_moved_is_the_same_document_seen_elsewhere(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """Without it a sorted mail would be read twice, and nobody learn where people put it."""
    user = account.username
    put(dovecot, user, mail("to be sorted"))
    look(account)
    with dovecot.mailbox(user) as mailbox:
        mailbox.folder.create("Billing")
        mailbox.move(mailbox.uids(), "Billing")
    look(account)
    (document,) = taken(ledger)
    seen = ledger.mailboxes.sightings(VIEWER, document_id=document.id)
    assert [one.folder for one in seen] == ["Billing", "INBOX"]


@pytest.mark.parametrize("lost", ["Message-ID", ""])
def test_one_mail_in_two_accounts_is_one_document(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look, lost: str
) -> None:
    """Two people in Bcc must not make two tickets, Message-ID or none."""
    raw = mail("to both", **({lost: ""} if lost else {}))
    other = account_of(dovecot, f"{account.username}-other", name="other")
    for each in (account, other):
        stamped = f"Delivered-To: {each.username}\r\n".encode() + raw
        put(dovecot, each.username, stamped)
        look(each)
    (document,) = taken(ledger)
    seen = ledger.mailboxes.sightings(VIEWER, document_id=document.id)
    assert {one.account for one in seen} == {"support", "other"}


def test_folders_numbered_anew_bring_nothing_twice(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """A restored server gives every mail a new UID: thousands would be read again."""
    user = account.username
    for number in range(3):
        put(dovecot, user, mail(f"old {number}"), "Team")
    look(account)
    with dovecot.mailbox(user) as mailbox:
        mailbox.folder.delete("Team")
    for number in range(4):
        put(dovecot, user, mail(f"old {number}"), "Team")
    assert look(account) == 1
    assert len(taken(ledger)) == 4


def test_one_bad_mail_is_set_aside_and_the_rest_is_read(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """A mailbox that stops at one mail is one where the next day's mail is lost."""
    user = account.username
    put(dovecot, user, mail("before"))
    put(dovecot, user, mail("huge", "x" * 70 + "\r\n" + "y" * (2 * MAIL_BYTES)))
    put(dovecot, user, mail("after"))
    assert look(account) == 2
    (aside,) = ledger.mailboxes.aside(VIEWER)
    assert (aside.name, aside.error["code"]) == ("huge", "too_large")
    ledger.mailboxes.try_again(aside.id, VIEWER)
    with connections.connected(
        account, password=account.password, mail_bytes=10 * MAIL_BYTES
    ) as connection:
        Reader(account, ledger, mail_bytes=10 * MAIL_BYTES, hops=50).read(connection)
    assert not ledger.mailboxes.aside(VIEWER)
    assert {document.name for document in taken(ledger)} == {"before", "huge", "after"}


def test_a_mail_that_ends_the_connection_is_set_aside_in_the_end(
    dovecot: Dovecot,
    account: Account,
    ledger: Ledger,
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that breaks on one mail would otherwise be asked for that mail for ever."""
    for name in ("before", "poison", "after"):
        put(dovecot, account.username, mail(name))
    reader = Reader(account, ledger, mail_bytes=MAIL_BYTES, hops=50)
    whole = Connection.fetch

    def broken(self: Connection, uid: int) -> bytes:
        if uid == 2:
            raise imaplib.IMAP4.abort("connection reset")
        return whole(self, uid)

    monkeypatch.setattr(Connection, "fetch", broken)
    for _ in range(2):
        with pytest.raises(MailboxUnreachable):
            look(account, reader)
    look(account, reader)
    assert {document.name for document in taken(ledger)} == {"before", "after"}
    assert [aside.name for aside in ledger.mailboxes.aside(VIEWER)] == ["poison"]


def test_more_mails_than_are_fetched_at_once(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """An off-by-one between two groups would lose a mail in fifty."""
    with dovecot.mailbox(account.username) as mailbox:
        for number in range(2 * GROUP + 1):
            mailbox.append(mail(f"many {number}"), "INBOX")
        mailbox.delete(mailbox.uids()[10:12])  # and holes in the numbers
    assert look(account) == 2 * GROUP - 1
    assert len({document.id for document in taken(ledger)}) == 2 * GROUP - 1


def test_only_what_comes_from_now_on(
    dovecot: Dovecot, account: Account, ledger: Ledger, look: Look
) -> None:
    """Who sets no history must not have ten years of mail read."""
    account = replace(account, days=0)
    put(dovecot, account.username, mail("old"))
    assert look(account) == 0
    put(dovecot, account.username, mail("new"))
    assert look(account) == 1


@pytest.mark.parametrize(
    ("folder", "patterns", "wanted"),
    [
        ("INBOX", (), True),
        ("Customers/Ünïcode & more", (), True),
        ("Sent", (), False),
        ("Customers/Trash", (), False),
        ("Customers/A", ("Customers/*",), True),
        ("Other", ("Customers/*",), False),
    ],
)
def test_which_folders_are_read(
    dovecot: Dovecot,
    account: Account,
    ledger: Ledger,
    look: Look,
    folder: str,
    patterns: tuple[str, ...],
    wanted: bool,
) -> None:
    """Drafts and bins are nobody's answer to where a mail belongs; names may be any language."""
    put(dovecot, account.username, mail("somewhere"), folder.replace("/", "."))
    assert look(replace(account, folders=patterns)) == int(wanted)


def test_a_wrong_password_is_said(account: Account, look: Look) -> None:
    """Trying it again and again would lock the account."""
    with pytest.raises(SignInRefused):
        look(replace(account, password="wrong"))
