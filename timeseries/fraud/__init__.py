"""Fraud among card transactions: features, the detector, and scoring one transaction at a time.

`score` is the pure function behind `mailroom.fraud`: transactions and states in, scores and new
states out, in constant time per transaction, nothing kept between calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["score"]


def score(
    transactions: Sequence[Mapping[str, Any]], states: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return `{"scores", "states"}` as `timeseries.fraud.scoring.score` does."""
    # here: who only wants to know a table's columns shall not wait for torch
    from timeseries.fraud import scoring

    return scoring.score(transactions, states)
