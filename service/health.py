"""Whether this process lives, whether documents really get read, and figures for a monitor."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue

from ledger.errors import LedgerError
from service import access, metrics
from service.access import viewer
from service.parts import parts
from service.problems import problem
from settings import Settings

bp = Blueprint("health", __name__)

# Documents that people hand in go through this one: without its pulse nothing is read.
NEEDED_QUEUES = ("interactive",)
PULSES_MISSED = 3


@bp.get("/healthz")
def alive() -> ResponseReturnValue:
    """Say that this process answers; nothing else is looked at."""
    return {"status": "ok"}


@bp.get("/readyz")
def ready() -> ResponseReturnValue:
    """Say whether a document handed in now would be read, or 503 with what is in the way.

    Open to probes without a token; it names queues and parts, and no data.
    """
    wrong = hindrances()
    if not wrong:
        return {"status": "ready"}
    return problem("not_ready", " ".join(wrong), errors=[{"message": each} for each in wrong])


def hindrances() -> list[str]:
    """Return what keeps a document from being read, as sentences; empty when nothing does."""
    wrong: list[str] = []
    try:
        if not parts().ledger.is_current():
            wrong.append("The ledger's tables are not current: run `mailroom migrate`.")
        else:
            wrong += quiet_queues(parts().ledger.pulses.ages(), bound(parts().settings))
    except LedgerError as error:
        wrong.append(f"The ledger does not answer ({error.code}).")
    if not parts().client.answers():
        wrong.append("The broker does not answer.")
    return wrong


def quiet_queues(ages: dict[str, float], seconds: float) -> list[str]:
    """Return a sentence for each queue through which nothing went for too long.

    A queue that never had a worker is not missed, unless it is one that documents need.
    """
    wrong = []
    for queue in sorted({*ages, *NEEDED_QUEUES}):
        age = ages.get(queue)
        if age is None:
            wrong.append(f"No work ever went through the queue {queue}.")
        elif age > seconds:
            wrong.append(f"No work went through the queue {queue} for {age:.0f} seconds.")
    return wrong


def bound(settings: Settings) -> float:
    """Return after how many seconds without work a queue counts as standing still.

    Every queue is rung all `pulse_seconds`; a worker in the middle of its longest batch
    answers that much later.
    """
    return PULSES_MISSED * settings.pulse_seconds + settings.task_seconds


@bp.get("/metrics")
def figures() -> Response:
    """Return the installation's figures as Prometheus reads them.

    They need a token with the scope `read`, as everything that tells of documents does: an
    exception for this machine's own addresses would open them to whoever a proxy here serves.
    """
    access.bearer_gate()
    body, media_type = metrics.exposition(parts().ledger, viewer())
    return current_app.response_class(body, content_type=media_type)


def pulse_rows() -> list[dict[str, Any]]:
    """Return each queue's figures for the status page."""
    ledger = parts().ledger
    owed, ages, totals = ledger.owed.status(), ledger.pulses.ages(), ledger.pulses.totals()
    owed |= ledger.jobs.status()  # long jobs have queues of their own
    seconds = bound(parts().settings)
    rows = []
    for queue in sorted({*owed, *ages, *NEEDED_QUEUES}):
        age = ages.get(queue)
        figures = owed.get(queue, {})
        rows.append(
            {
                "queue": queue,
                "owed": figures.get("owed", 0),
                "leased": figures.get("leased", 0),
                "oldest": figures.get("oldest_seconds"),
                "age": age,
                "alive": age is not None and age <= seconds,
                "done": totals.get(queue, 0),
            }
        )
    return rows
