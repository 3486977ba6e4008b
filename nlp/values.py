"""What a marked stretch of a contract says, in a form that programs compare: dates, names.

Only what can be read without guessing gets a value.
"""

from __future__ import annotations

import datetime
import re

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
_DATES = (
    re.compile(r"\b(?P<year>\d{4})-(?P<number>\d{1,2})-(?P<day>\d{1,2})\b"),
    re.compile(rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s*,?\s*(?P<year>\d{{4}})\b"),
    re.compile(
        r"\b(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+(?:day\s+of\s+)?"
        rf"{_MONTH}\s*,?\s*(?P<year>\d{{4}})\b"
    ),
    re.compile(r"\b(?P<number>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})\b"),  # as in the US
)
DATED = ("Agreement Date", "Effective Date", "Expiration Date")
NAMED = ("Document Name", "Parties")
_LONGEST = 2_000  # code points that are looked at: a date stands near its clause's beginning


def value_of(label: str, text: str) -> str | None:
    """Return the value of a stretch with that label: an ISO 8601 date, a name, or None."""
    if label in DATED:
        return date_in(text[:_LONGEST])
    if label in NAMED:
        return " ".join(text.split()).strip(" \"'“”‘’,;.()") or None
    return None


def date_in(text: str) -> str | None:
    """Return the one date of a text as YYYY-MM-DD; None when there is none, or more than one.

    Of "begins on February 1 and expires on July 31" nobody knows which was meant.
    """
    found = {date for pattern in _DATES for date in map(_date, pattern.finditer(text)) if date}
    return found.pop() if len(found) == 1 else None


def _date(match: re.Match[str]) -> str | None:
    parts = match.groupdict()
    number = parts.get("number")
    month = int(number) if number else _MONTHS.get(parts["month"].lower(), 0)
    try:
        return datetime.date(int(parts["year"]), month, int(parts["day"])).isoformat()
    except ValueError:
        return None
