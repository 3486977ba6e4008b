"""Corrections over the API: what people say instead of a reader."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger import Document
from ledger.corrections import DECISION, Correction
from routing.rules import destinations
from service import access, openapi
from service.access import viewer
from service.errors import InvalidRequest
from service.parts import parts
from service.routing import rules_in_force
from service.schemas import DocumentPath
from workers.client import labels_of, models_folder, queues_of

VALUE_CHARACTERS = 200
HISTORY = 200  # corrections of one document

bp = APIBlueprint(
    "corrections",
    __name__,
    url_prefix="/api/v1/documents",
    abp_tags=[Tag(name="corrections")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class NewCorrection(BaseModel):
    """The right answer of a head; that of the reader again is a confirmation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    head: str = Field(max_length=100, description="A head of the outcome, or `decision`.")
    value: str = Field(min_length=1, max_length=VALUE_CHARACTERS, description="A label or queue.")
    send: bool = Field(
        default=False, description="Of a queue: deliver it where the rules send that queue."
    )


class Shown(BaseModel):
    """A correction, with who said it and when."""

    id: str
    document_id: str
    kind: str | None
    head: str
    value: Any
    actor: str
    created_at: datetime


class Corrections(BaseModel):
    """Every correction of a document, the newest first."""

    items: list[Shown]


@bp.get("/<id>/corrections", responses=openapi.answers({200: Corrections}, 404))
def find(path: DocumentPath) -> dict[str, Any]:
    """List what people said of a document."""
    document = parts().ledger.documents.get(path.id, viewer())
    return {"items": [wire(one) for one in of(document)]}


@bp.post("/<id>/corrections", responses=openapi.answers({201: Shown}, 404, 413))
def add(path: DocumentPath, body: NewCorrection) -> tuple[dict[str, Any], int]:
    """Keep a correction; training and the shadow report count it."""
    document = parts().ledger.documents.get(path.id, viewer())
    made = correct(document, body.head, body.value)
    if body.send and made.head == DECISION:
        send_on(document, str(made.value))
    return wire(made), 201


def correct(document: Document, head: str, value: str) -> Correction:
    """Keep what the viewer says of a document; raises InvalidRequest for no head or answer."""
    value = value.strip()
    if not value or len(value) > VALUE_CHARACTERS:
        raise InvalidRequest(f"The right answer has 1 to {VALUE_CHARACTERS} characters.")
    heads = answers(document)
    if head not in heads:
        raise InvalidRequest(f"This document can be corrected in: {', '.join(heads) or 'nothing'}.")
    fixed = document.kind in parts().client.kinds() and head != DECISION and heads[head]
    if fixed and value not in fixed:
        raise InvalidRequest("That is none of this label's answers.")
    return parts().ledger.corrections.add(document.id, head, value, viewer())


def send_on(document: Document, queue: str) -> tuple[str, ...]:
    """Owe a document to where the rules send a queue that a person chose; return the names.

    Nowhere while the queue is only watched, and never a mail of ours that came back.
    """
    rules = rules_in_force()
    found = destinations(rules, queue) if rules else ()
    if not found or (document.envelope or {}).get("ours"):
        return ()
    decision = (document.outcome or {}).get("decision") or {}
    payload = {
        "queue": queue,
        "priority": decision.get("priority"),
        "due": decision.get("due"),
        "tags": decision.get("tags") or [],
        "reason": f"Chosen by {viewer().actor}.",
        "rule": None,
        "rules_version": rules.version if rules else None,
        "model": None,
        "confidence": 1.0,
    }
    made = parts().ledger.deliveries.owe(document.id, found, payload, viewer())
    parts().client.ring("delivery")
    return tuple(one.connector for one in made)


def answers(document: Document) -> dict[str, tuple[str, ...]]:
    """Return the heads that can be corrected, each with the answers that are known."""
    outcome = document.outcome or {}
    if not outcome:
        return {}
    known = labels_of(document.kind or "", models_folder(parts().settings))
    heads: dict[str, tuple[str, ...]] = {}
    rules = rules_in_force()
    if rules or "decision" in outcome or document.mail:
        folder = models_folder(parts().settings)
        heads[DECISION] = queues_of(rules, folder) if rules else known.get("team", ())
    return heads | {head: known.get(head, ()) for head in outcome.get("labels") or {}}


def of(document: Document) -> list[Correction]:
    """Return a document's corrections, the newest first."""
    return parts().ledger.corrections.list(viewer(), document_id=document.id, limit=HISTORY)


def wire(correction: Correction) -> dict[str, Any]:
    """Return a correction as JSON."""
    return {
        "id": correction.id,
        "document_id": correction.document_id,
        "kind": correction.kind,
        "head": correction.head,
        "value": correction.value,
        "actor": correction.actor,
        "created_at": correction.created_at.isoformat(),
    }
