"""One document: its labels, the evidence in its text, its mail, and what can be done with it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger.document import Document, Whole
from ledger.errors import LedgerError, NotRead
from service import access, downloads, marks
from service.access import viewer
from service.documents import examples_like
from service.pages import decision
from service.pages.documents import UNFINISHED, fingerprint
from service.parts import parts

bp = Blueprint("document_page", __name__)
bp.before_request(access.session_gate)

SIMILAR = 5  # labelled examples beside an answer
SNIPPETS = 8  # pieces of evidence, and values of one label, that the side lists


@bp.get("/documents/<document_id>")
def show(document_id: str) -> ResponseReturnValue:
    """Show a document.

    While it is unread the page asks again, and is told nothing until something changed.
    """
    document = parts().ledger.documents.get(document_id, viewer())
    seen = fingerprint([document])
    if request.args.get("seen") == seen:
        return "", 204
    outcome = document.outcome or {}
    whole = parts().ledger.documents.whole(document.id, viewer())
    return render_template(
        "document.html",
        document=document,
        outcome=outcome,
        unfinished=document.state in UNFINISHED,
        seen=seen,
        mail=document.mail,
        attachments=attachments_of(whole),
        parent=parent_of(document),
        history=whole.results,
        similar=examples_like(whole.results, SIMILAR),
        **decision.shown(document),
        **reading(document, outcome),
    )


def reading(document: Document, outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the window of the text with what is marked in it, and what else can be shown."""
    try:
        text = parts().ledger.documents.text(document.id, viewer())
    except NotRead:
        return {"pieces": None, "views": [], "view": "", "hues": {}, "listed": []}
    layers = layers_of(outcome, len(text))
    views = [name for name, spans in layers.items() if spans]
    view = request.args.get("show", "")
    if view not in views and view != "plain":
        view = views[0] if views else "plain"
    window = marks.window_of(len(text), request.args.get("at", 0, type=int))
    spans = layers.get(view, [])
    hues = marks.hues_of(span.label for span in spans) if view == "entities" else {}
    if view == "entities":
        pieces = marks.mark_entities(text, spans, window, hues)
    else:
        pieces = marks.mark_evidence(text, spans, window)
    return {
        "pieces": pieces,
        "window": window,
        "views": views,
        "view": view,
        "hues": hues,
        "listed": listed(text, spans, view),
    }


def layers_of(outcome: dict[str, Any], length: int) -> dict[str, list[marks.Span]]:
    """Return every head's evidence by its name, and the entities under "entities"."""
    layers = {
        head: marks.spans_of(label.get("evidence") or [], length)
        for head, label in (outcome.get("labels") or {}).items()
    }
    decided = (outcome.get("decision") or {}).get("evidence") or []
    layers["decision"] = marks.spans_of(decided, length)
    layers["entities"] = marks.spans_of(outcome.get("entities") or [], length)
    return layers


def listed(text: str, spans: list[marks.Span], view: str) -> list[dict[str, Any]]:
    """Return what the side lists, each with the place in the text that it links to."""
    if view == "entities":
        groups: dict[str, list[marks.Span]] = {}
        for span in spans:
            groups.setdefault(span.label, []).append(span)
    else:
        heaviest = sorted(spans, key=lambda span: -abs(span.weight))[:SNIPPETS]
        groups = {"": heaviest} if heaviest else {}
    return [
        {
            "label": label,
            "count": len(found),
            "more": max(0, len(found) - SNIPPETS),
            "spans": [(span, marks.snippet(text, span)) for span in found[:SNIPPETS]],
        }
        for label, found in sorted(groups.items())
    ]


def attachments_of(whole: Whole) -> list[dict[str, Any]]:
    """Return a mail's attachments, each with the document that it became, if it did."""
    by_hash: dict[str, list[Document]] = {}
    for child in whole.children:
        by_hash.setdefault(child.sha256, []).append(child)
    attachments = []
    for attachment in (whole.document.mail or {}).get("attachments") or []:
        same = by_hash.get(attachment.get("sha256", ""), [])
        attachments.append(attachment | {"document": same.pop(0) if same else None})
    return attachments


def parent_of(document: Document) -> Document | None:
    """Return the mail that brought a document, if it is still here."""
    if document.parent_id is None:
        return None
    try:
        return parts().ledger.documents.get(document.parent_id, viewer())
    except LedgerError:
        return None


@bp.get("/documents/<document_id>/original")
def original(document_id: str) -> Response:
    """Download what was handed in."""
    return downloads.original(*parts().ledger.documents.original(document_id, viewer()))


@bp.get("/documents/<document_id>/text")
def text(document_id: str) -> Response:
    """Download what was read."""
    documents = parts().ledger.documents
    return downloads.text(
        documents.get(document_id, viewer()), documents.text(document_id, viewer())
    )


@bp.post("/documents/<document_id>/retry")
def retry(document_id: str) -> ResponseReturnValue:
    """Read a document again."""
    document = parts().ledger.documents.retry(document_id, viewer())
    parts().client.ring("interactive")
    return redirect(url_for("document_page.show", document_id=document.id), 303)


@bp.post("/documents/<document_id>/cancel")
def cancel(document_id: str) -> ResponseReturnValue:
    """Stop a document that is waiting."""
    document = parts().ledger.documents.cancel(document_id, viewer())
    return redirect(url_for("document_page.show", document_id=document.id), 303)


@bp.post("/documents/<document_id>/delete")
def delete(document_id: str) -> ResponseReturnValue:
    """Erase a document."""
    parts().ledger.documents.delete(document_id, viewer())
    flash("The document, its text and its result are erased.")
    return redirect(url_for("documents_page.front"), 303)
