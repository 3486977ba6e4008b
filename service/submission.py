"""Taking a document in: checked, kept by the ledger in one transaction, and the bell rung.

The same few lines serve the API, the pages and raw mail, so that all of them keep the same
promise: the answer comes after the commit.
"""

from __future__ import annotations

import unicodedata

from ledger import Viewer
from ledger.document import Document
from service.errors import EmptyDocument, InvalidRequest, TooLarge, UnknownKind
from service.parts import parts

QUEUE = "interactive"
NAME_CHARACTERS = 255
KEY_CHARACTERS = 255


def submit(
    body: bytes,
    *,
    viewer: Viewer,
    source: str,
    kind: str | None = None,
    name: str | None = "",
    media_type: str = "",
    idempotency_key: str | None = None,
    any_body: bool = False,
) -> Document:
    """Keep a document, ring for a worker and return what the ledger recorded.

    Raises UnknownKind, EmptyDocument, TooLarge, InvalidRequest, and what the ledger refuses.
    """
    limit = parts().settings.upload_bytes
    if len(body) > limit:
        raise TooLarge(f"It has {len(body):,} bytes; this server takes up to {limit:,}.")
    if not body:
        raise EmptyDocument("The document has no bytes. Choose a file that has something in it.")
    document = parts().ledger.documents.accept(
        body,
        viewer=viewer,
        source=source,
        kind=known_kind(kind, viewer),
        name=clean_name(name or ""),
        media_type=clean_media_type(media_type),
        queue=QUEUE,
        idempotency_key=checked_key(idempotency_key),
        any_body=any_body,
    )
    parts().client.ring(QUEUE)  # a bell that nobody hears is rung again by the scheduler
    return document


def known_kind(kind: str | None, viewer: Viewer) -> str | None:
    """Return a kind that exists, or None for "recognise it"; raises UnknownKind."""
    if kind is None or kind == "":
        return None
    if kind in parts().client.kinds() or kind in parts().ledger.models.usable(viewer):
        return kind
    known = ", ".join(known_kinds(viewer))
    raise UnknownKind(f"The kinds are {known}; leave it out to have it recognised.")


def known_kinds(viewer: Viewer) -> tuple[str, ...]:
    """Return the kinds there are, and the viewer's own models that are at work."""
    return (*parts().client.kinds(), *parts().ledger.models.usable(viewer))


def clean_name(name: str) -> str:
    """Return a file's own name: no folders, no control characters, of bearable length.

    It is shown and sent back as a download's name; it never becomes a path of ours.
    """
    kept = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn"))
    last = kept.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    return "" if last in (".", "..") else last[:NAME_CHARACTERS]


def clean_media_type(media_type: str) -> str:
    """Return a content type that can be stored, or "" for one that makes no sense."""
    plain = media_type.partition(";")[0].strip().lower()
    fits = plain.isascii() and plain.isprintable() and len(plain) <= 100
    return plain if fits else ""


def checked_key(key: str | None) -> str | None:
    """Return an idempotency key of printable ASCII, or raise InvalidRequest."""
    if key is None:
        return None
    if not (0 < len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            f"An Idempotency-Key has 1 to {KEY_CHARACTERS} printable ASCII characters."
        )
    return key


def encoded(text: str, field: str) -> bytes:
    """Return text as UTF-8, or raise InvalidRequest: JSON can spell half a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"`{field}` is not valid Unicode text.") from error
