"""Where people say that a document belongs: a correction on the page, or the folder they chose.

A folder stands for a queue. `[folders]` of the rules says which; one that it does not name stands
for the queue that is called like its last part, however that is spelt. Folders in which every
mail lies before, or after, somebody sorts it say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

# What mail programs call the folders that are nobody's answer, in the languages they come in
_SILENT = frozenset(
    {
        "inbox", "posteingang", "sent", "gesendet", "drafts", "entwürfe", "trash", "papierkorb",
        "archive", "archives", "archiv", "outbox", "postausgang", "templates", "vorlagen",
        "important", "starred", "wichtig", "markiert", "envoyés", "brouillons", "corbeille",
        "enviados", "borradores", "papelera", "sent items", "sent mail", "sent messages",
        "deleted items", "deleted messages", "all mail", "gesendete objekte", "gesendete elemente",
        "gelöschte objekte", "gelöschte elemente", "alle nachrichten", "éléments envoyés",
        "conversation history", "[gmail]", "snoozed",
    }
)  # fmt: skip
_LEVEL = re.compile(r"[/.\\]")
_BETWEEN = re.compile(r"[\s_\-]+")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A person's word: a value they gave (`how` is "correction"), or a folder ("folder")."""

    how: str
    value: str
    at: datetime
    by: str = ""  # who; of a folder, the account


@dataclass(frozen=True, kw_only=True)
class Word:
    """The queue that people want, since when, and how they said it."""

    queue: str
    how: str
    at: datetime
    by: str


class Folders:
    """Which queue a folder stands for. `queues` are those there are; `named` is the rules' table.

    What could not be placed is counted in `unknown`.
    """

    def __init__(self, queues: Iterable[str], named: Mapping[str, str]) -> None:
        self._queues = {_plain(queue): queue for queue in queues}
        self._named = {_plain(folder): queue for folder, queue in named.items()}
        self.unknown: dict[str, int] = {}

    def queue(self, folder: str) -> str | None:
        """Return the queue, or None for a folder that says nothing or is not known."""
        last = _plain(_LEVEL.split(folder)[-1])
        named = self._named.get(_plain(folder)) or self._named.get(last)
        if named:
            return named
        if is_silent(folder):
            return None
        known = self._queues.get(last)
        if known is None:
            self.unknown[folder] = self.unknown.get(folder, 0) + 1
        return known


def is_silent(folder: str) -> bool:
    """Say whether mail lies in a folder of that name without anybody having sorted it."""
    return _plain(_LEVEL.split(folder)[-1]) in _SILENT


def word(placed: Iterable[Placed], folders: Folders) -> Word | None:
    """Return what people said last, or None where they said nothing that is known.

    Of a mail that was moved on to a folder that says nothing, the last one that did counts.
    """
    for one in sorted(placed, key=lambda one: one.at, reverse=True):
        queue = one.value if one.how == "correction" else folders.queue(one.value)
        if queue:
            return Word(queue=queue, how=one.how, at=one.at, by=one.by)
    return None


def _plain(name: str) -> str:
    return _BETWEEN.sub(" ", name.casefold()).strip()
