"""Training a model of one's own: fitted on a file, kept as a weights folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequence.encoder import EncoderName
from sequence.training import Progress
from timeseries import measures, panel, roles, tables
from timeseries.errors import BadRequest

Tell = Callable[[str, Progress | None], None]


def train_series(
    task: str,
    name: str,
    version: str,
    files: tuple[Path, ...],
    folder: Path,
    *,
    horizon: int = 28,
    gap: int = 0,
    delay: int = 7,
    encoder: EncoderName = "gru",
    seed: int = 0,
    threads: int = 1,
    on_step: Tell | None = None,
) -> dict[str, Any]:
    """Fit `task` (`demand` or `fraud`) on files and write the weights to `folder`.

    Returns the chosen weights and the backtest's table. Raises the errors of
    `timeseries.errors`, and ArtifactError when the folder is there already.
    """
    if task == "demand":
        facts = _demand(name, version, files, folder, horizon, gap, encoder, seed, threads, on_step)
    elif task == "fraud":
        facts = _fraud(name, version, files, folder, delay, encoder, seed, threads, on_step)
    else:
        raise BadRequest(f"task {task!r} is neither demand nor fraud")
    found = {"model": name, "version": version, "task": task, "folder": str(folder), **facts}
    return dict(measures.plain(found))


def _demand(
    name: str,
    version: str,
    files: tuple[Path, ...],
    folder: Path,
    horizon: int,
    gap: int,
    encoder: EncoderName,
    seed: int,
    threads: int,
    on_step: Tell | None,
) -> dict[str, Any]:
    from timeseries.demand import model
    from timeseries.demand.fitting import DemandSettings, fit
    from timeseries.demand.learning import NetworkSettings

    history = tables.read_history(files)
    said = roles.recognise(history.table, companions=history.companions)
    panel.refuse_negative(history.table, said)
    whole, _ = panel.build_panel(history.table, said, companions=history.companions)
    settings = DemandSettings(
        horizon=horizon,
        gap=gap,
        seed=seed,
        threads=threads,
        learning=NetworkSettings(encoder=encoder),
    )
    fitted = fit(whole, settings, on_step=on_step)
    data = f"{len(whole)} series, {whole.last + 1} moments"
    facts = {"roles": said.to_json(), "seed": seed, "data": data}
    card = _card(name, "demand", data, fitted.table)
    model.save(fitted, folder, name=name, version=version, card=card, facts=facts)
    return {"weights": fitted.weights, "backtest": fitted.table, "notices": list(whole.notices)}


def _fraud(
    name: str,
    version: str,
    files: tuple[Path, ...],
    folder: Path,
    delay: int,
    encoder: EncoderName,
    seed: int,
    threads: int,
    on_step: Tell | None,
) -> dict[str, Any]:
    from timeseries.fraud import table
    from timeseries.fraud.fitting import FraudSettings, fit

    history = tables.read_history(files)
    columns = table.recognise(history.table)
    transactions, _ = table.read(history.table, columns)
    settings = FraudSettings(delay=delay, encoder=encoder, seed=seed, threads=threads)
    fitted = fit(transactions, settings, on_step=on_step)
    data = f"{len(transactions)} transactions, {int((transactions.fraud == 1).sum())} frauds"
    facts = {"columns": columns.to_json(), "seed": seed, "data": data, "dev": fitted.table}
    card = _card(name, "fraud", data, fitted.table)
    fitted.detector.save(folder, card=card, name=name, version=version, facts=facts)
    return {"weights": {"network": fitted.detector.weight}, "backtest": fitted.table}


def _card(name: str, task: str, data: str, table: list[dict[str, Any]]) -> str:
    """Return the model's card: data, and how every method did in the rounds held back."""
    columns = list(dict.fromkeys(key for line in table for key in line))
    lines = [
        f"# {name}",
        "",
        f"Task: {task}. Trained by `mailroom train --task {task}` on the user's own file: {data}.",
        "",
        "Rounds held back at the end of the history, every method asked the same:",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for line in table:
        cells = [line.get(column, "") for column in columns]
        shown = [f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join([*lines, ""])
