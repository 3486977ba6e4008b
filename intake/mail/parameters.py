"""Parameters of Content-Type and Content-Disposition: RFC 2231, and what is sent in its place."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from intake.charsets import clean, decode
from intake.mail.encoded_words import decode_words, raw_text

_GAP = re.compile(r"[\s;]*")
_NAME = re.compile(r"([^\s=;\"]{1,100})\s*=\s*")
_CONTINUED = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?\Z")
_QUOTED_PAIR = re.compile(r'\\(["\\])')
MOST = 200  # parameters of one field


def split_value(raw: bytes, charset: str | None = None) -> tuple[str, dict[str, str]]:
    """Return a field's first token in lower case, and its parameters decoded, by name."""
    text = raw_text(raw, charset)
    main, _, rest = text.partition(";")
    main = _without_comment(main).strip()
    if "=" in main and not re.match(r"[\w.+-]+/[\w.+-]+\Z", main):
        # "text/plain charset=utf-8", or no main value at all
        head, _, tail = main.partition(" ")
        if "=" in head:
            head, tail = "", main
        main, rest = head, f"{tail};{rest}"
    token = main.strip().strip("\"'").lower()
    return token.split()[0] if token.split() else "", _parameters(rest, charset)


def _without_comment(text: str) -> str:
    return re.sub(r"\([^()]*\)", "", text) if "(" in text else text


def _parameters(text: str, charset: str | None) -> dict[str, str]:
    plain: dict[str, str] = {}
    parts: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in _pairs(text):
        match = _CONTINUED.match(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.setdefault(name, value)
        else:
            piece = (value, match[3] is not None)
            parts.setdefault(match[1], {}).setdefault(int(match[2] or 0), piece)
    found = {
        name: clean(decode_words(value, default=charset)).strip() for name, value in plain.items()
    }
    for name, pieces in parts.items():
        value = _join_pieces(pieces)
        if value:
            found[name] = value
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return names and values in order: quoted values unquoted, others up to the semicolon."""
    pairs: list[tuple[str, str]] = []
    place = 0
    while len(pairs) < MOST:
        gap = _GAP.match(text, place)
        place = gap.end() if gap else place
        match = _NAME.match(text, place)
        if match is None:
            skip = text.find(";", place)
            if skip < 0:
                break
            place = skip + 1
            continue
        value, place = _value(text, match.end())
        pairs.append((match[1].lower(), value))
    return pairs


def _value(text: str, place: int) -> tuple[str, int]:
    if text[place : place + 1] == '"':
        end = place + 1
        while (end := text.find('"', end)) >= 0:
            slashes = len(text[:end]) - len(text[:end].rstrip("\\")) if text[end - 1] == "\\" else 0
            if slashes % 2 == 0:
                break
            end += 1
        if end >= 0:
            return _QUOTED_PAIR.sub(r"\1", text[place + 1 : end]), end + 1
        return text[place + 1 :].split(";")[0].strip(), len(text)
    end = text.find(";", place)
    end = len(text) if end < 0 else end
    value = text[place:end].strip()
    if value.startswith("=?"):
        return value, end
    # two parameters with the semicolon between them forgotten
    glued = re.search(r"\s([A-Za-z-]{2,20}\*?)=(?=[\"\w])", value)
    if glued and not value.startswith("'"):
        return value[: glued.start()].strip(), place + glued.start()
    return value.strip("'") if len(value) > 1 and value[0] == value[-1] == "'" else value, end


def _join_pieces(pieces: dict[int, tuple[str, bool]]) -> str:
    """Return the value whose pieces were numbered; the first encoded one names the charset."""
    first, first_encoded = pieces.get(0, pieces[min(pieces)])
    charset: str | None = None
    if first_encoded and first.count("'") >= 2:
        charset, _, rest = first.split("'", 2)
        pieces = {**pieces, min(pieces): (rest, True)}
    data = b"".join(
        unquote_to_bytes(value) if encoded or charset else value.encode("utf-8", "replace")
        for _, (value, encoded) in sorted(pieces.items())
    )
    text = decode(data, charset or "utf-8")
    return clean(decode_words(text)).strip()
