"""Batches on a page: hand a file in, watch its rows being read, pause it, download the result."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger import Batch
from ledger.batches import UNFINISHED
from ledger.errors import LedgerError
from service import access
from service.access import viewer
from service.batches import QUEUE, allow_large, close_spooled, download, submit_batch
from service.errors import ServiceError
from service.navigation import Link
from service.parts import parts
from service.submission import known_kinds
from service.words import STATES

LINK = Link("/batches", "Batches", 20)

bp = Blueprint("batches_page", __name__, url_prefix="/batches")
bp.before_request(allow_large)
bp.before_request(access.session_gate)
bp.teardown_request(close_spooled)

PAGE = 30
WORDS = STATES | {"paused": "Paused", "done": "Done"}
# what a person may do in which state
ACTIONS = {
    "pause": ("waiting", "running"),
    "resume": ("paused", "failed"),
    "cancel": (*UNFINISHED, "failed"),
}


@bp.get("")
def index() -> str:
    """Show the form and every batch."""
    page = parts().ledger.batches.list(viewer(), limit=PAGE, after=request.args.get("after"))
    return render_template(
        "batches.html",
        batches=[shown(batch) for batch in page.items],
        after=page.after,
        kinds=known_kinds(viewer()),
        limit=parts().settings.batch_bytes,
        unfinished=sum(batch.state in UNFINISHED for batch in page.items),
    )


@bp.post("")
def hand_in() -> ResponseReturnValue:
    """Keep the form's file and go where its progress is."""
    try:
        batch = submit_batch()
    except (ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("batches_page.index"), 303)
    return redirect(url_for("batches_page.show", batch_id=batch.id), 303)


@bp.get("/<batch_id>")
def show(batch_id: str) -> str:
    """Show one batch; while it is unfinished the page asks again."""
    batch = parts().ledger.batches.get(batch_id, viewer())
    return render_template("batch.html", **shown(batch))


@bp.get("/<batch_id>/result")
def result(batch_id: str) -> Response:
    """Download the result."""
    return download(batch_id)


@bp.post("/<batch_id>/<any(pause, resume, cancel):action>")
def act(batch_id: str, action: str) -> ResponseReturnValue:
    """Pause, resume or cancel; what came too late is said."""
    try:
        getattr(parts().ledger.batches, action)(batch_id, viewer())
    except LedgerError as error:
        flash(f"That came too late: {error}.")
    else:
        if action == "resume":
            parts().client.ring(QUEUE)
    return redirect(url_for("batches_page.show", batch_id=batch_id), 303)


@bp.post("/<batch_id>/delete")
def delete(batch_id: str) -> ResponseReturnValue:
    """Erase a batch."""
    parts().ledger.batches.delete(batch_id, viewer())
    flash("The batch, its input and its result are erased.")
    return redirect(url_for("batches_page.index"), 303)


def shown(batch: Batch) -> dict[str, Any]:
    """Return a batch with what a page says of it."""
    share = None
    if batch.rows_total is not None:
        share = batch.rows_done / batch.rows_total if batch.rows_total else 1.0
    return {
        "batch": batch,
        "words": WORDS[batch.state],
        "share": share,
        "unfinished": batch.state in UNFINISHED,
        "actions": [action for action, states in ACTIONS.items() if batch.state in states],
    }
