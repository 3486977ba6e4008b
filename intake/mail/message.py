"""A raw mail to its parts: who, to whom, what about, what it says, what it carries, what it is."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

from intake.charsets import clean
from intake.limits import Limits
from intake.mail.addresses import Address, parse_addresses
from intake.mail.automatic import is_auto_reply, is_bulk
from intake.mail.bodies import Body, read_body
from intake.mail.bounces import find_bounce
from intake.mail.headers import Headers
from intake.mail.marks import importance_of, shown_headers
from intake.mail.replies import reply_of
from intake.mail.structure import Part, parse_message
from intake.mail.threads import message_ids, normal_id
from intake.parsed import Mail, Parsed

_MBOX_SENDER = re.compile(rb">?From (\S+@\S+)")
SENDERS = (
    "from",
    "sender",
    "resent-from",
    "reply-to",
    "return-path",
    "x-envelope-from",
    "envelope-from",
    "x-sender",
    "apparently-from",
)


def read_mail(body: bytes, limits: Limits) -> Parsed:
    """Return a mail's text (subject, empty line, body) and the `Mail` itself."""
    root = parse_message(body, depth=limits.depth)
    if root.headers.charset is None:  # raw bytes in a field are of the charset of the text below
        charsets = (part.charset for part in root.walk() if part.charset)
        root.headers.charset = next(charsets, None)
    content = read_body(root)
    warnings: list[str] = []
    if len(content.attachments) > limits.attachments:
        left_out = len(content.attachments) - limits.attachments
        warnings.append(f"{left_out} of {len(content.attachments)} attachments were left out")
        content.attachments = content.attachments[: limits.attachments]
    warnings += content.warnings
    if content.hidden_characters:
        warnings.append(f"{content.hidden_characters} hidden characters were left out")
    mail = _mail(root, content, tuple(warnings))
    text = f"{mail.subject}\n\n{mail.text}" if mail.subject else mail.text
    return Parsed(
        type="eml",
        text=text,
        mail=mail,
        hidden_characters=content.hidden_characters,
        warnings=tuple(warnings),
    )


def _mail(root: Part, content: Body, warnings: tuple[str, ...]) -> Mail:
    headers = root.headers
    subject = headers.text("subject")
    text = content.text
    bounce = find_bounce(root, subject, text)
    automatic = bounce is None and is_auto_reply(root, subject, text)
    return Mail(
        subject=subject or None,
        sender=find_sender(headers),
        to=_addresses(headers, "to"),
        cc=_addresses(headers, "cc"),
        date=find_date(headers),
        message_id=normal_id(headers.raw("message-id")),
        text=text,
        reply_text=reply_of(content, subject),
        attachments=tuple(content.attachments),
        references=message_ids(headers),
        auto_reply=automatic,
        bulk=is_bulk(root),
        bounce=bounce,
        importance=importance_of(headers),
        headers=shown_headers(headers),
        warnings=warnings,
    )


def find_sender(headers: Headers) -> str | None:
    """Return whom the mail says it is from; the envelope's word where it says nothing."""
    for name in SENDERS:
        found = _parsed(headers, name)
        if found:
            return str(next((address for address in found if "@" in address.address), found[0]))
    envelope = _MBOX_SENDER.match(headers.envelope)
    return clean(envelope[1].decode("utf-8", "replace")) if envelope else None


def _parsed(headers: Headers, name: str) -> list[Address]:
    return [
        address
        for raw in headers.all(name)
        if raw.strip() and raw.strip() != b"<>"
        for address in parse_addresses(headers.decoded(raw), default=headers.charset)
    ]


def _addresses(headers: Headers, name: str) -> tuple[str, ...]:
    return tuple(str(address) for address in _parsed(headers, name))


def find_date(headers: Headers) -> str | None:
    """Return the date that the sender wrote, in ISO 8601, or None when it is none."""
    for name in ("date", "delivery-date", "resent-date"):
        raw = headers.raw(name)
        if raw:
            found = _parse_date(raw.decode("ascii", "ignore"))
            if found is not None:
                return found.isoformat()
    return None


def _parse_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(re.sub(r"\([^()]*\)", " ", text[:200]))
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None
