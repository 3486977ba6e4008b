"""What counts as an attached file, and its bytes."""

from __future__ import annotations

import re

from intake.mail.structure import Part
from intake.parsed import Attachment

BODY_TYPES = frozenset(("text/plain", "text/html"))

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def is_body(part: Part, *, first: bool) -> bool:
    """Say whether a leaf is a mail's own text and not a file that came with it.

    `first` tells the first leaf of a mail: there a name alone does not make a text a file.
    """
    if part.disposition == "attachment":
        return False
    if part.type in BODY_TYPES:
        return part.name is None or first
    return part.type.startswith("text/") and part.name is None and first


def attach(part: Part) -> Attachment:
    """Return a leaf as an attached file; one without a name has none."""
    body, _ = part.decoded()
    return Attachment(tidy_name(part.name), part.type, body)


def tidy_name(name: str | None) -> str | None:
    """Return a name on one line, or None when nothing is left of it."""
    return _CONTROLS.sub(" ", name).strip() or None if name else None


def attach_bytes(name: str, body: bytes) -> Attachment:
    """Return a file that was found in a text (uuencoded)."""
    return Attachment(tidy_name(name), "application/octet-stream", body)
