"""A ledger's document as the JSON that `service.schemas` describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.document import Document


def summary(document: Document) -> dict[str, Any]:
    """Return a document in short."""
    finished = document.finished_at
    return {
        "id": document.id,
        "state": document.state,
        "kind": document.kind,
        "kind_said": document.kind_said,
        "name": document.name,
        "type": document.type,
        "source": document.source,
        "size": document.size,
        "parent_id": document.parent_id,
        "created_at": document.created_at.isoformat(),
        "finished_at": finished.isoformat() if finished else None,
        "attempts": document.attempts,
        "needs_review": document.needs_review,
        "error": document.error,
        "repeated": document.repeated,
    }


def full(document: Document, children: Sequence[Document]) -> dict[str, Any]:
    """Return all that is known of a document but its text."""
    return summary(document) | {
        "media_type": document.media_type,
        "sha256": document.sha256,
        "characters": document.characters,
        "pages": document.pages,
        "outcome": document.outcome,
        "mail": document.mail,
        "children": [summary(child) for child in children],
    }
