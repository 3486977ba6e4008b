"""Deadlines a mail's own text names, in English, resolved against the time it was written.

"by Friday", "within 24 hours", "no later than 3 March", "due 2026-03-05", "before noon". A date
that no such word stands before ("we met on Friday") is no deadline. Patterns are linear in the
text's length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from routing.quoted import Quoted
from routing.span import Span

_NUMBERS = {
    word: value
    for value, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=1
    )
} | {"a": 1, "an": 1, "the": 1, "couple": 2, "few": 3, "twelve": 12, "twenty-four": 24, "half": 1}
_UNITS = {"minute": 1 / 60, "hour": 1, "hr": 1, "day": 24, "week": 168, "month": 720}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
# What may stand before a time to make it a deadline
_LIMIT = (
    r"\b(?:(?:by|before|no\s{1,3}later\s{1,3}than|not\s{1,3}later\s{1,3}than|at\s{1,3}the\s{1,3}latest(?:\s{1,3}by)?)"
    r"|(?:due|expires?|expiring|deadline|needed|required)"
    r"(?:\s{1,3}(?:is|date|on|by|at|for|of|it)){0,3}\s{0,3}:?)\s{1,3}"
    r"(?:the\s{1,3}|this\s{1,3}|(?P<next>next\s{1,3})|(?P<latest>at\s{1,3}the\s{1,3}latest\s{1,3}))?"
)
_DEADLINE = re.compile(
    _LIMIT + r"(?:"
    r"(?P<today>today|tonight|midnight|noon|midday|lunch(?:time)?|eod|cob|end\s{1,3}of\s{1,3}(?:the\s{1,3}|this\s{1,3}|business\s{1,3})?"
    r"(?:business\s{1,3})?(?:day|today)|close\s{1,3}of\s{1,3}(?:business|play)|(?:this\s{1,3})?(?:morning|afternoon|evening))"
    r"|(?P<tomorrow>tomorrow)"
    r"|(?P<week>end\s{1,3}of\s{1,3}(?:the\s{1,3}|this\s{1,3})?(?:working\s{1,3}|business\s{1,3})?week|eow|weekend)"
    r"|(?P<month>end\s{1,3}of\s{1,3}(?:the\s{1,3}|this\s{1,3})?month|eom)"
    r"|(?P<year>\d{4})-(?P<month_number>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<slash_1>\d{1,2})(?P<mark>[/.])(?P<slash_2>\d{1,2})(?:(?P=mark)(?P<slash_year>\d{4}|\d{2}))?\b"
    r"|(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s{1,3})?(?:"
    rf"(?P<d_first>\d{{1,2}})(?:st|nd|rd|th)?\s{{1,3}}(?:of\s{{1,3}})?(?P<m_second>{_MONTH})\b"
    rf"|(?P<m_first>{_MONTH})\.?\s{{1,3}}(?P<d_second>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)"
    r")(?:,?\s{1,3}(?P<named_year>\d{4}))?"
    r"|(?:end\s{1,3}of\s{1,3}(?:day\s{1,3}|business\s{1,3})?(?:on\s{1,3})?)?(?:on\s{1,3})?(?P<weekday>(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
    r"|(?P<ordinal>\d{1,2})(?:st|nd|rd|th)\b"
    r"|(?:(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s{0,2}(?P<half>[ap]\.?m\b\.?|o['’]clock\b|h\b)"
    r"|(?P<clock>\d{1,2}:\d{2})\b)"
    r"(?:,?\s{1,3}(?:on\s{1,3})?(?P<clock_day>tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)day))?"
    r")",
    re.IGNORECASE,
)
_WITHIN = re.compile(
    r"\b(?:with)?in\s{1,3}(?:the\s{1,3})?(?:next\s{1,3}|coming\s{1,3})?(?P<count>\d{1,3}|"
    + "|".join(_NUMBERS)
    + r")?\s{0,3}(?:-\s{0,2})?(?:of\s{1,3}|an\s{1,3})?(?:(?:business|working|calendar)\s{1,3})?"
    r"(?P<unit>minute|hour|hr|day|week|month)s?\b",
    re.IGNORECASE,
)
# "within" promises or asks; "in two days" is a deadline only where something is asked for
_WITHIN_OTHERS = re.compile(
    r"\b(?:we|i)(?:\s{1,3}will|['’]ll|\s{1,3}shall|\s{1,3}aim|\s{1,3}try)\b[^.!?\n]{0,80}\Z"
    r"|\b(?:arrive[sd]?|shipped|delivered|refunded|back|return(?:ed)?|respond(?:ed)?)\s{1,3}\Z",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\b(?:need|please|must|require|due|expire|want)\w{0,3}\b[^.!?\n]{0,80}\Z", re.IGNORECASE
)


@dataclass(frozen=True)
class Deadline:
    """When something is wanted by (in the writer's own time zone) and the words that say so."""

    due: datetime
    span: Span


def _at(day: date, clock: time, reference: datetime) -> datetime:
    """Return that time of that day in the writer's zone."""
    return datetime.combine(day, clock, tzinfo=reference.tzinfo)


def _year_of(month: int, day: int, reference: datetime) -> int:
    """Return the year an undated day means: this one, or the next when it has long passed."""
    this = date(reference.year, month, day)
    return reference.year if this >= reference.date() - timedelta(days=30) else reference.year + 1


def _calendar_day(found: dict[str, str | None], reference: datetime) -> date | None:
    """Return the day of a written-out date, or None when it names none."""
    named = found["m_first"] or found["m_second"]
    if found["year"]:
        return date(int(found["year"]), int(found["month_number"] or 0), int(found["day"] or 0))
    if named:
        month = _MONTHS.index(named[:3].lower()) + 1
        day = int(found["d_first"] or found["d_second"] or 0)
        year = int(found["named_year"] or 0) or _year_of(month, day, reference)
        return date(year, month, day)
    if found["slash_1"] and (found["mark"] == "/" or found["slash_year"]):  # 3.5 is a number
        first, second = int(found["slash_1"]), int(found["slash_2"] or 0)
        year = int(found["slash_year"] or 0)
        year += 2000 if 0 < year < 100 else 0
        # 3/4 is April or March depending on the country; the sooner reading is the safer one
        readings = [
            date(year or _year_of(month, day, reference), month, day)
            for month, day in ((first, second), (second, first))
            if _exists(year or reference.year, month, day)
        ]
        ahead = [reading for reading in readings if reading >= reference.date()]
        return min(ahead or readings, default=None)
    if found["ordinal"]:
        day = int(found["ordinal"])
        this = reference.date()
        for _ in range(13):  # the next month that has such a day and where it is not over
            if _exists(this.year, this.month, day) and this.replace(day=day) >= reference.date():
                return this.replace(day=day)
            this = (this.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None


def _exists(year: int, month: int, day: int) -> bool:
    """Return whether the calendar has that day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _relative_day(found: dict[str, str | None], reference: datetime) -> date | None:
    """Return the day that "tomorrow", a weekday or the end of something means."""
    today = reference.date()
    if found["today"]:
        return today
    named = (found["weekday"] or found["clock_day"] or "").lower()
    if found["tomorrow"] or named == "tomorrow":
        return today + timedelta(days=1)
    if named:
        ahead = (_WEEKDAYS.index(named) - today.weekday()) % 7
        return today + timedelta(days=ahead + (7 if found["next"] and ahead < 3 else 0))
    if found["week"]:
        return today + timedelta(days=(4 - today.weekday()) % 7 + (7 if found["next"] else 0))
    if found["month"]:
        return (today.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return None


def _clock_time(found: dict[str, str | None]) -> time | None:
    """Return the time of day that was named, or None."""
    hour, minute = int(found["hour"] or 0), int(found["minute"] or 0)
    if found["clock"]:
        hour, minute = (int(part) for part in found["clock"].split(":"))
    elif found["hour"] is None:
        return None
    if (found["half"] or "").lower().startswith("p") and hour < 12:
        hour += 12
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _due(found: dict[str, str | None], reference: datetime) -> datetime | None:
    """Return when a limit falls, or None when it names no time after all."""
    clock = _clock_time(found)
    if clock is not None and found["clock_day"] is None:
        due = _at(reference.date(), clock, reference)
        return due if due >= reference else due + timedelta(days=1)
    day = _relative_day(found, reference) or _calendar_day(found, reference)
    word = (found["today"] or "").lower()
    end = time(12) if word in ("noon", "midday", "lunch", "lunchtime", "morning") else time(23, 59)
    return _at(day, clock or end, reference) if day else None


def _asked(match: re.Match[str], text: str) -> bool:
    """Return whether "within two days" limits the reader, not what somebody else will do."""
    before = text[max(0, match.start() - 100) : match.start()]
    if _WITHIN_OTHERS.search(before):
        return False
    if match.group().lower().startswith("within"):
        return True
    return match["count"] is not None and bool(_ASKING.search(before))


def find(text: str, quoted: Quoted, reference: datetime) -> list[Deadline]:
    """Return the deadlines that the sender names, in the order they stand.

    `reference` is when the mail was written (aware); days and clock times are read in its zone.
    """
    deadlines = []
    for match in _DEADLINE.finditer(text):
        try:
            due = _due(match.groupdict(), reference)
        except (ValueError, OverflowError):  # 31 June, the year 0
            due = None
        if due is not None and match.start() not in quoted:
            deadlines.append(Deadline(due, Span(*match.span(), 0.9)))
    for match in _WITHIN.finditer(text):
        if match.start() in quoted or not _asked(match, text):
            continue
        count = match["count"] or "1"
        hours = (_NUMBERS.get(count.lower()) or int(count)) * _UNITS[match["unit"].lower()]
        deadlines.append(Deadline(reference + timedelta(hours=hours), Span(*match.span(), 0.9)))
    return sorted(deadlines, key=lambda deadline: deadline.span)
