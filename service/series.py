"""Series over the API: hand a table in, watch its job, fetch what came of it, work its alerts."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import Response, request, url_for
from flask_openapi3 import APIBlueprint, Tag
from werkzeug.datastructures import FileStorage

from ledger import Alert, Job
from ledger.errors import NotFound
from service import access, downloads, openapi
from service.access import viewer
from service.batches import allow_large, close_spooled, pieces_of
from service.errors import EmptyDocument, InvalidRequest, UnsupportedMediaType
from service.parts import parts
from service.schemas import SubmissionHeaders
from service.series_schemas import (
    SERIES_BODY,
    AlertList,
    AlertPath,
    AlertQuery,
    AlertSummary,
    Decision,
    FormatQuery,
    JobList,
    JobPath,
    JobQuery,
    JobSummary,
    OutputPath,
    TaskPath,
)
from service.submission import checked_key, clean_name

QUEUE = "series"
ENDINGS = (".csv", ".csv.gz", ".tsv", ".jsonl", ".jsonl.gz", ".ndjson", ".parquet")
COLUMN_CHARACTERS = 255
# Options by task: whole numbers with their bounds, costs, single columns, lists of columns
NUMBERS = {
    "demand": {"horizon": (1, 1000), "seed": (0, 2**31)},
    "fraud": {"budget": (1, 1000), "delay": (0, 365)},
}
COSTS = {"demand": ("short", "holding"), "fraud": ()}
COLUMNS = {
    "demand": ("time", "target"),
    "fraud": ("card", "terminal", "time", "amount", "fraud", "number"),
}
LISTS = {"demand": ("series", "known"), "fraud": ()}

bp = APIBlueprint(
    "series",
    __name__,
    url_prefix="/api/v1/series",
    abp_tags=[Tag(name="series")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)
bp.before_request(allow_large)
bp.teardown_request(lambda error: close_spooled(error))

Answer = tuple[dict[str, Any], int, dict[str, str]]


@bp.post(
    "/<task>",
    responses=openapi.answers(
        {202: openapi.accepted(JobSummary)}, 400, 404, 410, 413, 415, 422, 429, 507
    ),
    openapi_extensions={"requestBody": SERIES_BODY},
)
def hand_in(path: TaskPath, header: SubmissionHeaders) -> Answer:
    """Keep a table of sales or of card payments, and say where its forecasts or scores will be.

    CSV, JSON lines or Parquet. Columns are recognised by their names unless they are said. What
    is wrong with a row is the job's `error`, with the row.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with a `file`.")
    options = options_of(path.task, request.form)
    if request.form.get("demonstration"):
        kept, size, name = None, None, ""
        options["demonstration"] = True
    else:
        kept, size, name = keep_table(request.files.getlist("file"))
    job = add(path.task, options, kept, size, name, key=checked_key(header.idempotency_key))
    return summary(job), 202, {"Location": url_for("series.show", id=job.id)}


def keep_table(files: Sequence[FileStorage]) -> tuple[str, int, str]:
    """Keep the one table that a form brings; return its sha256, size in bytes and name."""
    if len(files) != 1:
        raise InvalidRequest("Send exactly one `file`: a table.")
    name = clean_name(files[0].filename or "")
    if not name.lower().endswith(ENDINGS):
        raise UnsupportedMediaType(f"A table's name ends in one of {', '.join(ENDINGS)}.")
    if not files[0].stream.read(1):
        raise EmptyDocument("The file has no bytes.")
    files[0].stream.seek(0)
    kept = parts().ledger.files.put_pieces(pieces_of(files[0].stream))
    return kept.sha256, kept.size, name


def add(
    task: str,
    options: dict[str, Any],
    kept: str | None,
    size: int | None,
    name: str,
    *,
    key: str | None = None,
) -> Job:
    """Owe a job of ours, and ring for a worker."""
    job = parts().ledger.jobs.add(
        viewer(),
        queue=QUEUE,
        task=task,
        name=name or "Demonstration",
        options=options,
        input=kept,
        input_size=size,
        input_name=name,
        idempotency_key=key,
    )
    parts().client.ring(QUEUE)
    return job


def options_of(task: str, form: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form says of a job, checked; raises InvalidRequest with the field."""
    options: dict[str, Any] = {}
    for name, (low, high) in NUMBERS[task].items():
        if said := str(form.get(name) or "").strip():
            if not said.isdecimal() or not said.isascii() or not low <= int(said) <= high:
                raise InvalidRequest(f"`{name}` is a whole number from {low} to {high:,}.")
            options[name] = int(said)
    for name in COSTS[task]:
        if said := str(form.get(name) or "").strip():
            options[name] = cost(said, name)
    for name in (*COLUMNS[task], "model"):
        if said := str(form.get(name) or ""):
            options[name] = _column(said, name)
    for name in LISTS[task]:
        if (listed := form.get(name)) is not None:
            each = [column.strip() for column in str(listed).split(",")]
            options[name] = [_column(column, name) for column in each if column]
    if form.get("fit"):
        options["fit"] = True
    return options


def cost(said: str, name: str) -> float:
    """Return a cost above 0, or raise InvalidRequest."""
    try:
        value = float(said)
    except ValueError:
        value = 0.0
    if not (math.isfinite(value) and 0 < value <= 1e9):
        raise InvalidRequest(f"`{name}` is a number above 0.")
    return value


def _column(said: str, name: str) -> str:
    if len(said) > COLUMN_CHARACTERS or not said.isprintable():
        raise InvalidRequest(f"`{name}` has at most {COLUMN_CHARACTERS} printable characters.")
    return said


@bp.get("/jobs", responses=openapi.answers({200: JobList}))
def find(query: JobQuery) -> dict[str, Any]:
    """List jobs on series, newest first."""
    page = parts().ledger.jobs.list(
        viewer(),
        queue=QUEUE,
        task=query.task,
        state=query.state,
        limit=query.limit,
        after=query.after,
    )
    return {"items": [summary(job) for job in page.items], "after": page.after}


@bp.get("/jobs/<id>", responses=openapi.answers({200: JobSummary}, 404))
def show(path: JobPath) -> dict[str, Any]:
    """Return how far a job is, its result, and the files it left."""
    return summary(found(path.id))


@bp.get(
    "/jobs/<id>/outputs/<name>",
    responses=openapi.answers(
        {200: openapi.content("application/octet-stream", "The file.")}, 404, 409, 410
    ),
)
def output(path: OutputPath, query: FormatQuery) -> Response:
    """Download a file that a job left; a Parquet table also as CSV (`?format=csv`)."""
    return download(path.id, path.name, as_csv=query.format == "csv")


@bp.post("/jobs/<id>/cancel", responses=openapi.answers({200: JobSummary}, 404, 409))
def cancel(path: JobPath) -> dict[str, Any]:
    """Stop a job; its process ends within seconds."""
    return summary(parts().ledger.jobs.cancel(found(path.id).id, viewer()))


@bp.post("/jobs/<id>/retry", responses=openapi.answers({200: JobSummary}, 404, 409))
def retry(path: JobPath) -> dict[str, Any]:
    """Do a failed or cancelled job again, from the start."""
    job = parts().ledger.jobs.retry(found(path.id).id, viewer())
    parts().client.ring(QUEUE)
    return summary(job)


@bp.delete("/jobs/<id>", responses=openapi.answers({204: None}, 404))
def delete(path: JobPath) -> tuple[str, int]:
    """Erase a job: its table, what it left, and its alerts."""
    parts().ledger.jobs.delete(found(path.id).id, viewer())
    return "", 204


@bp.get("/alerts", responses=openapi.answers({200: AlertList}))
def alerts(query: AlertQuery) -> dict[str, Any]:
    """List alerts, the highest score first: of a job, or of payments scored as they came."""
    page = parts().ledger.alerts.list(
        viewer(), job_id=query.job, state=query.state, limit=query.limit, after=query.after
    )
    return {"items": [alert_of(one) for one in page.items], "after": page.after}


@bp.post("/alerts/<id>/decision", responses=openapi.answers({200: AlertSummary}, 404))
def decide(path: AlertPath, body: Decision) -> dict[str, Any]:
    """Confirm an alert as fraud, dismiss it, or open it again; who said so is kept."""
    alert = parts().ledger.alerts.decide(path.id, body.state, viewer(), note=body.note)
    if alert.payment_id is not None:
        parts().client.ring("interactive")
    return alert_of(alert)


def found(job_id: str) -> Job:
    """Return a job on series; raises NotFound, also for other long jobs."""
    job = parts().ledger.jobs.get(job_id, viewer())
    if job.queue != QUEUE:
        raise NotFound("there is no such job")
    return job


def download(job_id: str, name: str, *, as_csv: bool = False) -> Response:
    """Return an output, streamed; a Parquet table as CSV on demand."""
    kept = parts().ledger.jobs.output(found(job_id).id, name, viewer())
    if as_csv and name.endswith(".parquet"):
        name = f"{name.removesuffix('.parquet')}.csv"
        answer = downloads.attachment(b"", name=name, media_type="text/csv; charset=utf-8")
        answer.response = _csv(kept.sha256)
        del answer.headers["Content-Length"]  # of no bytes; nobody knows that of the pieces yet
        return answer
    kind = "text/csv; charset=utf-8" if name.endswith(".csv") else "application/vnd.apache.parquet"
    answer = downloads.attachment(b"", name=name, media_type=kind)
    answer.response = pieces_of(parts().ledger.files.open(kept.sha256))
    answer.headers["Content-Length"] = str(kept.size)
    return answer


def _csv(sha256: str) -> Iterator[bytes]:
    """Yield a Parquet table as CSV, a part of its rows at a time."""
    import polars as pl

    files = parts().ledger.files

    def pieces() -> Iterator[bytes]:
        with files.local(sha256) as path:
            rows, step = pl.scan_parquet(path), 50_000
            total = rows.select(pl.len()).collect().item()
            for start in range(0, max(total, 1), step):
                piece = io.BytesIO()
                rows.slice(start, step).collect().write_csv(piece, include_header=start == 0)
                yield piece.getvalue()

    return pieces()


def summary(job: Job) -> dict[str, Any]:
    """Return a job as JSON."""
    started, finished = job.started_at, job.finished_at
    return {
        "id": job.id,
        "task": job.task,
        "state": job.state,
        "name": job.name,
        "input_name": job.input_name,
        "input_size": job.input_size,
        "options": job.options,
        "progress": job.progress,
        "result": job.result,
        "error": job.error,
        "attempts": job.attempts,
        "outputs": [{"name": name, "size": one.size} for name, one in job.outputs.items()],
        "created_at": job.created_at.isoformat(),
        "started_at": started.isoformat() if started else None,
        "finished_at": finished.isoformat() if finished else None,
        "repeated": job.repeated,
    }


def alert_of(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON."""
    return {
        "id": alert.id,
        "job_id": alert.job_id,
        "number": alert.number,
        "card": alert.card,
        "terminal": alert.terminal,
        "paid_at": alert.paid_at,
        "amount": alert.amount,
        "score": alert.score,
        "reasons": [reason for reason in alert.reasons if "text" in reason],
        "state": alert.state,
        "created_at": alert.created_at.isoformat(),
    }
