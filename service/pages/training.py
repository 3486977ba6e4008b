"""Training on pages: hand labelled texts in, confirm their columns, watch, and put it to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from ledger import Job
from ledger.errors import LedgerError, ModelAtWork
from service import access, jobs, plots, training
from service.access import viewer
from service.batches import allow_large, close_spooled
from service.errors import ServiceError
from service.navigation import Link
from service.parts import parts
from service.words import STATES
from workers.client import CannotLook, erase_model, models_folder

LINK = Link("/training", "Training", 50)

bp = Blueprint("training_page", __name__, url_prefix="/training")
bp.before_request(allow_large)
bp.before_request(access.session_gate)
bp.teardown_request(close_spooled)

PAGE = 20
WORDS = STATES | {"running": "Training", "done": "Trained"}
UNFINISHED = ("waiting", "running")
# It quotes the file: no scripts, no origin of ours; its own style is all it may use
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


@bp.get("")
def index() -> str:
    """Show the form, every training, and every model with its versions."""
    page = parts().ledger.jobs.list(
        viewer(), task=training.TASK, limit=PAGE, after=request.args.get("after") or None
    )
    return render_template(
        "training.html",
        jobs=[shown(job) for job in page.items],
        after=page.after,
        limit=parts().settings.batch_bytes,
        unfinished=any(job.state in UNFINISHED for job in page.items),
        models=training.models(),
        shipped=training.shipped(),
        decides=training.decides(),
    )


@bp.post("")
def upload() -> ResponseReturnValue:
    """Keep the form's file and go on to its columns."""
    return _to_columns(training.keep_upload)


@bp.post("/demonstration")
def demonstration() -> ResponseReturnValue:
    """Go on to the columns of the table that comes with the product."""
    return _to_columns(training.keep_demonstration, name="bank-messages")


def _to_columns(keep: Callable[[], training.Kept], name: str | None = None) -> ResponseReturnValue:
    try:
        kept = keep()
    except (ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("training_page.index"), 303)
    mark = training.sealed(kept)
    return redirect(url_for("training_page.columns", kept=mark, name=name), 303)


@bp.get("/columns")
def columns() -> ResponseReturnValue:
    """Show what a training would find in the file, for a person to confirm."""
    mark = request.args.get("kept", "")
    try:
        kept = training.unsealed(mark)
        seen = training.seen(kept, request.args.get("text"), request.args.get("label"))
    except (CannotLook, ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("training_page.index"), 303)
    return render_template(
        "training_columns.html",
        kept=mark,
        size=kept[1],
        file_name=kept[2],
        name=request.args.get("name", ""),
        encoders=training.ENCODERS,
        seen=seen,
    )


@bp.post("/jobs")
def begin() -> ResponseReturnValue:
    """Begin with the columns as the person confirmed them."""
    mark = request.form.get("kept", "")
    try:
        job = training.begin(training.unsealed(mark))
    except (ServiceError, LedgerError) as error:
        flash(str(error))
        text, label, name = (request.form.get(field) for field in ("text", "label", "name"))
        again = url_for("training_page.columns", kept=mark, text=text, label=label, name=name)
        return redirect(again, 303)
    return redirect(url_for("training_page.show", job_id=job.id), 303)


@bp.get("/jobs/<job_id>")
def show(job_id: str) -> str:
    """Show a training: live while it runs, then what came of it."""
    job = training.found(job_id)
    curve = (job.result or job.progress or {}).get("curve") or []
    return render_template(
        "training_job.html", **shown(job), **training.use(job), plots=plots_of(curve)
    )


@bp.get("/jobs/<job_id>/report")
def report(job_id: str) -> Response:
    """Show the report as a page on its own, shut off from ours."""
    output = parts().ledger.jobs.output(training.found(job_id).id, "report.html", viewer())
    answer = Response(parts().ledger.files.get(output.sha256), mimetype="text/html")
    answer.headers["Content-Security-Policy"] = REPORT_POLICY
    return answer


jobs.register(
    bp,
    found=training.found,
    erased="The training, its file and its report are erased; the model stays.",
)


@bp.post("/models/<name>/<version>/promote")
def promote(name: str, version: str) -> ResponseReturnValue:
    """Let workers read with this version."""
    model = parts().ledger.models.get(name, version, viewer())
    parts().ledger.models.promote(model.name, model.version, viewer())
    flash(f"{model.name} reads with version {model.version} now.")
    return redirect(url_for("training_page.index", _anchor="models"), 303)


@bp.post("/models/<name>/<version>/delete")
def erase(name: str, version: str) -> ResponseReturnValue:
    """Erase a version that is not at work, and the examples that it carries."""
    folder = models_folder(parts().settings)
    try:
        erase_model(parts().ledger, name, version, viewer(), folder)
    except ModelAtWork as error:
        flash(f"{error}.")
    else:
        flash(f"Version {version} of {name} is erased, with the examples that it carried.")
    return redirect(url_for("training_page.index", _anchor="models"), 303)


@bp.post("/models/<name>/rollback")
def roll_back(name: str) -> ResponseReturnValue:
    """Go back to the version before the one at work."""
    try:
        now = parts().ledger.models.rollback(name, viewer()).version
    except LedgerError as error:
        flash(f"{error}.")
    else:
        flash(f"{name} reads with version {now} again." if now else f"{name} is not at work now.")
    return redirect(url_for("training_page.index", _anchor="models"), 303)


def shown(job: Job) -> dict[str, Any]:
    """Return a training with what a page says of it."""
    told = job.progress or {}
    share = None
    if told.get("stage") == "training" and told.get("epochs"):
        share = (told["epoch"] - 1 + told["step"] / told["steps"]) / told["epochs"]
    elif told.get("of"):
        share = told.get("done", 0) / told["of"]
    stage = str(told.get("stage") or "")
    curve = told.get("curve") or []
    return {
        "job": job,
        "words": WORDS[job.state],
        "unfinished": job.state in UNFINISHED,
        "told": told,
        "stage": stage[:1].upper() + stage[1:],
        "share": share,
        "dev": max((entry.get("dev_accuracy", 0.0) for entry in curve), default=None),
        "result": job.result or {},
    }


def plots_of(curve: list[dict[str, Any]]) -> list[Markup]:
    """Return loss and dev's accuracy by epoch, once there are two epochs to join by a line."""
    if len(curve) < 2:
        return []
    x = {"field": "epoch", "type": "quantitative", "axis": {"tickMinStep": 1, "format": "d"}}
    drawn = []
    drawn_as = (("loss", "Loss", ""), ("dev_accuracy", "Accuracy on dev", ".1%"))
    for name, title, form in drawn_as:
        rows = [{"epoch": one["epoch"], name: one[name]} for one in curve if name in one]
        y = {"field": name, "type": "quantitative", "title": title, "scale": {"zero": False}}
        y["axis"] = {"format": form} if form else {}
        spec = {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": y}}
        drawn.append(plots.figure(spec, rows, f"{title}, by epoch"))
    return drawn
