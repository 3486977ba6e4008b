"""What workers would write: documents finished through the ledger's own claim and finish."""

from __future__ import annotations

from typing import Any

from ledger import Finished, Ledger, Viewer

HOLDER = "test"


def evidence(text: str, words: dict[str, float]) -> list[dict[str, Any]]:
    """Return evidence for words of a text, with their weights."""
    return [
        {"start": text.index(word), "end": text.index(word) + len(word), "weight": weight}
        for word, weight in words.items()
    ]


def entities(text: str, found: dict[str, str]) -> list[dict[str, Any]]:
    """Return entities for words of a text, with their labels."""
    return [
        {
            "start": text.index(word),
            "end": text.index(word) + len(word),
            "label": label,
            "value": word,
            "confidence": 0.93,
        }
        for word, label in found.items()
    ]


def outcome(kind: str, text: str, **parts: Any) -> dict[str, Any]:
    """Return an outcome as the design has it."""
    return {
        "kind": kind,
        "labels": parts.get("labels", {}),
        "entities": parts.get("entities", []),
        "language": "en",
        "model": {"name": kind, "version": "1.0.0"},
        "read": {"characters": parts.get("read", len(text)), "of": len(text)},
        "schema_version": 1,
    }


def review(text: str, words: dict[str, float], *, doubt: bool = False) -> dict[str, Any]:
    """Return a review's outcome."""
    label = {
        "value": "positive",
        "confidence": 0.61 if doubt else 0.97,
        "score": 0.2 if doubt else 0.94,
        "needs_review": doubt,
        "evidence": evidence(text, words),
    }
    return outcome("review", text, labels={"sentiment": label})


def finish(ledger: Ledger, document_id: str, **finished: Any) -> None:
    """Claim everything owed, finish that one document, and give the rest back."""
    rows = []
    while claimed := ledger.owed.claim(
        "interactive", holder=HOLDER, items=100, characters=10**9, lease_seconds=60
    ):
        rows += claimed
    chosen = [row for row in rows if row.document_id == document_id]
    others = [row.id for row in rows if row.document_id != document_id]
    ends = [Finished(row.id, **finished) for row in chosen]
    assert ledger.owed.finish(ends, holder=HOLDER) == [document_id]
    ledger.owed.give_back(others, holder=HOLDER)


def attach(ledger: Ledger, parent_id: str, body: bytes, name: str, viewer: Viewer) -> str:
    """Keep a mail's attachment as a document of its own, and return its id."""
    document = ledger.documents.accept(
        body, viewer=viewer, source="attachment", name=name, parent_id=parent_id
    )
    return document.id
