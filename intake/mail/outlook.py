"""winmail.dat: the package in which Outlook sends files to people who do not use it.

The format is Microsoft's [MS-OXTNEF]: attributes one after the other, some of which hold lists of
MAPI properties. We read the files and the text, and pass over everything else; lengths are never
believed beyond the bytes there are. Formatted text that is only there as RTF is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from intake.charsets import clean, decode
from intake.parsed import Attachment

SIGNATURE = b"\x78\x9f\x3e\x22"
ATTRIBUTES = 20_000  # of one package, and properties of one list
FILES = 2_000
DEPTH = 3  # packages within packages

_FILE_LEVEL = 2
_BODY, _FILE_DATA, _FILE_TITLE = 0x800C, 0x800F, 0x8010
_FILE_BEGINS, _PROPERTIES, _FILE_PROPERTIES, _CODE_PAGE = 0x9002, 0x9003, 0x9005, 0x9007
_TEXT, _HTML, _HTML_CODE_PAGE = 0x1000, 0x1013, 0x3FDE
_NAME, _DATA, _SHORT_NAME, _LONG_NAME, _MEDIA_TYPE = 0x3001, 0x3701, 0x3704, 0x3707, 0x370E
_SIZES = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 2, 20: 8, 64: 8, 72: 16}
_STRING, _UNICODE, _OBJECT, _BINARY = 0x1E, 0x1F, 0x0D, 0x102
_LONG = frozenset((_STRING, _UNICODE, _OBJECT, _BINARY))
_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")  # an object that is a mail


class NoPackageError(ValueError):
    """These bytes are no package, or end before one begins."""


@dataclass
class Package:
    """What a package holds; `html` is still in the charset of `html_charset`."""

    text: str = ""
    html: bytes = b""
    html_charset: str | None = None
    files: list[Attachment] = field(default_factory=list)


@dataclass
class _File:
    """One file while its attributes are read."""

    names: dict[int, str] = field(default_factory=dict)
    type: str = ""
    data: bytes = b""
    inner: bytes = b""  # a package of its own: a mail that was attached

    def name(self) -> str | None:
        order = (_LONG_NAME, _SHORT_NAME, _FILE_TITLE, _NAME)
        return next((self.names[key] for key in order if self.names.get(key)), None)


def unpack(data: bytes, *, depth: int = DEPTH) -> Package:
    """Return the text and files of a package, those of mails attached within it too.

    Raises NoPackageError for bytes that are none; a damaged one gives what stands before it breaks.
    """
    if not data.startswith(SIGNATURE):
        raise NoPackageError("these bytes do not begin as a package does")
    package = Package()
    codec = "cp1252"
    files: list[_File] = []
    for level, name, value in _attributes(memoryview(data)):
        if name == _CODE_PAGE and len(value) >= 4:
            codec = _code_page(_number(value))
        elif name == _FILE_BEGINS:
            files.append(_File())
        elif level == _FILE_LEVEL and files:
            _read_file(files[-1], name, value, codec)
        elif name == _BODY:
            package.text = package.text or _tidy(decode(bytes(value), codec))
        elif name == _PROPERTIES:
            _read_message(package, value, codec)
        if len(files) > FILES:
            break
    for file in files:
        _add(package, file, depth)
    return package


def _add(package: Package, file: _File, depth: int) -> None:
    if file.inner:
        _add_mail(package, file, depth)
    elif file.data or file.name():
        kind = file.type if "/" in file.type else "application/octet-stream"
        package.files.append(Attachment(file.name(), kind.lower(), file.data))


def _add_mail(package: Package, file: _File, depth: int) -> None:
    """Add what an attached mail says as a file, and its files after it."""
    name = file.name() or "mail"
    try:
        inner = unpack(file.inner, depth=depth - 1) if depth > 0 else Package()
    except NoPackageError:
        inner = Package()
    if inner.html:
        package.files.append(Attachment(f"{name}.html", "text/html", inner.html))
    elif inner.text:
        package.files.append(Attachment(f"{name}.txt", "text/plain", inner.text.encode()))
    else:
        package.files.append(Attachment(name, "application/ms-tnef", file.inner))
    package.files += inner.files


def _attributes(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield level, name and value of each whole attribute."""
    place = len(SIGNATURE) + 2
    for _ in range(ATTRIBUTES):
        if place + 9 > len(data):
            return
        level, name, _, size = struct.unpack_from("<BHHI", data, place)
        place += 9
        if size > len(data) - place:
            return
        yield level, name, data[place : place + size]
        place += size + 2  # and a checksum, which tells us nothing that a file's own does not


def _read_file(file: _File, name: int, value: memoryview, codec: str) -> None:
    if name == _FILE_TITLE:
        file.names[_FILE_TITLE] = _tidy(decode(bytes(value), codec))
    elif name == _FILE_DATA:
        file.data = file.data or bytes(value)
    elif name == _FILE_PROPERTIES:
        for kind, key, item in _properties(value):
            if key in (_LONG_NAME, _SHORT_NAME, _NAME):
                file.names[key] = _string(kind, item, codec)
            elif key == _MEDIA_TYPE:
                file.type = _string(kind, item, codec)
            elif key == _DATA and bytes(item[:16]) == _MESSAGE:
                file.inner = bytes(item[16:])
            elif key == _DATA and kind in (_OBJECT, _BINARY):
                # an object begins with what kind of one it is
                file.data = bytes(item[16:] if kind == _OBJECT else item)


def _read_message(package: Package, value: memoryview, codec: str) -> None:
    for kind, key, item in _properties(value):
        if key == _TEXT and kind in (_STRING, _UNICODE):
            package.text = _string(kind, item, codec)
        elif key == _HTML and kind == _BINARY:
            package.html = bytes(item).rstrip(b"\0")
        elif key == _HTML and kind in (_STRING, _UNICODE):
            package.html = _string(kind, item, codec).encode()
            package.html_charset = "utf-8"
        elif key == _HTML_CODE_PAGE and len(item) >= 4 and package.html_charset is None:
            package.html_charset = _code_page(_number(item))


def _properties(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield type, name and first value of each property, up to one that cannot be understood."""
    try:
        yield from _read_properties(data)
    except struct.error:  # the list ends before it should
        return


def _read_properties(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    place = 4
    for _ in range(min(_number(data), ATTRIBUTES)):
        kind, key = struct.unpack_from("<HH", data, place)
        place += 4
        if key >= 0x8000:  # a name of its own, which says nothing to us
            place = _skip_name(data, place)
        many, kind = bool(kind & 0x1000), kind & 0xEFFF
        count = 1
        if many or kind in _LONG:
            (count,) = struct.unpack_from("<I", data, place)
            place += 4
        if kind in _LONG:
            for index in range(min(count, ATTRIBUTES)):
                (size,) = struct.unpack_from("<I", data, place)
                place += 4
                if size > len(data) - place:
                    return
                if index == 0:
                    yield kind, key, data[place : place + size]
                place += _padded(size)
        elif kind in _SIZES:
            size = _SIZES[kind] * count
            if size > len(data) - place:
                return
            yield kind, key, data[place : place + _SIZES[kind]]
            place += _padded(size)
        elif kind != 1:  # of no type that there is
            return


def _skip_name(data: memoryview, place: int) -> int:
    (has_text,) = struct.unpack_from("<I", data, place + 16)
    (number,) = struct.unpack_from("<I", data, place + 20)
    return place + 24 + (_padded(number) if has_text else 0)


def _padded(size: int) -> int:
    return size + -size % 4


def _number(value: memoryview) -> int:
    return int(struct.unpack_from("<I", value)[0])


def _code_page(number: int) -> str:
    return "utf-8" if number == 65001 else f"cp{number}"


def _string(kind: int, value: memoryview, codec: str) -> str:
    if kind == _UNICODE:
        return _tidy(bytes(value).decode("utf-16-le", "replace"))
    return _tidy(decode(bytes(value), codec))


def _tidy(text: str) -> str:
    return clean(text.partition("\0")[0])
