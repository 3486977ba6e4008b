"""Series on pages: hand a table in, confirm its columns, watch, and see what came of it."""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from ledger import Job
from ledger.errors import LedgerError
from service import access, jobs, series, series_demand, series_fraud
from service.access import viewer
from service.batches import allow_large, close_spooled
from service.errors import InvalidRequest, ServiceError
from service.navigation import Link
from service.parts import parts
from service.words import STATES
from workers.client import first_look

LINK = Link("/series", "Series", 40)

bp = Blueprint("series_page", __name__, url_prefix="/series")
bp.before_request(allow_large)
bp.before_request(access.session_gate)
bp.teardown_request(close_spooled)

PAGE = 30
KEPT_SECONDS = 1800  # that a person may take to confirm columns; then the file is handed in anew
WORDS = STATES | {"running": "At work", "done": "Done"}
TASKS = {"demand": "Demand", "fraud": "Card fraud"}
STEPS = {
    "reading": "Reading the table",
    "features": "Looking at every series",
    "backtest": "Asking every method about the past",
    "boosted": "Growing trees",
    "network": "Training the network",
    "final fit": "Fitting on the whole history",
    "forecast": "Forecasting",
    "scoring": "Scoring every payment",
    "writing": "Writing it down",
}
# what suits the tables of our own making: five cards a day are about what is misused in them
DEMONSTRATION: dict[str, dict[str, int]] = {"demand": {}, "fraud": {"budget": 5}}


@bp.get("")
def index() -> str:
    """Show the two doors, the demonstrations, and every job."""
    page = parts().ledger.jobs.list(
        viewer(), queue=series.QUEUE, limit=PAGE, after=request.args.get("after") or None
    )
    return render_template(
        "series.html",
        rows=[shown(job) for job in page.items],
        after=page.after,
        limit=parts().settings.batch_bytes,
        unfinished=any(job.state in ("waiting", "running") for job in page.items),
        open_alerts=parts().ledger.alerts.counts(viewer())["open"],
    )


@bp.post("/<any(demand, fraud):task>")
def upload(task: str) -> ResponseReturnValue:
    """Keep the form's table and go on to its columns."""
    try:
        sha256, size, name = series.keep_table(request.files.getlist("file"))
    except (ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("series_page.index"), 303)
    kept = _seal().dumps([viewer().workspace, sha256, size, name])
    return redirect(url_for("series_page.columns", task=task, kept=kept), 303)


@bp.get("/<any(demand, fraud):task>/columns")
def columns(task: str) -> ResponseReturnValue:
    """Show the table's columns and what each seems to be, for a person to confirm."""
    try:
        sha256, size, name = _unsealed(request.args.get("kept", ""))
        with parts().ledger.files.local(sha256) as path:
            seen = first_look.look(path, name, task)
    except (first_look.NoTable, ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("series_page.index"), 303)
    return render_template(
        "series_columns.html",
        task=task,
        words=TASKS[task],
        kept=request.args["kept"],
        name=name,
        size=size,
        columns=seen,
        roles=first_look.ROLES[task],
        labelled=any(column.role == "fraud" for column in seen),
    )


@bp.post("/<any(demand, fraud):task>/jobs")
def begin(task: str) -> ResponseReturnValue:
    """Begin with the columns as the person confirmed them."""
    kept = request.form.get("kept", "")
    try:
        sha256, size, name = _unsealed(kept)
        options = series.options_of(task, request.form) | _roles(task)
        job = series.add(task, options, sha256, size, name)
    except (ServiceError, LedgerError) as error:
        flash(str(error))
        return redirect(url_for("series_page.columns", task=task, kept=kept), 303)
    return redirect(url_for("series_page.show", job_id=job.id), 303)


@bp.post("/<any(demand, fraud):task>/demonstration")
def demonstration(task: str) -> ResponseReturnValue:
    """Begin with a table of our own making."""
    try:
        options = {"demonstration": True} | DEMONSTRATION[task]
        job = series.add(task, options, None, None, "")
    except LedgerError as error:
        flash(str(error))
        return redirect(url_for("series_page.index"), 303)
    return redirect(url_for("series_page.show", job_id=job.id), 303)


@bp.get("/jobs/<job_id>")
def show(job_id: str) -> str:
    """Show a job: while it runs, how far it is; then what came of it."""
    job = series.found(job_id)
    if job.state != "done":
        return render_template("series_job.html", **shown(job))
    view = series_demand.view if job.task == "demand" else series_fraud.view
    return render_template(f"series_{job.task}.html", **shown(job), **view(job))


@bp.get("/jobs/<job_id>/cards/<path:card>")
def card(job_id: str, card: str) -> str:
    """Show a card's payments, and how much each weighs in an alert."""
    job = series.found(job_id)
    return render_template(
        "series_card.html", **shown(job), **series_fraud.card(job, card, request.args.get("alert"))
    )


@bp.get("/jobs/<job_id>/outputs/<name>")
def output(job_id: str, name: str) -> Response:
    """Download an output."""
    return series.download(job_id, name, as_csv=request.args.get("format") == "csv")


jobs.register(
    bp, found=series.found, erased="The table, what came of it and its alerts are erased."
)


@bp.get("/alerts")
def alerts() -> str:
    """Show the alerts of payments that were scored as they came."""
    return render_template("series_alerts.html", **series_fraud.queue(None, None))


@bp.post("/alerts/<alert_id>/<any(confirmed, dismissed, open):state>")
def decide(alert_id: str, state: str) -> ResponseReturnValue:
    """Keep what a person says of an alert."""
    note = request.form.get("note", "")[:2_000]
    alert = parts().ledger.alerts.decide(alert_id, state, viewer(), note=note)
    if alert.payment_id is not None:
        parts().client.ring("interactive")
    back = access.safe_next(request.form.get("next"))
    return redirect(url_for("series_page.alerts") if back == "/" else back, 303)


def shown(job: Job) -> dict[str, Any]:
    """Return a job with what a page says of it."""
    told = job.progress or {}
    share = None
    if told.get("epochs"):
        share = told["epoch"] / told["epochs"]
    step = str(told.get("step") or "")
    return {
        "job": job,
        "task_words": TASKS.get(job.task, job.task),
        "words": WORDS[job.state],
        "unfinished": job.state in ("waiting", "running"),
        "step": STEPS.get(step, step.capitalize()),
        "told": told,
        "share": share,
    }


def _roles(task: str) -> dict[str, Any]:
    """Return the roles that the form gives its columns; raises InvalidRequest."""
    names = request.form.getlist("column")
    said = request.form.getlist("role")
    if len(names) != len(said):
        raise InvalidRequest("The form is not whole; load the page again.")
    roles: dict[str, Any] = {"series": [], "known": []} if task == "demand" else {}
    for name, role in zip(names, said, strict=True):
        if role not in first_look.ROLES[task]:
            raise InvalidRequest("There is no such role.")
        if role in ("series", "known"):
            roles[role].append(name)
        elif role and role in roles:
            raise InvalidRequest(f"Two columns are said to be {first_look.ROLES[task][role]}.")
        elif role:
            roles[role] = name
    needed = ("time", "target") if task == "demand" else ("card", "terminal", "time", "amount")
    for role in needed:
        if role not in roles:
            raise InvalidRequest(f"Say which column is {first_look.ROLES[task][role]}.")
    return roles


def _seal() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="mailroom kept table")


def _unsealed(kept: str) -> tuple[str, int, str]:
    """Return which file a page kept for its own workspace; raises InvalidRequest."""
    try:
        workspace, sha256, size, name = _seal().loads(kept, max_age=KEPT_SECONDS)
    except BadSignature as error:
        raise InvalidRequest("The table is no longer at hand: hand it in again.") from error
    if workspace != viewer().workspace:
        raise InvalidRequest("The table is no longer at hand: hand it in again.")
    return str(sha256), int(size), str(name)
