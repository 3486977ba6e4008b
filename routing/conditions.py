"""One condition of a rule: what it looks at, and whether that is so, is not so, or is in doubt.

Patterns are globs and whole words, never regular expressions: anybody can read them, and none
takes longer than the text is long.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import islice

from routing.facts import Facts
from routing.span import Span

_ADDRESS = re.compile(r"[^\s<>@,;:\"]{1,200}@[^\s<>@,;:\"]{1,200}")
_SPANS = 20  # places of one phrase that are pointed at


class Answer(Enum):
    """Whether a condition holds; DOUBT: the label says so, but not surely enough."""

    YES = "yes"
    NO = "no"
    DOUBT = "doubt"


@dataclass(frozen=True)
class Finding:
    """A condition's answer, how sure it is, where it was seen, and in words."""

    answer: Answer
    confidence: float = 1.0
    evidence: tuple[Span, ...] = ()
    words: str = ""


NOT_SO = Finding(Answer.NO)


@dataclass(frozen=True)
class Condition:
    """`subject` names what is looked at: `label.team`, `from`, `header.x-y`, `text`, ...

    Any one of `wanted` is enough. `at_least` is the least confidence for a label.
    """

    subject: str
    wanted: tuple[str, ...]
    at_least: float = 0.0

    def look(self, facts: Facts, least_confidence: float) -> Finding:
        """Return what is found; a label below its own or the general threshold is in doubt."""
        if self.subject.startswith("label."):
            return self._label(facts, max(self.at_least, least_confidence))
        if self.subject in PLACES:
            return self._phrase(PLACES[self.subject](facts), facts.text)
        values = list(_values(self.subject, facts))
        for wanted in self.wanted:
            if any(_glob(wanted)(value) for value in values):
                return Finding(Answer.YES, words=f"{_spoken(self.subject)} is {wanted}")
        return NOT_SO

    def _label(self, facts: Facts, least: float) -> Finding:
        head = self.subject.removeprefix("label.")
        label = facts.labels.get(head)
        if label is None or not any(_glob(wanted)(label.value) for wanted in self.wanted):
            return NOT_SO
        sure = label.confidence >= least and not label.needs_review
        spans = tuple(Span(start, end) for start, end in label.evidence)
        words = f"{head} is {label.value} ({label.confidence:.2f})"
        return Finding(Answer.YES if sure else Answer.DOUBT, label.confidence, spans, words)

    def _phrase(self, said: str, text: str) -> Finding:
        # a mail's text begins with its subject: there the places in it are places in the text
        pointed = text.startswith(said)
        for wanted in self.wanted:
            matches = islice(_phrase(wanted).finditer(said), _SPANS)
            spans = tuple(Span(*found.span()) for found in matches)
            if spans:
                words = f"the {self.subject} says “{wanted}”"
                return Finding(Answer.YES, evidence=spans if pointed else (), words=words)
        return NOT_SO


# What phrases are looked for in
PLACES: dict[str, Callable[[Facts], str]] = {
    "text": lambda facts: facts.text,
    "subject": lambda facts: facts.subject,
}
FLAGS: dict[str, Callable[[Facts], bool]] = {
    "auto_reply": lambda facts: facts.auto_reply,
    "bulk": lambda facts: facts.bulk,
    "bounce": lambda facts: facts.bounce,
    "has_attachment": lambda facts: bool(facts.attachments),
}
_PLAIN: dict[str, Callable[[Facts], Iterable[str]]] = {
    "kind": lambda facts: (facts.kind,),
    "language": lambda facts: (facts.language,),
    "source": lambda facts: (facts.source,),
    "mailbox": lambda facts: (facts.mailbox,) if facts.mailbox else (),
    "folder": lambda facts: (facts.folder,) if facts.folder else (),
    "from": lambda facts: _addresses((facts.sender,)),
    "to": lambda facts: _addresses(facts.to),
    "attachment": lambda facts: (name for name, _ in facts.attachments),
    "attachment_type": lambda facts: (media_type for _, media_type in facts.attachments),
}
SUBJECTS = (*PLACES, *FLAGS, *_PLAIN)  # beside label.HEAD and header.NAME


def _values(subject: str, facts: Facts) -> Iterable[str]:
    """Return the values that a condition compares."""
    if subject.startswith("header."):
        return facts.headers.get(subject.removeprefix("header.").lower(), ())
    if subject in FLAGS:
        return (str(FLAGS[subject](facts)).lower(),)
    return _PLAIN[subject](facts)


def _addresses(written: Iterable[str]) -> Iterable[str]:
    """Return the addresses in `Name <address>`: a display name proves nothing."""
    for one in written:
        found = _ADDRESS.findall(one)
        yield found[-1] if found else one


@lru_cache(maxsize=2000)
def _glob(pattern: str) -> Callable[[str], bool]:
    """Return a test for a pattern of `*` and `?`, in which case does not matter."""
    compiled = re.compile(fnmatch.translate(pattern.casefold()))
    return lambda value: compiled.match(value.casefold()) is not None


@lru_cache(maxsize=2000)
def _phrase(phrase: str) -> re.Pattern[str]:
    """Return what finds a phrase as whole words, however it is spaced and capitalised."""
    words = r"\s{1,20}".join(re.escape(word) for word in phrase.split())
    before = r"(?<!\w)" if phrase.strip()[:1].isalnum() else ""
    after = r"(?!\w)" if phrase.strip()[-1:].isalnum() else ""
    return re.compile(before + words + after, re.IGNORECASE)


def _spoken(subject: str) -> str:
    return (
        f"the header {subject.removeprefix('header.')}"
        if subject.startswith("header.")
        else subject
    )
