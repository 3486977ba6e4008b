"""Demand: what each series will sell, how sure that is, and what it means for the shelves.

`forecast` is the pure function behind `mailroom.demand`; `fitting` trains global models with
plans ahead, `plan` turns quantiles into stock.
"""

from __future__ import annotations

from timeseries.demand.local import forecast

__all__ = ["forecast"]
