"""Header text: RFC 2047 encoded words as they are really written.

Mail programs split characters over two words, leave blanks inside, glue words to other text,
forget the end or lie about the charset. Words that stand side by side with the same charset are
joined as bytes before they become characters.
"""

from __future__ import annotations

import re

from intake.charsets import clean, decode
from intake.mail.transfer import decode_base64, decode_quoted_printable

CHARSET_CHARACTERS = 60

_BLANKS = re.compile(r"[ \t\r\n]+")
_START = re.compile(r"=\?([A-Za-z0-9_.:\-+]{1,60})(?:\*[A-Za-z0-9-]{0,20})?\?([BbQq])\?", re.ASCII)


def decode_words(text: str, *, default: str | None = None) -> str:
    """Return header text with its encoded words replaced by what they stand for.

    `default` is the charset that a word of no known charset is read in. Linear in the length.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    run: list[tuple[str, bytes]] = []  # words side by side: charset and bytes
    place = 0
    searchable = True
    while searchable and (start := _START.search(text, place)):
        end = _find_end(text, start)
        if end is None:
            searchable = False
            break
        between = text[place : start.start()]
        if between.strip() or not run:
            pieces.append(_flush(run, default))
            pieces.append(between)
        run.append((start[1].lower(), _word_bytes(start[2], text[start.end() : end])))
        place = end + 2
    pieces.append(_flush(run, default))
    pieces.append(text[place:])
    return "".join(pieces)


def _find_end(text: str, start: re.Match[str]) -> int | None:
    """Return where the closing `?=` of a word begins; a Q word may hold `?=3D` and the like."""
    place = text.find("?=", start.end())
    while place >= 0 and start[2] in "Qq":
        after = text[place + 2 : place + 4]
        closes = not re.fullmatch(r"[0-9A-F]{2}", after) or text.find("?=", place + 2) < 0
        following = text.find("?=", place + 2)
        if closes or "=?" in text[place + 2 : following]:
            break
        place = following
    return place if place >= 0 else None


def _word_bytes(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8", "surrogateescape")
    if encoding in "Bb":
        return decode_base64(raw)[0]
    return decode_quoted_printable(raw.replace(b"_", b" ").replace(b"\n", b"").replace(b"\r", b""))


def _flush(run: list[tuple[str, bytes]], default: str | None) -> str:
    pieces: list[str] = []
    place = 0
    while place < len(run):
        charset = run[place][0]
        end = place
        while end < len(run) and run[end][0] == charset:
            end += 1
        pieces.append(_decode_run([data for _, data in run[place:end]], charset, default))
        place = end
    run.clear()
    return "".join(pieces)


def _decode_run(words: list[bytes], charset: str, default: str | None) -> str:
    if charset.startswith(("iso-2022", "utf-7", "hz", "unicode-1-1-utf-7")):
        # charsets with states begin each word afresh, unless one ends within a character
        return "".join(decode(word, charset) for word in _join_states(words))
    return decode(b"".join(words), charset if charset not in UNKNOWN else default)


def _join_states(words: list[bytes]) -> list[bytes]:
    """Return words with those joined whose first one never went back to plain letters."""
    joined: list[bytes] = []
    for word in words:
        last = joined[-1] if joined else b""
        if last.rfind(b"\x1b$") > last.rfind(b"\x1b(") and not word.startswith(b"\x1b"):
            joined[-1] = last + word
        else:
            joined.append(word)
    return joined


UNKNOWN = frozenset(("unknown", "x-unknown", "unknown-8bit", "default", "none"))


def raw_text(raw: bytes, default: str | None) -> str:
    """Return a field's bytes as characters: UTF-8 where they are, or else in the mail's charset."""
    try:
        return clean(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(decode(raw, default))


def header_text(raw: bytes, *, default: str | None = None) -> str:
    """Return one header's value as a person reads it: decoded, on one line."""
    text = raw_text(raw, default)
    text = decode_words(_BLANKS.sub(" ", text) if "=?" in text else text, default=default)
    text = clean(text).replace("\n", " ").replace("\t", " ")
    return text.strip()
