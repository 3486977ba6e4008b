"""What stands behind alerts: their cards' payments, and how much weight each had for the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from sequence import Padded
from timeseries.fraud import features, protocol, table
from timeseries.fraud.pipeline import Answer
from timeseries.fraud.sequences import CardSequences

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def of_alerts(answer: Answer, *, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the payments of cards with alerts, and the weights behind each alert.

    The first table has `row` (of the answer's table, from 1), `card`, `terminal`, `time`,
    `amount`, `score`, `alert`, `reason`, in order of time; the second, for the `most` highest
    alerts, `alert_row`, `row` and `weight`: what the alert's score owes to that earlier payment.
    """
    frame, columns = answer.table, answer.columns
    transactions, order = table.read(frame.drop("reason"), columns)
    score = frame["score"].to_numpy()[order]
    alert = frame["alert"].to_numpy()[order]
    cards = np.unique(transactions.card[alert])
    inside = np.flatnonzero(np.isin(transactions.card, cards))
    chosen = frame[order[inside].tolist()]
    history = pl.DataFrame(
        {
            "row": order[inside] + 1,
            "card": chosen[columns.card].cast(pl.String),
            "terminal": chosen[columns.terminal].cast(pl.String),
            "time": chosen[columns.time].cast(pl.String).str.replace(r"\.0+$", ""),
            "amount": chosen[columns.amount].cast(pl.Float64),
            "score": chosen["score"],
            "alert": chosen["alert"],
            "reason": chosen["reason"],
        }
    )
    model = answer.detector
    matrix = features.build(transactions, model.delay, model.usual_amount)
    sequences = CardSequences(transactions.card, transactions.seconds, features.steps(matrix))
    rows = np.flatnonzero(alert)
    rows = rows[np.argsort(-score[rows], kind="stable")][:most]
    lines: list[dict[str, Any]] = []
    for batch in np.array_split(rows, max(1, -(-len(rows) // 512))):
        if not len(batch):
            continue
        values, lengths = sequences.take(batch)
        before = Padded(torch.from_numpy(values), torch.from_numpy(lengths))
        _, weights = model.log_odds(matrix[batch], before)
        for row, length, paid in zip(batch.tolist(), lengths.tolist(), weights, strict=True):
            last = sequences.place[row]
            earlier = order[sequences.order[last - length : last]] + 1
            lines += [
                {"alert_row": int(order[row]) + 1, "row": past, "weight": float(weight)}
                for past, weight in zip(earlier.tolist(), paid[:length], strict=True)
            ]
    schema = {"alert_row": pl.Int64, "row": pl.Int64, "weight": pl.Float64}
    return history, pl.DataFrame(lines, schema=schema)


def budgets(answer: Answer, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Return a line a budget of cards a day: its threshold, and what it finds of what is labelled.

    `precision` and `found` (share of the frauds) are None where the table tells no labels.
    """
    frame, columns = answer.table, answer.columns
    transactions, order = table.read(frame.drop("reason"), columns)
    score: Floats = frame["score"].to_numpy()[order]
    fraud = transactions.fraud == 1
    lines = []
    for budget in wanted:
        threshold = protocol.threshold_for_budget(
            transactions.day, transactions.card, score, budget
        )
        alert = score >= threshold
        hits = int((alert & fraud).sum())
        told = bool((transactions.fraud >= 0).any())
        lines.append(
            {
                "budget": int(budget),
                "threshold": float(threshold),
                "alerts": int(alert.sum()),
                "precision": hits / int(alert.sum()) if told and alert.any() else None,
                "found": hits / int(fraud.sum()) if told and fraud.any() else None,
            }
        )
    return lines
