"""What can be told of a raw mail at a glance, before anybody parses it.

Doors use it: linear in the header block, of which they look at a megabyte at most.
"""

from __future__ import annotations

import contextlib
import email.header
import re

HEADER_BYTES = 1_000_000
NAME_CHARACTERS = 200

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_RECEIVED = re.compile(rb"^received[ \t]{0,8}:", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(rb"^subject[ \t]{0,8}:((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


def headers(raw: bytes) -> bytes:
    """Return the header block of a raw message, or its first megabyte where it does not end."""
    end = _HEADER_END.search(raw, 0, HEADER_BYTES)
    return raw[: end.end() if end else HEADER_BYTES]


def fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of a header block: names in lower case, values on one line."""
    found: list[tuple[bytes, list[bytes]]] = []
    for line in block.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if found:
                found[-1][1].append(line)
            continue
        name, colon, value = line.partition(b":")
        if colon:
            found.append((name.strip().lower(), [value]))
    return [(name, b" ".join(b" ".join(lines).split())) for name, lines in found]


def hops(raw: bytes) -> int:
    """Return how many servers say that they passed the message on."""
    return len(_RECEIVED.findall(headers(raw)))


def name_of(raw: bytes) -> str:
    """Return the subject, shortened, to show in lists until the mail is read; "" without one."""
    found = _SUBJECT.search(headers(raw)[:200_000])
    if found is None:
        return ""
    unfolded = re.sub(rb"[\r\n]+[ \t]*", b" ", found[1][:2000]).strip()
    try:
        text = unfolded.decode()
    except UnicodeDecodeError:
        text = unfolded.decode("latin-1")
    with contextlib.suppress(Exception):  # whatever a hostile subject does to the decoder
        text = str(email.header.make_header(email.header.decode_header(text)))
    printable = "".join(mark if mark.isprintable() else " " for mark in text)
    return " ".join(printable.split())[:NAME_CHARACTERS]
