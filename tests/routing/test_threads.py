"""Conversations: mails that belong together, in whatever order they come, and no others."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routing.threads import Message, Threads, message, message_ids, plain_subject


def mail(
    own: str | None, *references: str, subject: str = "", day: int = 1, **more: Any
) -> Message:
    """Return a mail that names these others."""
    known = {"message_id": own and f"<{own}>", "references": [f"<{one}>" for one in references]}
    known |= {"subject": subject, "date": f"2026-03-{day:02}T09:00:00+00:00"}
    return message(known | {"from": "Ann <ann@example.com>", "to": ["help@example.org"]} | more)


def together(*messages: Message) -> list[list[int]]:
    """Return the conversations of these mails."""
    return Threads(messages).groups()


def test_replies_are_with_what_they_answer() -> None:
    """A person who reads the answer without the question answers another."""
    assert together(mail("a"), mail("b", "a"), mail("c", "a", "b"), mail("x")) == [[0, 1, 2], [3]]


def test_replies_to_a_mail_never_seen_are_together_and_take_it_in() -> None:
    """We see half of every conversation: what went out from elsewhere is missing."""
    threads = Threads([mail("b", "a"), mail("c", "a")])
    assert threads.groups() == [[0, 1]]
    threads.add(mail("a"))
    assert threads.groups() == [[0, 1, 2]]


def test_a_late_mail_joins_two_conversations() -> None:
    """Mails do not come in order; the missing link must close the gap."""
    threads = Threads([mail("a"), mail("c", "b")])
    assert threads.groups() == [[0], [1]]
    threads.add(mail("b", "a"))
    assert threads.groups() == [[0, 1, 2]]


def test_a_subject_joins_only_a_reply_of_the_same_correspondent() -> None:
    """ "Re: Invoice" from two customers is two conversations."""
    other = {"from": "bob@example.com", "to": ["sales@example.org"]}
    first = mail("a", subject="Invoice 7")
    assert together(first, mail("b", subject="AW: invoice  7", day=3)) == [[0, 1]]
    assert together(first, mail("b", subject="Invoice 7", day=3)) == [[0], [1]]
    assert together(first, mail("b", subject="Re: Invoice 7", day=3, **other)) == [[0], [1]]
    assert together(first, mail("b", subject="Re: Invoice 7", day=30)) == [[0], [1]]
    assert together(first, mail("b", "z", subject="Re: Invoice 7", day=3)) == [[0], [1]]
    assert together(mail("a", subject="hi"), mail("b", subject="Re: hi", day=2)) == [[0], [1]]


def test_mails_without_an_id_are_told_apart() -> None:
    """Devices and scripts send no Message-ID; they are not one conversation."""
    assert together(mail(None), mail(None), mail(None, "a"), mail("a")) == [[0], [1], [2, 3]]


def test_a_mail_that_names_itself_does_no_harm() -> None:
    """Broken and hostile mails name themselves, each other, and thousands of others."""
    many = mail("z", *(f"r{number}" for number in range(5000)))
    assert len(many.references) <= 200
    assert together(mail("a", "a"), mail("b", "c"), mail("c", "b"), many) == [[0], [1, 2], [3]]


def test_ids_are_read_from_what_mailers_write() -> None:
    """Mailers put comments, commas and bare ids into References."""
    assert message_ids("<a@x> (Ann's mail),<b@x>\r\n\t<c@x>") == ["a@x", "b@x", "c@x"]
    assert message_ids("bare@x and more") == ["bare@x"]
    assert message_ids("<>") == []


def test_prefixes_of_many_languages_are_taken_off() -> None:
    """Each client writes its own language before the subject."""
    for written in (
        "Re: x y",
        "RE[2]: X  y",
        "AW: WG: x y",
        "[list] Re: x y",
        "Re: [list] sv: x y",
    ):
        assert plain_subject(written) == ("x y", True), written
    assert plain_subject("Fwd: x y") == ("x y", False)
    assert plain_subject("Research: x") == ("research: x", False)


_ids = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(_ids, st.lists(_ids, max_size=3)), max_size=12), st.randoms())
def test_the_order_in_which_mails_come_does_not_matter(
    written: list[tuple[str, list[str]]], shuffler: random.Random
) -> None:
    """The same mailbox read twice must show the same conversations."""
    mails = [mail(own, *references) for own, references in written]
    order = list(range(len(mails)))
    shuffler.shuffle(order)
    found = {frozenset(group) for group in together(*mails)}
    shuffled = together(*(mails[place] for place in order))
    assert {frozenset(order[place] for place in group) for group in shuffled} == found
