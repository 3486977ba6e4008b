"""Wrappings made for the tests: Outlook's winmail.dat, and S/MIME in one piece."""

from __future__ import annotations

import datetime
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

STRING, UNICODE, OBJECT, BINARY, LONG = 0x1E, 0x1F, 0x0D, 0x102, 3
TEXT, HTML, NAME, DATA, LONG_NAME, MEDIA_TYPE = 0x1000, 0x1013, 0x3001, 0x3701, 0x3707, 0x370E
MESSAGE = bytes.fromhex("0703020000000000c000000000000046")


def attribute(level: int, name: int, value: bytes) -> bytes:
    """Return one attribute of a package with its checksum."""
    head = struct.pack("<BHHI", level, name, 6, len(value))
    return head + value + struct.pack("<H", sum(value) & 0xFFFF)


def prop(kind: int, key: int, value: bytes, *, named: bool = False) -> bytes:
    """Return one MAPI property; `named` gives it a name of its own."""
    head = struct.pack("<HH", kind, 0x8001 if named else key)
    if named:
        text = "Colour".encode("utf-16-le")
        head += bytes(16) + struct.pack("<II", 1, len(text)) + text
    if kind == LONG:
        return head + value
    padded = value + bytes(-len(value) % 4)
    return head + struct.pack("<II", 1, len(value)) + padded


def props(*items: bytes) -> bytes:
    """Return a list of properties."""
    return struct.pack("<I", len(items)) + b"".join(items)


def file(name: str, body: bytes, *, media_type: str = "", old: bool = False) -> bytes:
    """Return the attributes of one file; `old` programs write its bytes as a property."""
    found = [prop(UNICODE, LONG_NAME, name.encode("utf-16-le") + b"\0\0")]
    if media_type:
        found.append(prop(STRING, MEDIA_TYPE, media_type.encode() + b"\0"))
    if old:
        found.append(prop(BINARY, DATA, body))
    data = b"" if old else attribute(2, 0x800F, body)
    return (
        attribute(2, 0x9002, bytes(14))
        + attribute(2, 0x8010, b"SHORT~1.TXT\0")
        + data
        + attribute(2, 0x9005, props(*found))
    )


def attached_mail(name: str, inner: bytes) -> bytes:
    """Return the attributes of a mail within a package, which is a package again."""
    found = props(prop(STRING, NAME, name.encode() + b"\0"), prop(OBJECT, DATA, MESSAGE + inner))
    return attribute(2, 0x9002, bytes(14)) + attribute(2, 0x9005, found)


def package(*attributes: bytes, properties: tuple[bytes, ...] = ()) -> bytes:
    """Return a winmail.dat."""
    said = attribute(1, 0x9003, props(*properties)) if properties else b""
    page = attribute(1, 0x9007, struct.pack("<II", 1252, 0))
    return b"\x78\x9f\x3e\x22\x01\x00" + page + said + b"".join(attributes)


def signed(content: bytes) -> bytes:
    """Return content signed in one piece, as mail programs send it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada")])
    start = datetime.datetime(2024, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=9_000))
        .sign(key, hashes.SHA256())
    )
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    builder = builder.add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def streamed(*pieces: bytes) -> bytes:
    """Return what a program writes that streams: lengths unknown, the content in pieces."""
    octets = b"".join(bytes((0x04, len(piece))) + piece for piece in pieces)
    data = bytes.fromhex("06092a864886f70d010701")
    kind = bytes.fromhex("06092a864886f70d010702")
    content = b"\x30\x80" + data + b"\xa0\x80\x24\x80" + octets + 6 * b"\0"
    body = b"\x30\x80\x02\x01\x01\x31\x00" + content + b"\x31\x00" + 2 * b"\0"
    return b"\x30\x80" + kind + b"\xa0\x80" + body + 4 * b"\0"
