"""How Mailroom knows a mail that it sent on itself, when that mail comes back.

Each mail it sends carries `X-Mailroom-Loop`: an HMAC over the mail's own Message-ID with the
installation's key. Nobody outside can make one, so a header that someone adds to keep their mail
from being handled has no effect.
"""

from __future__ import annotations

import hashlib
import hmac
import re

HEADER = "X-Mailroom-Loop"
_MARKS = re.compile(
    rb"^x-mailroom-loop:[ \t]{0,8}v1=([0-9a-f]{64})[ \t]*;[ \t]*(<[^<>\s]{1,200}>)[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_LOOKED_AT = 20  # marks of one mail; more are somebody's mischief


def mark(key: bytes, message_id: str) -> str:
    """Return the header's value for a mail of ours; `message_id` is in angle brackets."""
    digest = hmac.new(key, b"mailroom loop\0" + message_id.encode(), hashlib.sha256)
    return f"v1={digest.hexdigest()}; {message_id}"


def is_ours(headers: bytes, key: bytes) -> bool:
    """Return whether a header block carries a mark that this installation made."""
    for number, found in enumerate(_MARKS.finditer(_FOLD.sub(b"", headers))):
        if number >= _LOOKED_AT:
            return False
        expected = mark(key, found[2].decode("utf-8", "replace")).partition(";")[0]
        if hmac.compare_digest(expected.encode(), b"v1=" + found[1].lower()):
            return True
    return False
