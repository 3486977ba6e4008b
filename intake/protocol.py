"""What the parser and its reading processes say to each other, in frames of JSON and bytes.

A job goes out as one datagram with three file descriptors: the bodies (an anonymous file), a pipe
for results and a pipe for the end. A result comes back as one frame a document:
8 bytes length of the JSON, 8 bytes length of the blobs, the JSON, the blobs.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from typing import Any

from intake.errors import IntakeError, from_json
from intake.parsed import Parsed, pack, unpack

FRAME = struct.Struct(">QQ")


def write_result(descriptor: int, result: Parsed | IntakeError) -> None:
    """Write one frame; blocks until the reader has taken it."""
    blobs: list[bytes] = []
    if isinstance(result, Parsed):
        packed, blobs = pack(result)
        message: dict[str, Any] = {"parsed": packed}
    else:
        message = {"error": result.to_json()}
    text = json.dumps(message, ensure_ascii=False).encode("utf-8")
    _write_all(descriptor, FRAME.pack(len(text), sum(map(len, blobs))))
    _write_all(descriptor, text)
    for blob in blobs:
        _write_all(descriptor, blob)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_results(data: bytes) -> Iterator[Parsed | IntakeError]:
    """Yield the whole frames in `data`; one that was cut short is not yielded."""
    place = 0
    while place + FRAME.size <= len(data):
        text_size, blobs_size = FRAME.unpack_from(data, place)
        place += FRAME.size
        if place + text_size + blobs_size > len(data):
            return
        message = json.loads(data[place : place + text_size])
        place += text_size
        end = place + blobs_size
        if "error" in message:
            yield from_json(message["error"])
        else:
            sizes = _attachment_sizes(message["parsed"])
            yield unpack(message["parsed"], _slices(data, place, sizes))
        place = end


def _attachment_sizes(packed: dict[str, Any]) -> list[int]:
    mail = packed["mail"]
    return [attachment["size"] for attachment in mail["attachments"]] if mail else []


def _slices(data: bytes, place: int, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[place : place + size]
        place += size
