"""A mail as its sender formatted it, in a frame that runs nothing and loads nothing."""

from __future__ import annotations

from flask import Blueprint, Response, render_template

from intake.errors import IntakeError
from intake.mail.view import View, formatted_apart
from ledger.document import Document
from ledger.errors import NotFound
from service import access
from service.access import viewer
from service.parts import parts

bp = Blueprint("formatted_page", __name__, url_prefix="/documents/<document_id>")
bp.before_request(access.session_gate)

# No scripts, no forms, no links out of the frame, an origin of its own; pictures as data only
POLICY = "; ".join(
    [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",  # of this frame alone: senders set colours on every element
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
        "sandbox",
    ]
)


@bp.get("/formatted")
def show(document_id: str) -> str:
    """Show the page around the frame."""
    return render_template("formatted.html", document=_mail(document_id))


@bp.get("/html")
def html(document_id: str) -> Response:
    """Return what stands in the frame: cleaned of all that runs, loads or leads anywhere."""
    document = _mail(document_id)
    _, raw = parts().ledger.documents.original(document.id, viewer())
    view, why = None, ""
    try:
        view = formatted_apart(raw)
    except IntakeError as error:
        why = str(error)
    answer = Response(_page(view, why), content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-DNS-Prefetch-Control"] = "off"
    return answer


def _mail(document_id: str) -> Document:
    document = parts().ledger.documents.get(document_id, viewer())
    if document.mail is None:
        raise NotFound("this document is no mail")
    return document


def _page(view: View | None, why: str) -> str:
    """Return the frame's page: a line on what was left out, and the mail."""
    return render_template("formatted_frame.html", view=view, why=why)
