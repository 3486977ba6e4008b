"""Scoring a fraud detector on the days after its history, by the book's protocol."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sequence.training import Progress
from timeseries.errors import BadRequest, MissingColumn
from timeseries.fraud import detector as detectors
from timeseries.fraud import features, protocol, table
from timeseries.fraud.detector import Detector
from timeseries.fraud.features import Transactions
from timeseries.fraud.fitting import FraudSettings, fit
from timeseries.fraud.sequences import CardSequences
from timeseries.request import Request

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tell = Callable[[str, Progress | None], None]


def evaluate_fraud(
    history: pl.DataFrame,
    future: pl.DataFrame,
    request: Request,
    folder: Path | None,
    on_step: Tell | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return the book's measures on the future's rows, fitting on the history where no model is.

    Labels count only once they are older than the delay: the last days of the history train
    nothing. Rows after `until` are left out.
    """
    started = clock.perf_counter()
    whole, split = _together(history, future, request)
    delay = 7 if request.delay is None else request.delay
    first_day = int(whole.day[split])
    if folder is None:
        chosen = replace(
            FraudSettings(delay=delay, seed=request.seed, threads=request.threads), **settings
        )
        past = whole.take(np.arange(split))
        fitted = fit(past, chosen, labels_until=first_day - delay - 1, on_step=on_step)
        detector, backtest, version = fitted.detector, fitted.table, "fitted"
    else:
        detector = detectors.load(folder)
        backtest, version = [], detector.version
        if request.delay is not None and request.delay != detector.delay:
            raise BadRequest(f"this model was trained for a delay of {detector.delay} days")
        delay = detector.delay
    trained = clock.perf_counter()
    score = score_rows(detector, whole, np.arange(split, len(whole)))
    predicted = clock.perf_counter()
    test = np.zeros(len(whole), dtype=bool)
    test[split:] = True
    chosen_rows = protocol.eligible(whole.day, whole.card, whole.fraud == 1, test, delay=delay)
    rows = np.flatnonzero(chosen_rows)
    told, own = whole.take(rows), score[rows - split]
    found = protocol.measure(told.day, told.card, told.fraud == 1, told.amount, own)
    simple = protocol.measure(
        told.day, told.card, told.fraud == 1, told.amount, simple_score(detector, whole)[rows]
    )
    return {
        "version": version,
        "rows": len(rows),
        "rows_left_out": int(test.sum()) - len(rows),
        "delay": delay,
        **found,
        "baseline": "amount and terminal risk",
        **{f"baseline_{name}": value for name, value in simple.items()},
        "rows_per_second": int(test.sum()) / max(predicted - trained, 1e-9),
        "seconds": clock.perf_counter() - started,
        "threshold": detector.threshold,
        "backtest": backtest,
    }


def _together(
    history: pl.DataFrame, future: pl.DataFrame, request: Request
) -> tuple[Transactions, int]:
    columns = table.recognise(
        history, time=request.time, fraud=request.target, **_given(request.series)
    )
    if columns.fraud is None or columns.fraud not in future.columns:
        raise MissingColumn("both the history and the rows to score need a label (is_fraud)")
    needed = [name for name in columns.to_json().values() if name is not None]
    missing = [name for name in needed if name not in future.columns]
    if missing:
        raise MissingColumn(f"the rows to score lack {', '.join(missing)}")
    past, _ = table.read(history.select(needed), columns)
    both = pl.concat([history.select(needed), future.select(needed)], how="vertical_relaxed")
    whole, order = table.read(both, columns)
    split = len(past)
    if (order[:split] >= split).any():
        row = int(np.flatnonzero(order >= split)[0])
        raise BadRequest(
            "the rows to score begin before the history ends: a score would see the future "
            f"(row {int(order[row]) - split + 1} is the first)"
        )
    if request.until is not None:
        try:
            last = (date.fromisoformat(request.until) - date(1970, 1, 1)).days
        except ValueError as error:
            raise BadRequest(f"--until {request.until!r} is no date like 2026-03-31") from error
        whole = whole.take(whole.day <= last)
        if len(whole) <= split:
            raise BadRequest(f"no row to score is dated up to {request.until}")
    return whole, split


def _given(series: tuple[str, ...] | None) -> dict[str, str]:
    """Return card and terminal from `--series CARD,TERMINAL`."""
    if not series:
        return {}
    return dict(zip(("card", "terminal"), series, strict=False))


def score_rows(detector: Detector, whole: Transactions, rows: Ints) -> Floats:
    """Return the chance of fraud of the rows, each from what was known at its moment."""
    import torch

    from sequence import Padded

    matrix = features.build(whole, detector.delay, detector.usual_amount)
    sequences = CardSequences(whole.card, whole.seconds, features.steps(matrix))
    found = []
    for batch in np.array_split(rows, max(1, -(-len(rows) // 4096))):
        values, lengths = sequences.take(batch)
        before = Padded(torch.from_numpy(values), torch.from_numpy(lengths))
        odds, _ = detector.log_odds(matrix[batch], before)
        found.append(1 / (1 + np.exp(-np.clip(odds, -50, 50))))
    return np.concatenate(found)


def simple_score(detector: Detector, whole: Transactions) -> Floats:
    """Return a rule's score: how far the amount is off, or how bad the terminal has been."""
    matrix = features.build(whole, detector.delay, detector.usual_amount)
    column = {name: matrix[:, i] for i, name in enumerate(features.NAMES)}
    amount = np.clip(column["ratio"] / 10, 0, 1)
    return np.asarray(np.maximum(amount, column["terminal_risk_30"]))
