"""What a page shows of a forecast: a series's fan, the backtest, and what a plan would cost."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from ledger import Job
from service import plots, series
from service.errors import InvalidRequest
from service.parts import parts

SERIES_SHOWN = 200  # that a person picks from; more are found by their name
MEASURES = ("mape", "rmspe", "wape", "rmsse")

_X = {"field": "time", "type": "temporal", "title": None}


def view(job: Job) -> dict[str, Any]:
    """Return what the template of a finished forecast needs."""
    result = job.result or {}
    names, wanted = _series(job)
    rows = _fan(job, wanted)
    costs = _costs(job)
    return {
        "result": result,
        "names": names,
        "wanted": wanted,
        "fan": plots.figure(_fan_spec(result, rows), rows, f"{wanted}: sold and forecast"),
        "backtest": _backtest(result),
        "measures": [name for name in MEASURES if _has(result, name)],
        "plans": plan_lines(result, *costs),
        "short": costs[0],
        "holding": costs[1],
        "ratio": costs[0] / (costs[0] + costs[1]),
    }


def plan_lines(result: dict[str, Any], short: float, holding: float) -> list[dict[str, Any]]:
    """Return what each plan would have led to at these costs, the cheapest first."""
    plans = result.get("plans") or []
    if not plans:
        return []
    wanted = short / (short + holding)
    nearest = min({line["ratio"] for line in plans}, key=lambda ratio: abs(ratio - wanted))
    scale = result.get("plan_scale") or {"demand": 0.0, "periods": 0}
    lines = []
    for line in plans:
        if line["ratio"] != nearest:
            continue
        lost = line["lost_share"] * scale["demand"]
        held = line["held_per_period"] * scale["periods"]
        name, _, how = str(line["plan"]).partition(", ")
        words = "This forecast" if name == "model" else name
        lines.append(
            {
                "plan": f"{words}, {'its quantile' if how.startswith('quantile') else how}",
                "ours": name == "model",
                "stockouts": line["stockout_share"],
                "lost": lost,
                "lost_share": line["lost_share"],
                "held": line["held_per_period"],
                "cost": short * lost + holding * held,
            }
        )
    lines.sort(key=lambda line: line["cost"])
    dearest = max(line["cost"] for line in lines) or 1.0
    return [line | {"saved": 1 - line["cost"] / dearest} for line in lines]


def _series(job: Job) -> tuple[list[str], str]:
    """Return the names to pick from, the largest first, and the one that is shown."""
    import polars as pl

    with parts().ledger.files.local(job.outputs["series.parquet"].sha256) as path:
        every = pl.read_parquet(path, columns=["series"])["series"].to_list()
    wanted = request.args.get("series") or ""
    if wanted not in every:
        near = [name for name in every if wanted.lower() in name.lower()] if wanted else []
        wanted = (near or every)[0]
    return every[:SERIES_SHOWN], wanted


def _fan(job: Job, wanted: str) -> list[dict[str, Any]]:
    import polars as pl

    with parts().ledger.files.local(job.outputs["fan.parquet"].sha256) as path:
        rows = pl.scan_parquet(path).filter(pl.col("series") == wanted).collect()
    rows = rows.drop("series", "cold").sort("time").tail(plots.MOST_ROWS)
    return rows.with_columns(pl.col(pl.Float64).round(2)).to_dicts()


def _fan_spec(result: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = next((row["time"] for row in rows if row.get("forecast") is not None), None)
    x = _X | _axis(rows[0]["time"] if rows else "")
    target = (result.get("roles") or {}).get("target", "")
    y = {"type": "quantitative", "title": target}
    told = "isValid(datum.forecast)"
    layers: list[dict[str, Any]] = [
        {
            "transform": [{"filter": told}],
            "mark": {"type": "area", "opacity": opacity},
            "encoding": {
                "x": x,
                "y": y | {"field": f"low_{level}"},
                "y2": {"field": f"high_{level}"},
            },
        }
        for level, opacity in ((95, 0.16), (80, 0.26))
    ]
    layers += [
        {
            "transform": [{"filter": "isValid(datum.actual)"}],
            "mark": {"type": "line", "strokeWidth": 1.4},
            "encoding": {"x": x, "y": y | {"field": "actual"}, "color": _line("Sold")},
        },
        {
            "transform": [{"filter": told}],
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": y | {"field": "forecast"}, "color": _line("Forecast")},
        },
    ]
    if any(row.get("promotion") for row in rows):
        layers.append(
            {
                "transform": [{"filter": "datum.promotion"}],
                "mark": {"type": "tick", "orient": "vertical", "thickness": 3, "size": 9},
                "encoding": {"x": x, "y": {"value": 235}, "color": _line("Promotion")},
            }
        )
    if first is not None:
        layers.append(
            {
                "transform": [{"filter": f"datum.time - {_moment(first)} === 0"}],
                "mark": {"type": "rule", "strokeDash": [4, 4]},
                "encoding": {"x": x},
            }
        )
    return {"height": 300, "layer": layers}


def _axis(moment: str) -> dict[str, Any]:
    """Return how moments like this one stand on an axis."""
    if "-" not in moment:
        return {"type": "quantitative"}
    # a browser reads a day without a time as UTC: shown so, it is the same day everywhere
    return {"scale": {"type": "utc"}} if len(moment) == len("2026-01-31") else {}


def _moment(moment: str) -> str:
    """Return a moment as an expression that a plot can subtract."""
    return f"toDate({json.dumps(moment)})" if "-" in moment else str(int(moment))


def _line(name: str) -> dict[str, Any]:
    scale = {"domain": ["Forecast", "Sold", "Promotion"]}
    return {"datum": name, "scale": scale, "legend": {"title": None}}


def _backtest(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the backtest's lines, ours and the best first."""
    lines = [dict(line) for line in result.get("backtest") or []]
    for line in lines:
        line["weight"] = (result.get("weights") or {}).get(line.get("method"), line.get("weight"))
    return lines


def _has(result: dict[str, Any], measure: str) -> bool:
    return any(isinstance(line.get(measure), float) for line in result.get("backtest") or [])


def _costs(job: Job) -> tuple[float, float]:
    usual = {"short": 4.0, "holding": 1.0}
    said = {}
    for name, fallback in usual.items():
        try:
            said[name] = series.cost(request.args[name], name)
        except (KeyError, InvalidRequest):
            said[name] = float(job.options.get(name) or fallback)
    return said["short"], said["holding"]
