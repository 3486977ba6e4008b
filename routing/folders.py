"""Folders of a mailbox: which ones people sort into, and which a mail program fills by itself."""

from __future__ import annotations

# Mail that was sent, put away or thrown away, or all of it once more, by the names programs use
KEPT = frozenset(
    {"all mail", "archive", "deleted items", "deleted messages", "drafts", "outbox", "sent"}
    | {"sent items", "sent messages", "trash"}
)
JUNK = frozenset({"junk", "junk e-mail", "junk email", "spam"})
# Where mail arrives, and labels that say what was done with it
ARRIVED = frozenset({"important", "inbox", "opened", "starred", "unread"})


def is_read(folder: str) -> bool:
    """Say whether a folder, its levels divided by `/`, holds mail that somebody is to answer."""
    return _name(folder) not in KEPT | JUNK


def is_label(folder: str) -> bool:
    """Say whether people put mail there because of what it is; junk is such a word of theirs."""
    return _name(folder) not in KEPT | ARRIVED


def is_arrived(folder: str) -> bool:
    """Say whether mail lies there because it came, and nobody has said yet what it is."""
    return _name(folder) in ARRIVED


def _name(folder: str) -> str:
    return folder.rpartition("/")[2].casefold()
