"""S/MIME in one piece: the mail within its signature, read but not verified (RFC 8551, RFC 5652).

The signed bytes stand in the clear within ASN.1. We follow the few elements that lead to them, in
DER and in BER (programs that stream write lengths they do not know yet), and believe no length
beyond the bytes there are. Whether the signature is good is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

DEPTH = 12  # elements within elements, on the way and in a string of pieces
PIECES = 100_000  # of one string

_SEQUENCE, _OBJECT_ID, _OCTETS, _PIECED_OCTETS, _CONTENT = 0x30, 0x06, 0x04, 0x24, 0xA0
_DATA = bytes.fromhex("2a864886f70d010701")
_SIGNED = bytes.fromhex("2a864886f70d010702")


class NotSignedError(ValueError):
    """These bytes are no signed message with its content inside."""


@dataclass(frozen=True)
class _Element:
    """One element: its tag, where its content begins and ends, and where the next one begins."""

    tag: int
    start: int
    end: int
    after: int


def signed_content(data: bytes) -> bytes:
    """Return the bytes that were signed: a part of a mail with its own header.

    Raises NotSignedError when they are encrypted, elsewhere, or cannot be found.
    """
    try:
        return _signed_content(data)
    except (IndexError, RecursionError) as error:
        raise NotSignedError("this signed message is damaged") from error


def _signed_content(data: bytes) -> bytes:
    signed = _within(data, _expect(data, 0, _SEQUENCE), _SIGNED)
    body = _expect(data, signed.start, _SEQUENCE)
    version = _element(data, body.start)
    algorithms = _element(data, version.after)
    content = _within(data, _expect(data, algorithms.after, _SEQUENCE), _DATA)
    return b"".join(_octets(data, _element(data, content.start), DEPTH))


def _within(data: bytes, sequence: _Element, kind: bytes) -> _Element:
    """Return the content of a sequence that names its kind first, when it is of that kind."""
    name = _expect(data, sequence.start, _OBJECT_ID)
    if data[name.start : name.end] != kind or name.after >= sequence.end:
        raise NotSignedError("this is another kind of message")
    return _expect(data, name.after, _CONTENT)


def _expect(data: bytes, place: int, tag: int) -> _Element:
    element = _element(data, place)
    if element.tag != tag:
        raise NotSignedError("this is another kind of message")
    return element


def _element(data: bytes, place: int, depth: int = DEPTH) -> _Element:
    """Return the element at a place; one of unknown length is walked to its end."""
    tag, length = data[place], data[place + 1]
    start = place + 2
    if tag & 0x1F == 0x1F or depth <= 0:
        raise NotSignedError("this signed message is damaged")
    if length == 0x80:
        inner = start
        for _ in range(PIECES):
            if data[inner : inner + 2] == b"\0\0":
                return _Element(tag, start, inner, inner + 2)
            inner = _element(data, inner, depth - 1).after
        raise NotSignedError("this signed message is damaged")
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise NotSignedError("this signed message ends too early")
    return _Element(tag, start, start + length, start + length)


def _octets(data: bytes, element: _Element, depth: int) -> list[bytes]:
    """Return the pieces of an octet string."""
    if element.tag == _OCTETS:
        return [data[element.start : element.end]]
    if element.tag != _PIECED_OCTETS or depth <= 0:
        raise NotSignedError("this is another kind of message")
    pieces: list[bytes] = []
    place = element.start
    while place < element.end and len(pieces) < PIECES:
        piece = _element(data, place)
        pieces += _octets(data, piece, depth - 1)
        place = piece.after
    return pieces
