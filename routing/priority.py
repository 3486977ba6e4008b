"""How soon a mail wants a person: a readable rule over learned signals and plain ones.

Learned: the labels `wants_answer` and `spam`, and `sentiment` where a review reader gave one.
Plain: deadlines, words of urgency and of leisure in what the sender wrote now (quoted mails do
not count), and the importance header, which is a claim and moves a mail one step at most.

The ladder, first match wins:

1. spam, bulk, list and automatic mail: low. A bounce stays normal: somebody's mail got lost.
2. due today or tomorrow, or said to be urgent by a sender who wants something: urgent.
3. said to be urgent otherwise, due within three days, or trouble: high.
4. said to have time, or wanting no answer: low.
5. everything else: normal; one step up for an unhappy sender who wants an answer, or for a
   sender who marked the mail important and wants an answer; one step down when marked unimportant.

Public data on priority is too thin to learn it from, so the confidences are the rule's own: how
plain the sign is, times the confidence of a learned label where one was needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from routing import deadlines, urgency
from routing.headers import first_values
from routing.quoted import Quoted
from routing.span import Span

VALUES = ("urgent", "high", "normal", "low")
DOUBT = 0.6  # below this confidence a person looks


@dataclass(frozen=True)
class Decision:
    """A priority, how sure the rule is, where in the text it saw why, and why in one sentence."""

    value: str
    confidence: float
    evidence: tuple[Span, ...]
    reason: str

    @property
    def needs_review(self) -> bool:
        """Whether a person should look."""
        return self.confidence < DOUBT

    def to_json(self) -> dict[str, Any]:
        """Return the outcome's form of a label, with the reason beside it."""
        return {
            "value": self.value,
            "confidence": round(self.confidence, 4),
            "needs_review": self.needs_review,
            "evidence": [span.to_json() for span in self.evidence],
            "reason": self.reason,
        }


def _label(labels: Mapping[str, Any], head: str) -> tuple[str | None, float]:
    """Return a head's value and confidence; (None, 0) where it is absent."""
    label = labels.get(head)
    if isinstance(label, Mapping):
        return label.get("value"), float(label.get("confidence", 1.0))
    return (None, 0.0) if label is None else (str(label), 1.0)


def _claim(mail: Mapping[str, Any]) -> str | None:
    """Return "high" or "low" where the sender marked the mail so, else None."""
    headers = first_values(mail)
    said = [str(mail.get("importance") or "").lower(), headers.get("importance", "")]
    said += [headers.get("x-priority", ""), headers.get("priority", "")]
    if any(word.startswith(("high", "urgent", "1", "2")) for word in said):
        return "high"
    return "low" if any(word.startswith(("low", "non-urgent", "4", "5")) for word in said) else None


def _written(mail: Mapping[str, Any], now: datetime) -> datetime:
    """Return when the mail says it was written, or now where that is missing or impossible."""
    try:
        date = datetime.fromisoformat(str(mail.get("date")))
    except ValueError:
        return now
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return date if date <= now + timedelta(days=1) else now


def _step(value: str, up: int) -> str:
    """Return the priority so many steps up."""
    return VALUES[min(len(VALUES) - 1, max(0, VALUES.index(value) - up))]


@dataclass(frozen=True)
class _Signals:
    """Everything the ladder asks about one mail."""

    spam: float  # confidence that it is; 0 when it is not
    wants: float  # confidence that an answer is wanted, 0.5 where nobody said
    unhappy: float  # confidence of a negative sentiment
    claim: str | None
    strong: list[Span]
    trouble: list[Span]
    leisure: list[Span]
    due: deadlines.Deadline | None
    days_left: float  # between the day it was written and the day it is due


def _read(labels: Mapping[str, Any], text: str, mail: Mapping[str, Any], now: datetime) -> _Signals:
    """Gather the signals; the soonest deadline that had not passed when it was written counts."""
    quoted = Quoted(text)
    written = _written(mail, now)
    ahead = [found for found in deadlines.find(text, quoted, written) if found.due >= written]
    due = min(ahead, key=lambda found: found.due, default=None)
    spam, spam_confidence = _label(labels, "spam")
    wants, wants_confidence = _label(labels, "wants_answer")
    sentiment, sentiment_confidence = _label(labels, "sentiment")
    yes = ("yes", "true", "1", "spam")
    said_wants = wants_confidence if str(wants).lower() in yes else 1 - wants_confidence
    return _Signals(
        spam=spam_confidence if str(spam).lower() in yes else 0.0,
        wants=0.5 if wants is None else said_wants,
        unhappy=sentiment_confidence if sentiment == "negative" else 0.0,
        claim=_claim(mail),
        strong=urgency.strong(text, quoted),
        trouble=urgency.trouble(text, quoted),
        leisure=urgency.leisure(text, quoted),
        due=due,
        days_left=(due.due.date() - written.date()).days if due else float("inf"),
    )


def _words(text: str, spans: list[Span]) -> str:
    """Return what the first of the spans says, for a reason sentence."""
    return "“" + " ".join(text[spans[0].start : spans[0].end].split()) + "”"


def _automatic(signals: _Signals, mail: Mapping[str, Any]) -> Decision | None:
    """Return the decision for mail that no person waits behind, or None."""
    if signals.spam >= 0.5:
        return Decision("low", signals.spam, (), "It reads like spam.")
    if mail.get("bounce"):
        return Decision("normal", 0.8, (), "A mail could not be delivered; somebody should know.")
    if mail.get("auto_reply"):
        return Decision("low", 0.9, (), "An automatic reply.")
    if mail.get("bulk"):
        return Decision("low", 0.85, (), "Sent to a list or in bulk.")
    return None


def _pressing(signals: _Signals, text: str) -> Decision | None:
    """Return the decision for mail that names its own haste, or None."""
    due = [signals.due.span] if signals.due else []
    if due and signals.days_left <= 1:
        evidence = tuple(sorted([*due, *signals.strong]))
        sure = 0.95 if signals.strong else 0.8
        return Decision(
            "urgent", sure, evidence, f"Due by tomorrow at the latest: {_words(text, due)}."
        )
    if signals.strong and not signals.leisure:
        said = _words(text, signals.strong)
        wants = signals.wants >= 0.5 or bool(signals.trouble) or bool(due)
        if wants:
            evidence = tuple(sorted([*signals.strong, *signals.trouble, *due]))
            sure = max(0.65, 0.9 * max(signals.wants, 0.9 if signals.trouble or due else 0))
            return Decision("urgent", sure, evidence, f"The sender says {said}.")
        sure = 0.6 + 0.2 * (1 - signals.wants)
        return Decision(
            "high", sure, tuple(signals.strong), f"It says {said}, but asks for nothing."
        )
    if due and signals.days_left <= 3:
        return Decision("high", 0.8, tuple(due), f"Due within three days: {_words(text, due)}.")
    if signals.trouble and signals.wants >= 0.5 and not signals.leisure:
        sure = 0.55 + 0.3 * signals.wants
        said = _words(text, signals.trouble)
        return Decision("high", sure, tuple(signals.trouble), f"It speaks of {said}.")
    return None


def _ordinary(signals: _Signals, text: str) -> Decision:
    """Return the decision for mail that is in no visible haste."""
    if signals.leisure:
        sure = 0.5 if signals.strong or signals.trouble else 0.8
        said = _words(text, signals.leisure)
        return Decision("low", sure, tuple(signals.leisure), f"The sender says {said}.")
    evidence = (signals.due.span,) if signals.due else ()
    if signals.wants < 0.5 and not signals.due:
        value, sure, reason = "low", max(0.5, 1 - signals.wants) * 0.95, "It wants no answer."
    elif signals.due:
        value, sure = "normal", 0.75
        reason = f"There is time: {_words(text, [signals.due.span])}."
    else:
        value, sure = "normal", 0.55 + 0.3 * signals.wants
        reason = (
            "It wants an answer, and names no haste."
            if signals.wants > 0.5
            else "Nothing speaks of haste."
        )
    up = 0
    if signals.unhappy >= 0.7 and signals.wants > 0.5:
        up, sure, reason = 1, 0.9 * signals.unhappy, "An unhappy sender wants an answer."
    elif signals.claim == "high" and signals.wants > 0.5:
        up, sure, reason = 1, 0.65, "The sender marked it important and wants an answer."
    elif signals.claim == "low":
        up, sure, reason = -1, 0.7, "The sender marked it unimportant."
    return Decision(_step(value, up), sure, evidence, reason)


def priority(
    labels: Mapping[str, Any],
    text: str,
    mail: Mapping[str, Any] | None,
    now: datetime,
) -> Decision:
    """Return how soon a mail wants a person, and why.

    `labels` are an outcome's (head to `{"value", "confidence"}` or to a bare value), `text` is
    what the reader read (subject, empty line, body), `mail` the design's mail object with, where
    known, `importance` ("high" or "low") or `headers`; `now` is aware and stands in for a date
    that the mail does not give. Evidence counts code points of `text`.
    """
    mail = mail or {}
    signals = _read(labels, text, mail, now)
    return _automatic(signals, mail) or _pressing(signals, text) or _ordinary(signals, text)
