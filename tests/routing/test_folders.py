"""Which folders are read, and which of them say what people think of a mail."""

from __future__ import annotations

import pytest

from routing import folders


@pytest.mark.parametrize("folder", ["Sent", "Mail/Trash", "DRAFTS", "a/b/Deleted Items", "Archive"])
def test_what_a_program_fills_is_neither_read_nor_a_label(folder: str) -> None:
    """Our own answers would be answered, and a model would learn who pressed which button."""
    assert not folders.is_read(folder)
    assert not folders.is_label(folder)


def test_mail_is_read_where_it_arrives_and_that_is_no_label() -> None:
    """No mail would be read at all, or everything unsorted would be a queue called INBOX."""
    assert folders.is_read("INBOX")
    assert not folders.is_label("INBOX")


def test_junk_is_not_read_and_is_a_label() -> None:
    """Junk would be taken in; what people call junk is worth learning."""
    assert not folders.is_read("INBOX/Spam")
    assert folders.is_label("Spam")


@pytest.mark.parametrize("folder", ["Billing", "Sent/Billing", "trash talk", ""])
def test_all_else_is_what_people_sort_into(folder: str) -> None:
    """A folder that is only called a little like one of a program's would be left out."""
    assert folders.is_read(folder)
    assert folders.is_label(folder)
