"""Content-Transfer-Encoding: from what travelled to what was sent, damage and all."""

from __future__ import annotations

import binascii
import re

_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_SUSPECT = re.compile(rb"[^A-Za-z0-9+/=\s]")
_BASE64_TAIL = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
_UU_BEGIN = re.compile(rb"^begin(?:-base64)? +([0-7]{3,4}) +([^\r\n]{1,255})\r?\n", re.MULTILINE)


def decode_transfer(data: bytes, encoding: str) -> tuple[bytes, bytes]:
    """Return decoded bytes, and bytes that follow the encoded ones in plain (a list's footer)."""
    match encoding:
        case "base64":
            return decode_base64(data)
        case "quoted-printable":
            return decode_quoted_printable(data), b""
        case "x-uuencode" | "uuencode" | "x-uue" | "uue":
            files = find_uuencoded(data)
            return (files[0][3], b"") if files else (data, b"")
        case _:
            return data, b""


def decode_base64(data: bytes) -> tuple[bytes, bytes]:
    """Return decoded bytes and what follows them unencoded; never fails.

    Characters outside the alphabet are skipped, a last group cut short gives what it holds, and
    a second encoded run after a padded one is read on, as some mailers join runs.
    """
    end = _footer_start(data)
    encoded, footer = data[:end], data[end:]
    packed = encoded.translate(None, _NOT_BASE64)
    if b"=" not in packed.rstrip(b"="):
        return _decode_group(packed.rstrip(b"=")), footer
    runs = re.split(rb"=+", packed)
    return b"".join(map(_decode_group, runs)), footer


def _footer_start(data: bytes) -> int:
    """Return where encoded bytes end and a mailing list's footer begins, or their length.

    That is at a line that cannot be base64, below an empty line or below padding.
    """
    if not _SUSPECT.search(data):
        return len(data)
    place = characters = 0
    closed = False
    for line in data.splitlines(keepends=True):
        text = line.strip()
        if closed and text and characters and characters % 4 == 0 and not _may_continue(text):
            return place
        closed = not text or text.endswith(b"=")
        characters += len(text)
        place += len(line)
    return len(data)


def _may_continue(line: bytes) -> bool:
    return len(line) % 4 == 0 and len(line) >= 4 and _BASE64_TAIL.match(line) is not None


def _decode_group(characters: bytes) -> bytes:
    whole = len(characters) - len(characters) % 4
    rest = characters[whole:]
    if len(rest) == 1:  # six bits are no byte
        rest = b""
    padding = b"=" * (-len(rest) % 4)
    try:
        return binascii.a2b_base64(characters[:whole] + rest + padding)
    except binascii.Error:
        return b""


def decode_quoted_printable(data: bytes) -> bytes:
    """Return decoded bytes; what is no valid escape stays as it is."""
    return binascii.a2b_qp(data)


def find_uuencoded(data: bytes) -> list[tuple[int, int, str, bytes]]:
    """Return start, end, name and bytes of each whole uuencoded file in a text."""
    found: list[tuple[int, int, str, bytes]] = []
    place = 0
    while begin := _UU_BEGIN.search(data, place):
        decoded, end = _decode_uu(data, begin.end())
        if decoded is None:
            place = begin.end()
            continue
        found.append((begin.start(), end, begin[2].decode("utf-8", "replace").strip(), decoded))
        place = end
    return found


def _decode_uu(data: bytes, start: int) -> tuple[bytes | None, int]:
    """Return the file that begins at `start` and the place after its `end`; None if it is none."""
    pieces: list[bytes] = []
    place = start
    while place < len(data):
        stop = data.find(b"\n", place)
        stop = len(data) if stop < 0 else stop
        line = data[place:stop].rstrip(b"\r")
        place = stop + 1
        if line.strip() == b"end":
            return b"".join(pieces), min(place, len(data))
        if line.strip() in (b"", b"`"):
            continue
        if _UU_BEGIN.match(line + b"\n"):  # another file begins where this one has not ended
            return None, start
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            # a mailer's trailing garbage: take the characters that the count asks for
            count = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                pieces.append(binascii.a2b_uu(line[: count + 1]))
            except binascii.Error:
                return None, start
    return None, start
