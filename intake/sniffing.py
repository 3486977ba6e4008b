"""What a file is, from its bytes."""

from __future__ import annotations

import re

import puremagic

from intake.errors import EmptyFile, EncryptedFile, UnknownType

HEAD_BYTES = 8_192

ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_HTML = re.compile(
    rb"(?:\s|<!--.{0,2000}?-->|<\?xml[^>]{0,200}>)*<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_FRAGMENT = re.compile(
    rb"\s*<(?:div|p|table|span|h[1-6]|br|b|i|a|ul|ol|center|font|article|section)\b[^<]*>",
    re.IGNORECASE,
)
_HEADER = re.compile(rb"([!-9;-~]{1,76})[ \t]*:")
_MULTIPART = re.compile(rb"^content-type:\s*(?:multipart|message)/", re.IGNORECASE | re.MULTILINE)
_MBOX = re.compile(rb">?From (?![ \t]*:)[^\r\n]+")

KNOWN_HEADERS = frozenset(
    b"""from to cc bcc subject date sender reply-to return-path received message-id in-reply-to
    references mime-version content-type content-transfer-encoding content-disposition
    delivered-to envelope-to x-envelope-to x-envelope-from x-mailer x-original-to x-received
    dkim-signature domainkey-signature received-spf authentication-results arc-seal
    list-id list-unsubscribe precedence auto-submitted x-priority importance
    x-gmail-labels x-uid status x-status user-agent resent-from resent-to resent-date
    disposition-notification-to errors-to organization x-failed-recipients thread-topic
    thread-index x-originating-ip x-spam-status x-spam-level x-spam-flag x-virus-scanned
    x-sieve x-account-key x-uidl x-mozilla-status x-mozilla-keys x-beenthere""".split()
)
_STRONG = frozenset(
    b"received return-path message-id mime-version delivered-to dkim-signature x-received "
    b"x-mozilla-status x-account-key x-uidl".split()
)


def sniff(body: bytes, name: str = "", media_type: str = "") -> str:
    """Return "pdf", "docx", "html", "eml" or "text"; raises what says why it is none of them.

    The bytes decide. A name or media type is asked only where a text could be read two ways:
    a mail of few headers, a scrap of HTML.
    """
    if not body.strip(b"\x00\t\n\x0b\x0c\r \xef\xbb\xbf\xfe\xff"):
        raise EmptyFile
    head = body[:HEAD_BYTES]
    said_mail = media_type.lower().startswith("message/") or name.lower().endswith(".eml")
    if b"%PDF-" in head[:1024] and not _looks_like_mail(head, said_mail=False):
        return "pdf"
    if head.startswith((ZIP, EMPTY_ZIP)):
        return "docx"  # its table of contents is checked where it is read
    if head.startswith(OLE):
        raise _refuse_ole(body)
    if _looks_like_mail(head, said_mail=said_mail):
        return "eml"
    if not is_text(body):
        raise _refuse_binary(body, name)
    said_html = media_type.lower() == "text/html" or name.lower().endswith((".html", ".htm"))
    if _HTML.match(_as_ascii(head)) or (said_html and b"<" in head):
        return "html"
    if _FRAGMENT.match(head) and re.search(rb"</[a-zA-Z]+\s*>", head):
        return "html"
    return "text"


def _as_ascii(head: bytes) -> bytes:
    """Return the head without byte-order mark, and one byte a character where it is UTF-16."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[2:].replace(b"\x00", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def _looks_like_mail(head: bytes, *, said_mail: bool) -> bool:
    """Say whether the file opens with mail headers, as many as its origin asks for."""
    lines = re.split(rb"\r\n|\r|\n", head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n \t\x00"))
    names: set[bytes] = set()
    mbox = bool(lines and _MBOX.match(lines[0]))
    strays = 0
    for line in lines[1:] if mbox else lines:
        if not line.strip():
            break
        if line[:1] in (b" ", b"\t"):
            continue
        header = _HEADER.match(line)
        if header:
            names.add(header[1].lower())
        else:
            strays += 1
            if strays > 2 and not said_mail:
                break
    known = names & KNOWN_HEADERS
    if said_mail:
        return bool(known) or mbox or (bool(names) and not strays)
    if not known or strays > len(names):
        return False
    if known == {b"content-type"}:
        return _MULTIPART.search(head[:2_000]) is not None
    return mbox or bool(known & _STRONG) or len(known) >= 2


TEXT_CONTROLS = frozenset((0, 7, 8, 9, 10, 11, 12, 13, 26, 27))


def is_text(body: bytes) -> bool:
    """Say whether these bytes can be characters: hardly a control code among them."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    sample = body[:HEAD_BYTES]
    zeros = sample.count(0)
    if zeros > 2 and zeros * 100 > len(sample):
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        half = len(sample) // 2
        # UTF-16 of western text without its mark: every other byte is nought
        return max(even, odd) > half * 0.6 and min(even, odd) < half * 0.05
    controls = sum(
        byte < 32 and byte not in (0, 7, 8, 9, 10, 11, 12, 13, 26, 27) for byte in sample
    )
    return controls * 50 <= len(sample)


def _refuse_ole(body: bytes) -> Exception:
    if "EncryptedPackage".encode("utf-16-le") in body:
        return EncryptedFile()
    if "WordDocument".encode("utf-16-le") in body:
        return UnknownType(
            "This is an old Word file (.doc). Save it as .docx or PDF and send that."
        )
    if "__substg1.0_".encode("utf-16-le") in body:
        return UnknownType("This is an Outlook message (.msg). Save it as .eml and send that.")
    return UnknownType()


def _refuse_binary(body: bytes, name: str) -> Exception:
    kind = describe(body, name)
    if kind.startswith("image/"):
        return UnknownType(
            "This is a picture, not a document. "
            "Run text recognition (OCR) on it and send the result as text or PDF."
        )
    if kind:
        return UnknownType(
            f"This file looks like {kind}, which cannot be read. "
            "Send plain text, PDF, DOCX, HTML or an email (EML) instead."
        )
    return UnknownType()


def describe(body: bytes, name: str = "") -> str:
    """Return the media type that the first bytes of a binary file show, or ""."""
    try:
        return puremagic.from_string(body[:HEAD_BYTES], mime=True) or ""
    except (puremagic.PureError, ValueError, IndexError):
        return ""
