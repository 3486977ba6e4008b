"""What a mail's header says beside who, to whom and what about: its fields, its importance."""

from __future__ import annotations

from intake.charsets import clean
from intake.mail.headers import Headers

FIELDS = 100  # that are shown of one mail
VALUE_CHARACTERS = 500
CHARACTERS = 20_000  # of all values together
# Stamps and seals of servers: long, and nothing that a rule asks for
_SEALS = frozenset(
    {
        "arc-authentication-results",
        "arc-message-signature",
        "arc-seal",
        "dkim-signature",
        "domainkey-signature",
        "received",
        "x-google-dkim-signature",
        "x-gm-message-state",
        "x-received",
    }
)
_IMPORTANCE = ("importance", "x-priority", "priority", "x-msmail-priority")
_HIGH, _LOW = ("high", "urgent", "1", "2"), ("low", "non-urgent", "4", "5")


def shown_headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return names in lower case and values as people read them, in order, long ones cut."""
    found: list[tuple[str, str]] = []
    left = CHARACTERS
    for name, value in headers.fields:
        if len(found) >= FIELDS or left <= 0:
            break
        if name in _SEALS:
            continue
        one = Headers([(name, value[: 8 * VALUE_CHARACTERS])], headers.charset)
        cut = clean(one.text(name))[: min(VALUE_CHARACTERS, left)]
        found.append((name, cut))
        left -= len(cut)
    return tuple(found)


def importance_of(headers: Headers) -> str | None:
    """Return "high" or "low" where the sender marked the mail so, else None."""
    for name in _IMPORTANCE:
        said = headers.text(name).strip().lower()
        if said.startswith(_HIGH):
            return "high"
        if said.startswith(_LOW):
            return "low"
    return None
