"""What a rule can look at: one document's labels, headers, attachments and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from routing.headers import header_values


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a reader said of one head."""

    value: str
    confidence: float
    needs_review: bool = False
    evidence: tuple[tuple[int, int], ...] = ()  # code points of the text


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One document as rules see it. `received_at` is aware; `text` is what the reader read."""

    received_at: datetime
    kind: str = ""
    labels: Mapping[str, Label] = field(default_factory=dict)
    model: str = ""  # name and version
    language: str = ""
    source: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""
    # lower-case names; one that stands there more than once has all its values
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attachments: tuple[tuple[str, str], ...] = ()  # name and media type
    auto_reply: bool = False
    bulk: bool = False
    bounce: bool = False
    null_sender: bool = False
    mailbox: str = ""  # the account it was read from
    folder: str = ""


def facts(
    outcome: Mapping[str, Any] | None,
    mail: Mapping[str, Any] | None,
    text: str,
    *,
    received_at: datetime,
    envelope: Mapping[str, Any] | None = None,
    source: str = "",
) -> Facts:
    """Return the facts of a document from its outcome, mail object and envelope.

    Anything may be missing. The addresses of the envelope count beside those of the headers: a
    Bcc stands nowhere else.
    """
    outcome, mail, envelope = outcome or {}, mail or {}, envelope or {}
    model = outcome.get("model") or {}
    place = envelope.get("mailbox") or {}
    place = place if isinstance(place, Mapping) else {}
    return Facts(
        received_at=received_at,
        kind=str(outcome.get("kind") or ""),
        labels={
            head: _label(label)
            for head, label in (outcome.get("labels") or {}).items()
            if isinstance(label, Mapping) and label.get("value") is not None
        },
        model=" ".join(str(model[key]) for key in ("name", "version") if model.get(key)),
        language=str(outcome.get("language") or ""),
        source=source,
        sender=str(mail.get("from") or envelope.get("mail_from") or ""),
        to=tuple(
            map(str, [*(mail.get("to") or ()), *(mail.get("cc") or ()), *_recipients(envelope)])
        ),
        subject=str(mail.get("subject") or ""),
        text=text,
        headers=header_values(mail),
        attachments=tuple(
            (str(one.get("name") or ""), str(one.get("type") or ""))
            for one in mail.get("attachments") or ()
        ),
        auto_reply=bool(mail.get("auto_reply")),
        bulk=bool(mail.get("bulk")),
        bounce=bool(mail.get("bounce")),
        null_sender=source == "smtp" and envelope.get("mail_from") == "",
        mailbox=str(place.get("account") or ""),
        folder=str(place.get("folder") or ""),
    )


def _label(label: Mapping[str, Any]) -> Label:
    return Label(
        value=str(label["value"]),
        confidence=float(label.get("confidence") or 0.0),
        needs_review=bool(label.get("needs_review")),
        evidence=tuple(
            (int(span["start"]), int(span["end"])) for span in label.get("evidence") or ()
        ),
    )


def _recipients(envelope: Mapping[str, Any]) -> list[str]:
    said = envelope.get("rcpt_to") or []
    return [str(one) for one in said] if isinstance(said, list) else []
