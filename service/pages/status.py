"""What is waiting, what is being read and when work last went through, in plain words."""

from __future__ import annotations

from flask import Blueprint, render_template

from service import access, health
from service.access import viewer
from service.navigation import Link
from service.parts import parts

LINK = Link("/status", "Status", 80)

bp = Blueprint("status", __name__)
bp.before_request(access.session_gate)

PURPOSES = {
    "interactive": "what people and programs hand in one by one",
    "bulk": "large files and batches",
    "series": "forecasts and fraud scores",
    "delivery": "answers on their way to other systems",
    "training": "models being trained",
    "celery": "direct calls",
}


@bp.get("/status")
def show() -> str:
    """Show the queues and whether they move."""
    return render_template(
        "status.html",
        rows=health.pulse_rows(),
        purposes=PURPOSES,
        wrong=health.hindrances(),
        counts=parts().ledger.documents.counts(viewer()),
    )
