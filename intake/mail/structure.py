"""A mail's parts, as slices of its own bytes: nothing is rewritten, so that every hash holds.

We cut the parts ourselves and not with the standard library's parser because that one rebuilds
attached messages from their fields, which changes their bytes, and gives up on the header block
at the first broken line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from intake.mail.headers import Headers, read_headers
from intake.mail.parameters import split_value
from intake.mail.transfer import decode_transfer

BARE_TYPES = {
    "text": "text/plain",
    "plain": "text/plain",
    "html": "text/html",
    "multipart": "multipart/mixed",
}
PARTS = 5_000  # of one mail; what follows is left in the last one

_GUESS = re.compile(
    rb"(?:\A|[\r\n])--([^\r\n]{1,200}?)[ \t]*(?:\r\n|\r|\n)(?=Content-[A-Za-z-]{2,40}[ \t]*:)",
    re.IGNORECASE,
)


@dataclass
class Part:
    """One part of a mail, with the parts within it."""

    headers: Headers
    body: memoryview  # as it travelled
    type: str = "text/plain"  # lower case
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""  # "attachment", "inline" or ""
    disposition_parameters: dict[str, str] = field(default_factory=dict)
    children: list[Part] = field(default_factory=list)
    root: bool = False

    @property
    def encoding(self) -> str:
        """The transfer encoding, in lower case."""
        raw = self.headers.raw("content-transfer-encoding").decode("ascii", "ignore")
        tokens = re.split(r"[;\s(]", raw.strip().strip("\"'").lower())
        return tokens[0] if tokens else ""

    @property
    def charset(self) -> str | None:
        """The charset that the part states."""
        return self.parameters.get("charset")

    @property
    def name(self) -> str | None:
        """The file name that the part states, Content-Disposition before Content-Type."""
        for value in (
            self.disposition_parameters.get("filename"),
            self.parameters.get("name"),
            self.disposition_parameters.get("name"),
            self.parameters.get("filename"),
        ):
            if value:
                return value[:1000]
        return None

    def decoded(self) -> tuple[bytes, bytes]:
        """Return the bytes that were sent, and what followed them unencoded."""
        return decode_transfer(bytes(self.body), self.encoding)

    def walk(self) -> Iterator[Part]:
        """Yield this part and all within it, in their order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass
class _Counter:
    left: int


def parse_message(body: bytes | memoryview, *, depth: int) -> Part:
    """Return a mail's parts; multiparts deeper than `depth` are leaves."""
    return _parse(memoryview(body), depth, _Counter(PARTS), default="text/plain", top=True)


def _parse(data: memoryview, depth: int, counter: _Counter, *, default: str, top: bool) -> Part:
    headers, start = read_headers(data, top=top)
    part = _describe(headers, data[start:], default)
    part.root = top
    counter.left -= 1
    if depth > 0 and part.type.startswith("multipart/"):
        boundary = part.parameters.get("boundary", "").encode("utf-8", "replace").rstrip()
        _divide(part, boundary, depth, counter)
    elif top and not headers.raw("content-type") and depth > 0:
        guess = _guess_boundary(part.body, near=True)
        if guess:
            _divide(part, guess, depth, counter)
            if part.children:
                part.type = "multipart/mixed"
    return part


def _describe(headers: Headers, body: memoryview, default: str) -> Part:
    token, parameters = split_value(headers.raw("content-type"))
    charset = parameters.get("charset")
    headers.charset = charset
    if not headers.raw("content-type").isascii():
        token, parameters = split_value(headers.raw("content-type"), charset)
    disposition, disposition_parameters = split_value(headers.raw("content-disposition"), charset)
    return Part(
        headers,
        body,
        type=_media_type(token, default),
        parameters=parameters,
        disposition=disposition,
        disposition_parameters=disposition_parameters,
    )


def _media_type(token: str, default: str) -> str:
    if not token:
        return default
    if "/" in token:
        return token.rstrip(",.:")
    return BARE_TYPES.get(token, "application/octet-stream")


def _divide(part: Part, boundary: bytes, depth: int, counter: _Counter) -> None:
    spans = list(_spans(part.body, boundary)) if boundary else []
    if not spans:
        guess = _guess_boundary(part.body, near=False)
        spans = list(_spans(part.body, guess)) if guess else []
    default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
    for start, end in spans:
        if counter.left <= 0:
            break
        child = _parse(part.body[start:end], depth - 1, counter, default=default, top=False)
        part.children.append(child)


def _guess_boundary(body: memoryview, *, near: bool) -> bytes | None:
    """Return a delimiter that the body itself shows: `--something` above a Content- field."""
    match = _GUESS.search(body[:1_000_000])
    if match and near and bytes(body[: match.start()]).strip():
        return None
    return bytes(match[1]) if match else None


def _spans(body: memoryview, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each part between the delimiters begins and ends.

    The line end before a delimiter belongs to the delimiter. A part that no delimiter closes
    goes to the end; text after a closing delimiter is nobody's until another one opens.
    """
    delimiter = re.compile(rb"--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\r|\n|\Z)")
    start: int | None = None
    for match in delimiter.finditer(body):
        place = match.start()
        if place and body[place - 1] not in b"\r\n":
            continue
        if start is not None:
            yield start, _before_line_end(body, start, place)
        start = None if match[1] else match.end()
    if start is not None and start < len(body):
        yield start, len(body)


def _before_line_end(body: memoryview, start: int, place: int) -> int:
    if place > start and body[place - 1] == 10:
        place -= 1
    if place > start and body[place - 1] == 13:
        place -= 1
    return place
