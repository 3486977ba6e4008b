"""A document as callers see it, and how it is put together from its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from ledger.results import Result
from ledger.schema import documents, readings, results

STATES = ("waiting", "running", "done", "failed", "cancelled")
OWED_STATES = ("waiting", "running")

Mapping = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Document:
    """What was handed in and what became of it; times are aware and in UTC.

    `outcome`, `error`, `needs_review` and `finished_at` are those of the newest result, and
    None while the document is owed. `mail` has its `text` and `reply_text` in a single
    document and not in a list. `repeated` says that an idempotency key was seen before.
    """

    id: str
    workspace: str
    kind: str | None
    kind_said: str | None
    state: str
    name: str
    media_type: str
    type: str | None
    source: str
    size: int
    sha256: str
    parent_id: str | None
    created_at: datetime
    finished_at: datetime | None
    attempts: int
    needs_review: bool | None
    outcome: Mapping | None
    error: Mapping | None
    mail: Mapping | None
    characters: int | None
    pages: int | None
    envelope: Mapping | None
    queue: str
    priority: int
    repeated: bool = False


@dataclass(frozen=True)
class Whole:
    """A document, every result there was, newest first, and what came with it, in its order."""

    document: Document
    results: list[Result]
    children: list[Document]


_COLUMNS = [
    documents.c[name]
    for name in Document.__dataclass_fields__
    if name not in {"outcome", "error", "repeated"}
]


def select_documents() -> Select[Any]:
    """Return the SELECT of documents with their newest result, without mail texts."""
    return select(*_COLUMNS, results.c.outcome, results.c.error).select_from(
        documents.outerjoin(results, results.c.id == documents.c.result_id)
    )


def select_whole_document() -> Select[Any]:
    """Return the SELECT of documents with their newest result and mail texts."""
    joined = documents.outerjoin(results, results.c.id == documents.c.result_id).outerjoin(
        readings, readings.c.document_id == documents.c.id
    )
    return select(
        *_COLUMNS,
        results.c.outcome,
        results.c.error,
        readings.c.mail_text,
        readings.c.mail_reply_text,
    ).select_from(joined)


def from_row(row: Row[Any], *, repeated: bool = False) -> Document:
    """Return the document of a row of one of the SELECTs above."""
    values = dict(row._mapping)
    mail_text = values.pop("mail_text", None)
    reply_text = values.pop("mail_reply_text", None)
    if values["mail"] is not None and mail_text is not None:
        values["mail"] = values["mail"] | {"text": mail_text, "reply_text": reply_text}
    return Document(**values, repeated=repeated)
