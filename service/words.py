"""How states, sizes, times and confidences are said on a page."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from flask import Flask, url_for
from markupsafe import Markup

from settings import Settings

STATIC = Path(__file__).parent / "static"

STATES = {
    "waiting": "Waiting",
    "running": "Being read",
    "done": "Read",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
SOURCES = {
    "web": "through this page",
    "api": "over the API",
    "smtp": "by mail",
    "imap": "from a mailbox",
    "command": "from the command line",
    "attachment": "as an attachment",
    "batch": "in a batch",
}
TYPES = {"text": "Text", "pdf": "PDF", "docx": "Word", "eml": "Mail", "html": "HTML"}
UNITS = ("bytes", "kB", "MB", "GB")
SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def size(count: int) -> str:
    """Return a number of bytes as people say it: `12 kB`."""
    value = float(count)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            break
        value /= 1000
    shown = f"{value:.0f}" if unit == "bytes" or value >= 10 else f"{value:.1f}"
    return f"{shown} {'byte' if shown == '1' and unit == 'bytes' else unit}"


def number(count: int) -> str:
    """Return a count with its thousands marked."""
    return f"{count:,}"


def percent(share: float) -> str:
    """Return a share in whole percent; less than certain is never called 100 %."""
    whole = round(100 * share)
    if share < 1:
        whole = min(whole, 99)
    return f"{whole} %"


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit: `3 minutes`."""
    for length, unit in SPANS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a second"


def ago(moment: datetime) -> Markup:
    """Return how long ago something was, with the exact time for who needs it."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    words = "just now" if seconds < 5 else f"{duration(seconds)} ago"
    exact = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


def phrase(name: str) -> str:
    """Return a head's, label's or kind's name as words: `wants_answer` is "Wants answer"."""
    words = name.replace("_", " ").strip()
    if words.isupper():
        words = words.lower()
    return words[:1].upper() + words[1:]


def codes(words: str) -> Markup:
    """Return words with what stands between backticks set as code."""
    parts = words.split("`")
    pieces = [Markup("<code>{}</code>") if i % 2 else Markup("{}") for i in range(len(parts))]
    return Markup("").join(piece.format(part) for piece, part in zip(pieces, parts, strict=True))


@cache
def asset(name: str) -> str:
    """Return a static file's address, which changes with its content so that it can be kept."""
    mark = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return url_for("static", filename=name, v=mark)


def register(app: Flask, settings: Settings) -> None:
    """Make these words known to the templates."""
    for word in (ago, codes, duration, number, percent, phrase, size):
        app.jinja_env.filters[word.__name__] = word
    app.jinja_env.globals.update(asset=asset, STATES=STATES, SOURCES=SOURCES, TYPES=TYPES)
