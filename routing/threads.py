"""Which mails belong to one conversation.

By In-Reply-To and References first, also where the mail they name was never seen: two replies to
an unknown mail are one conversation, and it takes the unknown mail in when that comes. By the
subject only for a reply that names no mail, only from or to the same correspondent, and only
within some days: "Re: Invoice" alone joins strangers.

The method is Jamie Zawinski's message threading as RFC 5256 describes it (THREAD=REFERENCES), kept
as sets of ids that are joined, so that mails may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

SUBJECT_DAYS = 14
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,900})>|([^<>\s,;]{3,900}@[^<>\s,;]{1,200})")
_ADDRESS = re.compile(r"[^\s<>@,;:\"]{1,200}@[^\s<>@,;:\"]{1,200}")
_REFERENCES = 200  # named by one mail: the first ones and the last ones count
# Re:, AW[2]:, Fwd:, [list-name], and their kin in other languages, as often as they stand there
_PREFIX = re.compile(
    r"\s*(?:(?P<reply>re|aw|antw|antwort|sv|vs|odp|ynt|res|r|rif|回复|答复)"
    r"|(?:fwd?|wg|tr|i|enc|rv|転送))(?:\[\d{1,3}\])?\s*[:：]|\s*\[[^\]\s]{1,40}\]",
    re.IGNORECASE,
)
_SHORT = 4  # characters of a subject that says nothing


@dataclass(frozen=True, kw_only=True)
class Message:
    """What threading looks at. Ids are without angle brackets; `people` are bare addresses."""

    message_id: str | None
    references: tuple[str, ...] = ()
    subject: str = ""
    people: frozenset[str] = frozenset()
    at: datetime | None = None


def message(mail: Mapping[str, Any]) -> Message:
    """Return what threading needs of a mail object; nothing in it needs to be there."""
    written = [mail.get("from"), *(mail.get("to") or ()), *(mail.get("cc") or ())]
    named = [*(mail.get("references") or ()), mail.get("in_reply_to") or ""]
    ids = [found for one in named for found in message_ids(str(one))]
    own = message_ids(str(mail.get("message_id") or ""))
    try:
        at = datetime.fromisoformat(str(mail.get("date")))
    except ValueError:
        at = None
    return Message(
        message_id=own[0] if own else None,
        references=tuple(dict.fromkeys([*ids[: _REFERENCES // 2], *ids[-_REFERENCES // 2 :]])),
        subject=str(mail.get("subject") or ""),
        people=frozenset(
            found.casefold() for one in written for found in _ADDRESS.findall(str(one or ""))
        ),
        at=at if at is not None and at.tzinfo else None,
    )


def message_ids(text: str) -> list[str]:
    """Return the message ids in a header's value, in order, without their angle brackets."""
    return [found[1] or found[2] for found in _MESSAGE_ID.finditer(text)]


def plain_subject(subject: str) -> tuple[str, bool]:
    """Return the subject without what replies and lists put before it, and whether it replies."""
    reply, place = False, 0
    while found := _PREFIX.match(subject, place):
        reply = reply or found["reply"] is not None
        place = found.end()
    return " ".join(subject[place:].casefold().split()), reply


class Threads:
    """Conversations of the messages added so far.

    `add` returns a number for the message; `thread` the number of the first message of its
    conversation, which changes when a later message joins two conversations.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._parents: list[int] = []
        self._ids: dict[str, int] = {}
        self._subjects: dict[tuple[str, str], tuple[int, datetime]] = {}
        for one in messages:
            self.add(one)

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, added: Message) -> int:
        """Add a message, joining it with those it belongs to; return its number."""
        number = len(self._parents)
        self._parents.append(number)
        for name in (*added.references, *((added.message_id,) if added.message_id else ())):
            # a name never seen as a message stands for the mail that may still come
            self._join(self._ids.setdefault(name, number), number)
        self._by_subject(added, number)
        return number

    def thread(self, number: int) -> int:
        """Return the number of the conversation's first message."""
        root = number
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[number] != root:  # next time it is nearer
            self._parents[number], number = root, self._parents[number]
        return root

    def groups(self) -> list[list[int]]:
        """Return every conversation as its messages' numbers, in the order they were added."""
        found: dict[int, list[int]] = {}
        for number in range(len(self)):
            found.setdefault(self.thread(number), []).append(number)
        return list(found.values())

    def _join(self, one: int, other: int) -> None:
        first, second = sorted((self.thread(one), self.thread(other)))
        self._parents[second] = first

    def _by_subject(self, added: Message, number: int) -> None:
        subject, reply = plain_subject(added.subject)
        if added.at is None or len(subject) < _SHORT:
            return
        if reply and not added.references:
            for person in added.people:
                other, at = self._subjects.get((subject, person), (None, added.at))
                if other is not None and abs(added.at - at) <= timedelta(days=SUBJECT_DAYS):
                    self._join(other, number)
                    break
        for person in added.people:
            self._subjects[subject, person] = (number, added.at)
