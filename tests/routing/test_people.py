"""Where people say that a mail belongs: the last of their words that says something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from routing.people import Folders, Placed, word

MORNING = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


def said(how: str, value: str, hours: float) -> Placed:
    """Return a word of somebody's, so many hours after the morning."""
    return Placed(how=how, value=value, at=MORNING + timedelta(hours=hours), by="ann")


@pytest.fixture
def folders() -> Folders:
    """An installation with two queues, one of them kept under another name in the mailbox."""
    return Folders(["billing", "it_support"], {"INBOX/Rechnungen": "billing"})


@pytest.mark.parametrize(
    ("folder", "queue"),
    [
        ("INBOX/Rechnungen", "billing"),
        ("INBOX.Billing", "billing"),
        ("IT Support", "it_support"),
        ("INBOX/Team/it-support", "it_support"),
        ("INBOX", None),
        ("[Gmail]/All Mail", None),
        ("Gelöschte Elemente", None),
        ("Birthdays", None),
    ],
)
def test_a_folder_stands_for_a_queue(folders: Folders, folder: str, queue: str | None) -> None:
    """Servers spell folders each in their own way; a folder nobody named is no answer."""
    assert folders.queue(folder) == queue


def test_folders_that_are_not_known_are_told(folders: Folders) -> None:
    """A hundred mails that fall out of the report unseen make it look better than it is."""
    for folder in ("Birthdays", "Birthdays", "INBOX", "Trash"):
        folders.queue(folder)
    assert folders.unknown == {"Birthdays": 2}


def test_the_last_word_counts(folders: Folders) -> None:
    """Somebody moves a mail, another corrects it on its page, and in the end it is archived."""
    moved = said("folder", "INBOX/Billing", 1)
    corrected = said("correction", "it_support", 2)
    archived = said("folder", "Archive", 3)
    found = word([corrected, archived, moved], folders)
    assert found is not None
    assert (found.queue, found.how, found.by) == ("it_support", "correction", "ann")
    elsewhere = word([corrected, said("folder", "Other/Rechnungen", 4)], folders)
    assert elsewhere == found  # another folder of that name is not the one that was named


def test_silence_is_no_word(folders: Folders) -> None:
    """A mail nobody touched agrees with nobody."""
    assert word([said("folder", "INBOX", 1)], folders) is None
    assert word([], folders) is None
