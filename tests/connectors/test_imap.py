"""Moving and flagging in a real mailbox: the mail that was read, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from imap_tools import MailBoxUnencrypted

from connectors import BadSettings, Permanent, Transient, build
from tests.connectors.conftest import parcel
from tests.connectors.dovecot import Dovecot, running_dovecot


def connector(dovecot: Dovecot, user: str, **settings: Any) -> Any:
    """Return the connector to an account."""
    return build({"connector": "imap"} | dovecot.settings(user) | settings)


def append(mailbox: MailBoxUnencrypted, number: int, folder: str = "INBOX") -> None:
    """Put a mail into a folder."""
    raw = f"From: a@example.com\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nhi\r\n"
    mailbox.append(raw.encode(), folder)


def mark_deleted(mailbox: MailBoxUnencrypted) -> None:
    """Mark the first mail as a person does who may change their mind."""
    assert mailbox.client.uid("STORE", "1", "+FLAGS", "(\\Deleted)")[0] == "OK"


def place(mailbox: MailBoxUnencrypted, uid: int, folder: str = "INBOX") -> dict[str, Any]:
    """Return where a mail lies, as intake notes it."""
    status = mailbox.folder.status(folder, ["UIDVALIDITY"])
    return {"folder": folder, "uidvalidity": status["UIDVALIDITY"], "uid": uid}


def subjects(mailbox: MailBoxUnencrypted, folder: str) -> list[str]:
    """Return the subjects in a folder."""
    mailbox.folder.set(folder, readonly=True)
    return [message.subject for message in mailbox.fetch(mark_seen=False)]


def test_the_mail_is_moved_and_the_others_stay(dovecot: Dovecot) -> None:
    """People look where the mail was put; what they marked themselves must stay as it was."""
    with dovecot.mailbox("mover") as mailbox:
        for number in (1, 2, 3):
            append(mailbox, number)
        mark_deleted(mailbox)
        sent = parcel(
            mailbox=place(mailbox, 2), message_id="<2@x>", action={"move": "Büro/Rechnungen"}
        )
        assert connector(dovecot, "mover").send(sent).detail == "Moved."
        assert subjects(mailbox, "INBOX") == ["1", "3"]
        assert subjects(mailbox, "Büro.Rechnungen") == ["2"]
        # the answer was lost, and it is asked again
        assert connector(dovecot, "mover").send(sent).detail == "It was there already."
        assert subjects(mailbox, "Büro.Rechnungen") == ["2"]


def test_without_move_and_uidplus_nothing_else_is_expunged() -> None:
    """A plain EXPUNGE would delete what a person had only marked."""
    capabilities = "imap_capability = IMAP4rev1 LITERAL+ UIDPLUS\n"
    for extra, left in ((capabilities, ["1"]), (capabilities.replace(" UIDPLUS", ""), ["1", "2"])):
        with (
            running_dovecot(f"protocol imap {{\n{extra}}}\n") as server,
            server.mailbox("old") as mailbox,
        ):
            append(mailbox, 1)
            append(mailbox, 2)
            mark_deleted(mailbox)
            sent = parcel(mailbox=place(mailbox, 2), action={"move": "Done"})
            connector(server, "old").send(sent)
            assert subjects(mailbox, "Done") == ["2"]
            assert subjects(mailbox, "INBOX") == left


def test_flags_and_keywords_are_set(dovecot: Dovecot) -> None:
    """Some teams sort by flag and not by folder; what a person deleted stays theirs to undelete."""
    with dovecot.mailbox("flagger") as mailbox:
        append(mailbox, 1)
        sent = parcel(mailbox=place(mailbox, 1), action={"flag": ["\\Flagged", "Billing"]})
        append(mailbox, 2)
        mailbox.folder.set("INBOX")
        mailbox.client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
        connector(dovecot, "flagger").send(sent)
        connector(dovecot, "flagger").send(sent)
        mailbox.folder.set("INBOX", readonly=True)
        message, _ = mailbox.fetch(mark_seen=False)
        assert set(message.flags) - {"\\Recent"} == {"\\Flagged", "Billing"}


def test_a_uid_that_names_another_mail_now_is_not_touched(dovecot: Dovecot) -> None:
    """A mailbox restored from a backup numbers anew: the wrong customer's mail would move."""
    with dovecot.mailbox("restored") as mailbox:
        for number in (1, 2):
            append(mailbox, number)
        stale = place(mailbox, 1) | {"uidvalidity": 1}
        moved = connector(dovecot, "restored", move_to="Sorted/{queue}")
        moved.send(parcel(mailbox=stale, message_id="<2@x>", queue="billing"))
        assert subjects(mailbox, "INBOX") == ["1"]
        assert subjects(mailbox, "Sorted.billing") == ["2"]
        for mistaken in (
            parcel(mailbox=place(mailbox, 1), message_id="<9@x>", queue="billing"),
            parcel(mailbox=stale, queue="billing"),
        ):
            with pytest.raises(Permanent, match="no longer"):
                moved.send(mistaken)
        assert subjects(mailbox, "INBOX") == ["1"]


def test_what_cannot_be_done_is_told_apart_from_what_can_later(dovecot: Dovecot) -> None:
    """A wrong password needs a person; a server that is away needs a minute."""
    with dovecot.mailbox("errors") as mailbox:
        append(mailbox, 1)
        here = place(mailbox, 1)
    sent = parcel(mailbox=here, action={"move": "X"})
    with pytest.raises(Permanent, match="sign-in"):
        connector(dovecot, "errors", password="wrong").send(sent)
    with pytest.raises(Transient):
        connector(dovecot, "errors", port=1).send(sent)
    with pytest.raises(Transient):
        connector(dovecot, "errors", security="tls", seconds=2).send(sent)
    with pytest.raises(Permanent, match="no folder"):
        connector(dovecot, "errors", create=False).send(sent)
    with pytest.raises(Permanent, match="does not come from"):
        connector(dovecot, "errors").send(parcel(action={"move": "X"}))
    with pytest.raises(Permanent, match="Nothing was asked"):
        connector(dovecot, "errors").send(parcel(mailbox=here))
    with pytest.raises(Permanent, match="Flags are"):
        connector(dovecot, "errors").send(parcel(mailbox=here, action={"flag": ["\\Deleted"]}))
    with pytest.raises(BadSettings):
        connector(dovecot, "errors", token="t")
