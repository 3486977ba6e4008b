"""A ledger's document as the JSON that `service.schemas` describes."""

from __future__ import annotations

from typing import Any

from ledger import Batch, Document, Result
from ledger.document import Whole


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


def reading(result: Result) -> dict[str, Any]:
    """Return who read a document and how that ended."""
    model = {"name": result.model_name, "version": result.model_version}
    return {
        "attempt": result.attempt,
        "created_at": result.created_at.isoformat(),
        "kind": result.kind,
        "model": model if result.model_name else None,
        "error": result.error,
    }


def batch(batch: Batch) -> dict[str, Any]:
    """Return a batch and how far it is."""
    started, finished = batch.started_at, batch.finished_at
    return {
        "id": batch.id,
        "state": batch.state,
        "kind": batch.kind,
        "name": batch.name,
        "format": batch.format,
        "text_column": batch.text_column,
        "size": batch.input_size,
        "rows_total": batch.rows_total,
        "rows_done": batch.rows_done,
        "rows_failed": batch.rows_failed,
        "rate": batch.rate,
        "seconds_left": batch.seconds_left,
        "error": batch.error,
        "result_size": batch.output_size,
        "created_at": batch.created_at.isoformat(),
        "started_at": started.isoformat() if started else None,
        "finished_at": finished.isoformat() if finished else None,
        "repeated": batch.repeated,
    }


def full(whole: Whole) -> dict[str, Any]:
    """Return all that is known of a document but its text."""
    document = whole.document
    return summary(document) | {
        "media_type": document.media_type,
        "sha256": document.sha256,
        "characters": document.characters,
        "pages": document.pages,
        "outcome": document.outcome,
        "mail": document.mail,
        "results": [reading(result) for result in whole.results],
        "children": [summary(child) for child in whole.children],
    }
