"""A document's decision on its page: rule, evidence, deliveries, and people's word against it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ledger import Document
from ledger.corrections import DECISION
from routing.rules import destinations
from service import access, corrections
from service.access import viewer
from service.pages.deliveries import shown as shown_delivery
from service.parts import parts
from service.routing import rules_in_force
from workers.client import models_folder, past, queues_of

bp = Blueprint("decision_page", __name__)
bp.before_request(access.session_gate)


@bp.post("/documents/<document_id>/correct")
def correct(document_id: str) -> ResponseReturnValue:
    """Keep what a person says of a head, or of the queue."""
    document = parts().ledger.documents.get(document_id, viewer())
    head = request.form.get("head", "")[:100]
    value = request.form.get("other", "").strip() or request.form.get("value", "")
    made = corrections.correct(document, head, value)
    flash(f"Kept: {words_of(made.head)} is {made.value}. Reports and training count it.")
    if head == DECISION and request.form.get("send") == "yes":
        sent = corrections.send_on(document, str(made.value))
        nowhere = "Nothing is sent: that queue is only watched, or sent nowhere, or on its way."
        flash(f"On its way to {', '.join(sent)}." if sent else nowhere)
    return redirect(url_for("document_page.show", document_id=document.id, _anchor="decision"), 303)


def words_of(head: str) -> str:
    """Return a head's name as people say it."""
    return "queue" if head == DECISION else head.replace("_", " ")


def shown(document: Document) -> dict[str, Any]:
    """Return what the document's page says of its decision."""
    said = corrections.of(document)
    newest: dict[str, Any] = {}
    for one in said:
        newest.setdefault(one.head, one)
    found = parts().ledger.deliveries.list(viewer(), document_id=document.id)
    rules, answers = rules_in_force(), corrections.answers(document)
    return {
        "decision": (document.outcome or {}).get("decision"),
        "corrections": said,
        "corrected": newest,
        "answers": answers,
        "deliveries": [shown_delivery(one) for one in found],
        "folder": folder_of(document),
        "head_words": words_of,
        "sends": bool(rules and any(destinations(rules, q) for q in answers.get(DECISION, ()))),
        "kinds": parts().client.kinds(),
    }


def folder_of(document: Document) -> dict[str, Any] | None:
    """Return the folder of the mailbox that the mail was last seen in, and what that means."""
    seen = parts().ledger.mailboxes.sightings(viewer(), document_id=document.id, limit=1)
    if not seen:
        return None
    rules = rules_in_force()
    queues = queues_of(rules, models_folder(parts().settings)) if rules else ()
    queue = past.folder_queue(seen[0].folder, rules, queues)
    return {"folder": seen[0].folder, "account": seen[0].account, "queue": queue}
