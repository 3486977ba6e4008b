"""From a table of transactions to a table of scores, alerts and reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from sequence import Padded
from sequence.training import Progress
from timeseries import measures
from timeseries.fraud import features, protocol, table
from timeseries.fraud.detector import Detector
from timeseries.fraud.features import Transactions
from timeseries.fraud.fitting import FraudSettings, fit
from timeseries.fraud.reasons import explain
from timeseries.fraud.scoring import shipped
from timeseries.fraud.sequences import CardSequences
from timeseries.fraud.table import Columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tell = Callable[[str, Progress | None], None]

MOST_EXPLAINED = 2_000  # alerts with reasons; the highest scores first


@dataclass
class Answer:
    """The table given with `score`, `alert` and `reason` beside each row, and plain facts."""

    table: pl.DataFrame
    columns: Columns
    detector: Detector
    facts: dict[str, Any] = field(default_factory=dict)


def run(
    frame: pl.DataFrame,
    *,
    columns: Columns | None = None,
    detector: Detector | None = None,
    settings: FraudSettings | None = None,
    budget: int | None = None,
    on_step: Tell | None = None,
) -> Answer:
    """Return a score for every transaction, each from what was known at its moment only.

    Without a `detector` the shipped one scores; with `settings` one is fitted on the table's own
    labels first, and then scores of the days it learnt from are no test of it. `budget` cards a
    day set the alert threshold; without, the detector's own stands. Raises the errors of
    `timeseries.errors`, with rows.
    """
    chosen = columns or table.recognise(frame)
    transactions, order = table.read(frame, chosen)
    facts: dict[str, Any] = {"columns": chosen.to_json()}
    if settings is not None:
        fitted = fit(transactions, settings, on_step=on_step)
        detector, facts["backtest"] = fitted.detector, fitted.table
    model = detector or shipped()
    matrix = features.build(transactions, model.delay, model.usual_amount)
    sequences = CardSequences(transactions.card, transactions.seconds, features.steps(matrix))
    odds = _odds(model, matrix, sequences)
    score = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    threshold = model.threshold
    if budget is not None:
        threshold = protocol.threshold_for_budget(
            transactions.day, transactions.card, score, budget
        )
    alert = score >= threshold
    reasons = _reasons(model, matrix, sequences, odds, alert)
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    scored = frame.with_columns(
        pl.Series("score", score[back]),
        pl.Series("alert", alert[back]),
        pl.Series("reason", [reasons.get(int(i), "") for i in back]),
    )
    facts |= {
        "transactions": len(frame),
        "alerts": int(alert.sum()),
        "threshold": threshold,
        "days": daily(transactions, score, alert),
        "model": {"name": model.name, "version": model.version},
    }
    return Answer(scored, chosen, model, measures.plain(facts))


def _odds(model: Detector, matrix: Floats, sequences: CardSequences) -> Floats:
    found = []
    rows = np.arange(len(matrix))
    for batch in np.array_split(rows, max(1, -(-len(rows) // 4096))):
        found.append(model.log_odds(matrix[batch], _before(sequences, batch))[0])
    return np.concatenate(found)


def _before(sequences: CardSequences, rows: Ints) -> Padded:
    values, lengths = sequences.take(rows)
    return Padded(torch.from_numpy(values), torch.from_numpy(lengths))


def _reasons(
    model: Detector,
    matrix: Floats,
    sequences: CardSequences,
    odds: Floats,
    alert: npt.NDArray[np.bool_],
) -> dict[int, str]:
    rows = np.flatnonzero(alert)
    rows = rows[np.argsort(-odds[rows])][:MOST_EXPLAINED]
    found = {}
    for row in rows.tolist():
        before = _before(sequences, np.array([row]))
        given = explain(model, matrix[row], before, float(odds[row]))
        found[row] = "; ".join(str(reason["text"]) for reason in given)
    return found


def daily(
    transactions: Transactions, score: Floats, alert: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return, day by day, transactions, alerts and (where labels are told) frauds: for a plot."""
    day = transactions.day
    rows = []
    for today in np.unique(day):
        inside = day == today
        rows.append(
            {
                "date": str(np.datetime64(int(today), "D")),
                "transactions": int(inside.sum()),
                "alerts": int(alert[inside].sum()),
                "frauds": int((transactions.fraud[inside] == 1).sum()),
                "highest": float(score[inside].max()),
            }
        )
    return rows


def card_history(answer: Answer, card: str) -> list[dict[str, Any]]:
    """Return one card's transactions, each with the attention the latest one paid to it."""
    frame, columns = answer.table, answer.columns
    inside = (frame[columns.card].cast(pl.String) == card).to_numpy()
    transactions, order = table.read(
        frame.select(c for c in frame.columns if c != "reason"), columns
    )
    model = answer.detector
    matrix = features.build(transactions, model.delay, model.usual_amount)
    sequences = CardSequences(transactions.card, transactions.seconds, features.steps(matrix))
    rows = np.flatnonzero(inside[order])
    if not len(rows):
        return []
    _, weights = model.log_odds(matrix[rows[-1:]], _before(sequences, rows[-1:]))
    paid = weights[0][: int(min(len(rows) - 1, weights.shape[1]))]
    given = np.zeros(len(rows))
    given[len(rows) - 1 - len(paid) : len(rows) - 1] = paid
    lines = frame[order[rows].tolist()]
    return [
        {
            "time": str(line[columns.time]),
            "terminal": str(line[columns.terminal]),
            "amount": float(line[columns.amount]),
            "score": round(float(line["score"]), 5),
            "alert": bool(line["alert"]),
            "weight": round(float(weight), 4),
        }
        for line, weight in zip(lines.iter_rows(named=True), given, strict=True)
    ]
