"""When a mail that comes again is the same mail.

A sender that saw no `250` sends again, and so does one whose connection broke just after the
commit. The same bytes are the same mail, whoever hands them in and to whichever of our
addresses: a mail's bytes hold a Message-ID, a date or the stamps of the servers it passed, so two
mails never share them. A mail with none of these (a device, a script) may say the same thing
twice and mean it twice: there the same bytes are the same mail within the hour and from the same
sender to the same recipients only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

_UNIQUE = re.compile(rb"^(?:message-id|date|received)[ \t]{0,8}:", re.IGNORECASE | re.MULTILINE)
_RECEIVED = re.compile(rb"^received[ \t]{0,8}:", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_HEADER_BYTES = 1_000_000


def headers(raw: bytes) -> bytes:
    """Return the header block of a raw message, or its first megabyte where it does not end."""
    end = _HEADER_END.search(raw, 0, _HEADER_BYTES)
    return raw[: end.end() if end else _HEADER_BYTES]


def hops(raw: bytes) -> int:
    """Return how many servers say that they passed the message on."""
    return len(_RECEIVED.findall(headers(raw)))


def mail_key(raw: bytes, *, mail_from: str, rcpt_to: Iterable[str], received_at: datetime) -> str:
    """Return the idempotency key under which the ledger keeps a mail once."""
    digest = hashlib.sha256(raw)
    if not _UNIQUE.search(headers(raw)):
        digest.update(repr((mail_from, sorted(rcpt_to))).encode("utf-8", "replace"))
        digest.update(received_at.strftime("%Y-%m-%dT%H").encode())
    return f"mail:{digest.hexdigest()}"
