"""Handing out what was handed in: always as a download, never as a page of ours."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response

from ledger.document import Document

# By the type that intake found in the bytes, never by what the sender claimed. HTML is left
# out: nothing that a sender wrote may call itself a page here.
MEDIA_TYPES = {
    "text": "text/plain; charset=utf-8",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eml": "message/rfc822",
}
ENDINGS = {"text": ".txt", "pdf": ".pdf", "docx": ".docx", "eml": ".eml", "html": ".html"}

# Should a browser show it after all: no scripts, no forms, an origin of its own
POLICY = "default-src 'none'; sandbox"


def original(document: Document, body: bytes) -> Response:
    """Return the bytes that were handed in, as a download under their own name."""
    kind = MEDIA_TYPES.get(document.type or "", "application/octet-stream")
    name = document.name or f"{document.id}{ENDINGS.get(document.type or '', '')}"
    return attachment(body, name=name, media_type=kind)


def text(document: Document, content: str) -> Response:
    """Return what was read as UTF-8 text, as a download."""
    name = f"{document.name or document.id}.txt"
    body = content.encode("utf-8", "replace")
    return attachment(body, name=name, media_type="text/plain; charset=utf-8")


def attachment(body: bytes, *, name: str, media_type: str) -> Response:
    """Return bytes that a browser saves and does not show."""
    answer = Response(body, content_type=media_type)
    answer.headers["Content-Disposition"] = disposition(name)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def disposition(name: str) -> str:
    """Return a Content-Disposition for a name in any language (RFC 6266, RFC 8187).

    Whatever is not plain is percent-encoded, so no name can end the header or its quotes.
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    exact = quote(name.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain or 'document'}\"; filename*=UTF-8''{exact}"
