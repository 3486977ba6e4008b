"""When a mail that comes again is the same mail, whichever door it comes through.

A sender that saw no `250` sends again; two accounts each get a copy, one of them by Bcc; a mail
comes over SMTP and lies in a mailbox too. Every server on the way stamps its copy (Received,
Delivered-To, Return-Path, verdicts on spam), so the bytes differ. What the writer wrote does not:
the fields that no server changes, and the body up to its line ends.

A mail without a Message-ID is known by its Date, one without either by the first server that it
passed. A mail with none of these (a device, a script) may say the same thing twice and mean it
twice: it is the same within the hour and from the same sender to the same recipients only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from intake.mail.glance import fields, headers

# What the writer's own program wrote; servers add fields and leave these as they are
WRITTEN = frozenset(
    b"message-id date from sender reply-to to cc subject in-reply-to references "
    b"content-type content-transfer-encoding auto-submitted".split()
)
_BLOCK = 1 << 20


def mail_key(
    raw: bytes, *, mail_from: str = "", rcpt_to: Iterable[str] = (), received_at: datetime
) -> str:
    """Return the idempotency key under which the ledger keeps a mail once."""
    block = headers(raw)
    digest, is_dated = _written(block)
    if not is_dated:
        digest = hashlib.sha256(raw)
        digest.update(repr((mail_from, sorted(rcpt_to))).encode("utf-8", "replace"))
        digest.update(received_at.strftime("%Y-%m-%dT%H").encode())
    else:
        _add_body(digest, raw, len(block))
    return f"mail:{digest.hexdigest()}"


def mail_mark(block: bytes, size: int) -> str | None:
    """Return what knows a mail again in another folder of its server, from header and size.

    None where the header does not tell it from others.
    """
    digest, is_dated = _written(block)
    if not is_dated:
        return None
    digest.update(str(size).encode())
    return digest.hexdigest()


def _written(block: bytes) -> tuple[Any, bool]:
    """Return the digest of what the writer wrote, and whether that sets the mail apart."""
    digest = hashlib.sha256()
    if not block.endswith((b"\n\n", b"\n\r\n")):  # no end of a header: no telling what is one
        return digest, False
    found = fields(block)
    kept = [(name, value) for name, value in found if name in WRITTEN and value]
    names = {name for name, _ in kept}
    is_dated = bool(names & {b"message-id", b"date"})
    if not is_dated:
        stamps = [value for name, value in found if name == b"received"]
        kept += [(b"received", value) for value in stamps[-1:]]  # the first hop is the lowest
        is_dated = bool(stamps)
    for name, value in sorted(kept, key=lambda field: field[0]):
        digest.update(b"%d:%s%d:%s" % (len(name), name, len(value), value))
    return digest, is_dated


def _add_body(digest: Any, raw: bytes, start: int) -> None:
    """Add the body with its line ends as LF and none at its end; a block at a time."""
    end = len(raw)
    while end > start and raw[end - 1] in b"\r\n":
        end -= 1
    view = memoryview(raw)
    while start < end:
        stop = min(start + _BLOCK, end)
        if raw[stop - 1] == 13 and stop < end:  # a CR whose LF is in the next block
            stop += 1
        digest.update(bytes(view[start:stop]).replace(b"\r\n", b"\n"))
        start = stop
