"""Scoring a forecast or a detector on rows held back, given only what is dated before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequence.artifact import read_config
from sequence.training import Progress
from timeseries import measures, tables
from timeseries.demand.evaluation import evaluate_demand
from timeseries.errors import BadRequest
from timeseries.fraud.evaluation import evaluate_fraud
from timeseries.request import Request

Tell = Callable[[str, Progress | None], None]


def evaluate_series(
    name: str,
    file: Path,
    request: Request,
    *,
    folder: Path | None = None,
    on_step: Tell | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the scores of `name` on the rows of `file`, as one flat object.

    `name` is `demand` or `fraud`, which fit on the history first, or a trained model whose
    weights folder is `folder`. `settings` override those of the fit. Raises the errors of
    `timeseries.errors`, each with its row.
    """
    history = tables.read_history(request.history)
    future = tables.read_table(file)
    task = _task(folder) if folder is not None else name
    if task == "fraud":
        found = evaluate_fraud(history.table, future, request, folder, on_step, settings or {})
    elif task == "demand":
        found = evaluate_demand(history, future, request, folder, on_step, settings or {})
    else:
        raise BadRequest(f"{name!r} is neither demand nor fraud nor a trained model of either")
    return {"model": name, **found}


def _task(folder: Path) -> str:
    return str(read_config(folder).get("task"))


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation as one flat object of plain JSON values; what is not known is null."""
    flat = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    return dict(measures.plain(flat))
