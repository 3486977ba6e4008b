"""Message ids: which mail this is, and which it follows."""

from __future__ import annotations

import re

from intake.charsets import clean
from intake.mail.headers import Headers

MOST = 1_000
_BLANKS = re.compile(r"[ \t\n]+")
_BRACKETED = re.compile(r"<\s*([^<>\s][^<>]{0,997}?)\s*>")
_BARE = re.compile(r"[^\s<>,;\"()]{1,400}@[^\s<>,;\"()]{1,400}")


def message_ids(headers: Headers) -> tuple[str, ...]:
    """Return the ids in References and then In-Reply-To, each once, in angle brackets."""
    found: dict[str, None] = {}
    for name in ("references", "in-reply-to"):
        for raw in headers.all(name):
            found.update(dict.fromkeys(find_ids(raw)))
    return tuple(found)[:MOST]


def find_ids(raw: bytes) -> list[str]:
    """Return every message id in a field."""
    text = clean(raw.decode("utf-8", "replace"))
    bracketed = _BRACKETED.findall(text)
    names = bracketed or _BARE.findall(text)
    return [f"<{_BLANKS.sub('', name)}>" for name in names if name.strip()]


def normal_id(raw: bytes) -> str | None:
    """Return a Message-ID in angle brackets, or None when there is none."""
    ids = find_ids(raw)
    if ids:
        return ids[0]
    text = clean(raw.decode("utf-8", "replace")).strip(" <>\t\n")
    return f"<{text}>" if text else None
