"""Fraud among card transactions: features, the detector, and scoring one transaction at a time.

`score` is the pure function behind `mailroom.fraud`: transactions and states in, scores and new
states out, in constant time per transaction, nothing kept between calls.
"""

from __future__ import annotations

from timeseries.fraud.scoring import score

__all__ = ["score"]
