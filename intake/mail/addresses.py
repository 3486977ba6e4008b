"""Address lists: who a mail is from and to, as written by programs that never read RFC 5322."""

from __future__ import annotations

import re
from dataclasses import dataclass

from intake.charsets import clean
from intake.mail.encoded_words import decode_words

_PLAIN_NAME = re.compile(r"[\w !#$%&'*+/=?^`{|}~.-]*\Z")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@]{1,200}@[^\s<>()\[\],;:\"@]{1,255}")
_BLANKS = re.compile(r"\s+")
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_WORD = re.compile(r"=\?[^?\s]{1,60}\?[BbQq]\?[^?]{0,1000}\?=")
MOST = 2_000  # addresses of one field


@dataclass(frozen=True)
class Address:
    """One mailbox: the name that people see, and where mail goes."""

    name: str
    address: str

    def __str__(self) -> str:
        """Return `Name <address>`, the name quoted where it has to be."""
        if not self.name:
            return self.address
        name = self.name
        if not _PLAIN_NAME.match(name):
            name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{name} <{self.address}>" if self.address else name


def parse_addresses(text: str, *, default: str | None = None) -> list[Address]:
    """Return the mailboxes of a field, groups opened up; encoded words are decoded afterwards,
    so that a comma within one divides nothing."""
    found: list[Address] = []
    for tokens in _split(text):
        if ":" in text and all(token.kind == "comment" for token in tokens):
            continue  # a remark on a group that is empty
        address = _read_mailbox(tokens, default)
        if address is not None:
            found.append(address)
        if len(found) >= MOST:
            break
    return found


@dataclass(frozen=True)
class _Token:
    kind: str  # "text", "quoted", "comment" or "angle"
    value: str


def _split(text: str) -> list[list[_Token]]:
    """Return the tokens of each mailbox; a group's name is dropped."""
    boxes: list[list[_Token]] = [[]]
    comments = _ends_of_comments(text)
    unclosed: set[str] = set()  # signs that nothing closes from here on
    place, start = 0, 0

    def add_text(end: int) -> None:
        if text[start:end].strip():
            boxes[-1].append(_Token("text", text[start:end]))

    while place < len(text):
        character = text[place]
        word_end = _end_of_word(text, place) if text.startswith("=?", place) else None
        if word_end:
            place = word_end
            continue
        if character in KINDS and character not in unclosed:
            end = _end_of_token(text, place, comments)
            if end is None:
                if character != "(":
                    unclosed.add(character)
                place += 1
                continue
            add_text(place)
            boxes[-1].append(_Token(KINDS[character], text[place + 1 : end]))
            place = start = end + 1
        elif character in ",;":
            add_text(place)
            boxes.append([])
            place = start = place + 1
        elif character == ":" and _opens_group(text, start, place, boxes[-1]):
            boxes[-1] = []
            place = start = place + 1
        else:
            place += 1
    add_text(len(text))
    return [tokens for tokens in boxes if tokens]


KINDS = {'"': "quoted", "(": "comment", "<": "angle"}


def _end_of_token(text: str, place: int, comments: dict[int, int]) -> int | None:
    match text[place]:
        case '"':
            return _end_of_quote(text, place)
        case "<":
            return _end_of_angle(text, place)
        case _:
            return comments.get(place)


def _opens_group(text: str, start: int, place: int, tokens: list[_Token]) -> bool:
    return "@" not in text[start:place] and not any(token.kind == "angle" for token in tokens)


def _end_of_word(text: str, place: int) -> int | None:
    """Return the end of an encoded word: commas and quotes in it divide nothing."""
    match = _WORD.match(text, place)
    return match.end() if match else None


def _end_of_quote(text: str, place: int) -> int | None:
    place += 1
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == '"':
            return place
        place += 1
    return None


def _ends_of_comments(text: str) -> dict[int, int]:
    """Return where each parenthesis that is closed is closed; those within another stand too."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for match in _PARENTHESIS.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif match[0] == ")" and opened:
            ends[opened.pop()] = match.start()
    return ends


def _end_of_angle(text: str, place: int) -> int | None:
    end = text.find(">", place)
    return end if end >= 0 else None


def _read_mailbox(tokens: list[_Token], default: str | None) -> Address | None:
    angles = [token.value for token in tokens if token.kind == "angle"]
    words = [token for token in tokens if token.kind in ("text", "quoted")]
    comments = [token.value for token in tokens if token.kind == "comment"]
    if angles:
        address = next((value for value in reversed(angles) if "@" in value), angles[-1])
        name = " ".join(_word(token) for token in words)
    else:
        joined = "".join(
            f'"{token.value}"' if token.kind == "quoted" else token.value for token in words
        ).strip()
        match = _ADDRESS.search(joined)
        if match and match[0] != joined and '"' not in joined:
            address, name = match[0], joined.replace(match[0], " ")
            name = name.strip(" <>[]'\"")
        elif "@" in joined or not any(token.kind == "quoted" for token in words):
            address, name = joined, ""
        else:
            address, name = "", " ".join(_word(token) for token in words)
        name = name or " ".join(comments)
    address = _tidy_address(address, default)
    name = _tidy_name(name, default)
    if not address and not name:
        return None
    if address and not name and " " in address and "@" not in address:
        return Address(address, "")
    return Address("" if name == address else name, address)


def _word(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.value) if token.kind == "quoted" else token.value.strip()


def _tidy_address(address: str, default: str | None) -> str:
    address = address.strip().strip("<>").strip()
    if "=?" in address:
        address = clean(decode_words(address, default=default))
    if address.startswith("@") and ":" in address:  # a source route: @relay,@relay:user@host
        address = address.rpartition(":")[2]
    if address.lower().startswith("mailto:"):
        address = address[7:]
    if "@" in address:
        local, _, domain = address.rpartition("@")
        address = f"{local.strip()}@{_BLANKS.sub('', domain)}"
    return address.strip()


def _tidy_name(name: str, default: str | None) -> str:
    name = clean(decode_words(_BLANKS.sub(" ", name), default=default))
    name = _BLANKS.sub(" ", name).strip(" <>")
    while len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1].strip()
    return name
