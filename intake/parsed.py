"""What comes out of a document: its text, and for a mail the parts of a mail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Attachment:
    """One attached file; `body` is decoded from its transfer encoding and never in the JSON."""

    name: str | None  # as the sender called it; None when it has no name
    type: str  # the media type that the mail states: a claim, not a finding
    body: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """The number of decoded bytes."""
        return len(self.body)

    @property
    def sha256(self) -> str:
        """The hash of the decoded bytes, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return name, type, size and hash."""
        return {"name": self.name, "type": self.type, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Bounce:
    """A report that a mail was not delivered (or not yet)."""

    recipient: str | None  # whom the mail did not reach; None when the report does not say
    status: str | None  # an enhanced status code as in RFC 3463, "5.1.1"
    permanent: bool  # status class 5: trying again is of no use

    def to_json(self) -> dict[str, Any]:
        """Return recipient, status and whether it is final."""
        return {"recipient": self.recipient, "status": self.status, "permanent": self.permanent}


@dataclass(frozen=True, kw_only=True)
class Mail:
    """The parts of a mail that people and rules look at."""

    subject: str | None
    sender: str | None  # "from" in the JSON: `Name <address>`, or the address alone
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    date: str | None = None  # ISO 8601 with the offset that the sender wrote
    message_id: str | None = None  # in angle brackets
    text: str = ""  # of the body, as a person sees it
    reply_text: str = ""  # what is new in it: no quotes, no signature
    attachments: tuple[Attachment, ...] = ()
    references: tuple[str, ...] = ()  # message ids: the thread from its start, each id once
    auto_reply: bool = False  # written by a program in answer to a mail
    bulk: bool = False  # sent to many; never to be answered by a program
    bounce: Bounce | None = None
    importance: str | None = None  # "high" or "low" where the sender marked it so: a claim
    headers: tuple[tuple[str, str], ...] = ()  # name and value, a bounded number of each
    warnings: tuple[str, ...] = ()  # what could not be read of it, or was left out

    def to_json(self) -> dict[str, Any]:
        """Return the `mail` object of the API and of `mailroom parse`."""
        return {
            "subject": self.subject,
            "from": self.sender,
            "to": list(self.to),
            "cc": list(self.cc),
            "date": self.date,
            "message_id": self.message_id,
            "text": self.text,
            "reply_text": self.reply_text,
            "attachments": [attachment.to_json() for attachment in self.attachments],
            "references": list(self.references),
            "auto_reply": self.auto_reply,
            "bulk": self.bulk,
            "bounce": self.bounce.to_json() if self.bounce else None,
            "importance": self.importance,
            "headers": [list(header) for header in self.headers],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A document's text and what else was found on the way.

    Offsets into `text` count Unicode code points. For a mail the text is its subject, an empty
    line and its body. It can always be encoded as UTF-8 and stored by PostgreSQL: no NUL, no
    lone surrogates.
    """

    type: str  # "text", "pdf", "docx", "eml" or "html"
    text: str
    pages: int | None = None
    mail: Mail | None = None
    hidden_characters: int = 0  # of text that a person would not have seen, and that was dropped
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return everything but the attachments' bytes."""
        return {
            "type": self.type,
            "text": self.text,
            "characters": len(self.text),
            "pages": self.pages,
            "mail": self.mail.to_json() if self.mail else None,
            "hidden_characters": self.hidden_characters,
            "warnings": list(self.warnings),
        }


def pack(parsed: Parsed) -> tuple[dict[str, Any], list[bytes]]:
    """Return JSON and the attachments' bytes, for the way out of the reading process."""
    bodies = [attachment.body for attachment in parsed.mail.attachments] if parsed.mail else []
    return parsed.to_json(), bodies


def unpack(packed: Mapping[str, Any], bodies: Iterator[bytes]) -> Parsed:
    """Return what `pack` packed."""
    mail = packed["mail"]
    return Parsed(
        type=packed["type"],
        text=packed["text"],
        pages=packed["pages"],
        mail=_unpack_mail(mail, bodies) if mail else None,
        hidden_characters=packed["hidden_characters"],
        warnings=tuple(packed["warnings"]),
    )


def _unpack_mail(mail: Mapping[str, Any], bodies: Iterator[bytes]) -> Mail:
    bounce = mail["bounce"]
    return Mail(
        subject=mail["subject"],
        sender=mail["from"],
        to=tuple(mail["to"]),
        cc=tuple(mail["cc"]),
        date=mail["date"],
        message_id=mail["message_id"],
        text=mail["text"],
        reply_text=mail["reply_text"],
        attachments=tuple(
            Attachment(attachment["name"], attachment["type"], next(bodies))
            for attachment in mail["attachments"]
        ),
        references=tuple(mail["references"]),
        auto_reply=mail["auto_reply"],
        bulk=mail["bulk"],
        bounce=Bounce(bounce["recipient"], bounce["status"], bounce["permanent"])
        if bounce
        else None,
        importance=mail["importance"],
        headers=tuple((name, value) for name, value in mail["headers"]),
        warnings=tuple(mail["warnings"]),
    )
