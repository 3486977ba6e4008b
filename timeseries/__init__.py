"""Histories of numbers: what is known when, what comes next, and which event is odd.

Knows histories, horizons, delays and moments of knowledge; never requests, queues or words.
`timeseries.demand` forecasts sales, `timeseries.fraud` scores card transactions; tables, roles,
panels, windows and intervals beside them are shared with whatever comes next (churn, markets).
"""
