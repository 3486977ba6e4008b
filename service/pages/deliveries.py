"""Deliveries on a page: what went where, what failed and why, and sending it again."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger.deliveries import STATES as EVERY_STATE
from ledger.deliveries import Delivery
from ledger.document import Document
from ledger.errors import LedgerError
from service import access, deliveries
from service.access import viewer
from service.navigation import Link
from service.parts import parts
from service.words import STATES
from workers.client import content_of

LINK = Link("/deliveries", "Deliveries", 60)

bp = Blueprint("deliveries_page", __name__, url_prefix="/deliveries")
bp.before_request(access.session_gate)

PAGE = 50
WORDS = STATES | {"running": "Being sent", "done": "Delivered", "held": "Held"}
# what a person may do in which state, and how that is called
ACTIONS = {
    "release": (("held",), "Release"),
    "replay": (("done", "failed", "cancelled"), "Send again"),
    "hold": (("waiting",), "Hold"),
    "cancel": (("waiting", "held", "failed"), "Give up"),
}
SHOWN_TEXT = 2_000  # characters of a mail's text, of what was sent


@bp.get("")
def index() -> str:
    """Show every delivery, filtered and in pages."""
    state = request.args.get("state", "")
    chosen = {
        "state": state if state in EVERY_STATE else None,
        "connector": request.args.get("connector", "")[:200].strip() or None,
    }
    ledger = parts().ledger
    found = ledger.deliveries.list(
        viewer(), **chosen, limit=PAGE, after=request.args.get("after") or None
    )
    return render_template(
        "deliveries.html",
        rows=[shown(one) for one in found],
        after=found[-1].id if len(found) == PAGE else None,
        chosen={name: said for name, said in chosen.items() if said},
        counts=ledger.deliveries.counts(viewer()),
        words=WORDS,
        moving=any(one.state in ("waiting", "running") for one in found),
    )


@bp.get("/<delivery_id>")
def show(delivery_id: str) -> str:
    """Show one delivery: every attempt, and what is sent."""
    delivery = parts().ledger.deliveries.get(delivery_id, viewer())
    return render_template("delivery.html", **shown(delivery), content=content(delivery))


@bp.post("/<delivery_id>/<any(replay, hold, release, cancel):action>")
def act(delivery_id: str, action: str) -> ResponseReturnValue:
    """Do what a button says; what came too late is said."""
    try:
        deliveries.act(delivery_id, action)
    except LedgerError as error:
        flash(f"That came too late: {error}.")
    back = access.safe_next(request.form.get("next"))
    target = url_for("deliveries_page.show", delivery_id=delivery_id) if back == "/" else back
    return redirect(target, 303)


def shown(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with what a page says of it."""
    return {
        "delivery": delivery,
        "document": document_of(delivery),
        "words": WORDS[delivery.state],
        "last": delivery.log[-1] if delivery.log else {},
        "actions": [
            (action, words)
            for action, (states, words) in ACTIONS.items()
            if delivery.state in states
        ],
    }


def document_of(delivery: Delivery) -> Document | None:
    """Return what the delivery is about, if it is still here."""
    try:
        return parts().ledger.documents.get(delivery.document_id, viewer())
    except LedgerError:
        return None


def content(delivery: Delivery) -> str:
    """Return what the destination is told, as JSON; a long text is cut for the page."""
    document = document_of(delivery)
    told = content_of(document) if document else {}
    told |= delivery.payload if isinstance(delivery.payload, dict) else {}
    text = str(told.get("text") or "")
    if len(text) > SHOWN_TEXT:
        told["text"] = f"{text[:SHOWN_TEXT]} … ({len(text):,} characters)"
    return json.dumps(told, ensure_ascii=False, indent=2)
