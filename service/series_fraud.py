"""What a page shows of scored payments: alerts over time, the queue that people work, a card."""

from __future__ import annotations

from typing import Any

from flask import request

from ledger import Job
from ledger.alerts import ALERT_STATES
from ledger.errors import NotFound
from service import plots
from service.access import viewer
from service.parts import parts

PAGE = 25
WORDS = {"open": "To look at", "confirmed": "Confirmed fraud", "dismissed": "Dismissed"}


def view(job: Job) -> dict[str, Any]:
    """Return what the template of scored payments needs."""
    result = job.result or {}
    line = _budget(result)
    return {
        "result": result,
        "line": line,
        "days": plots.figure(_days_spec(result), _days(result), "Payments of each day"),
        **queue(job.id, float(line["threshold"])),
    }


def queue(job_id: str | None, least: float | None) -> dict[str, Any]:
    """Return a page of alerts in the state that the address asks for."""
    ledger = parts().ledger
    state = request.args.get("state", "open")
    state = state if state in ALERT_STATES else "open"
    page = ledger.alerts.list(
        viewer(),
        job_id=job_id,
        state=state,
        least=least,
        limit=PAGE,
        after=request.args.get("after") or None,
    )
    return {
        "alerts": page.items,
        "after": page.after,
        "state": state,
        "counts": ledger.alerts.counts(viewer(), job_id=job_id, least=least),
        "alert_words": WORDS,
        "kept": {name: request.args[name] for name in ("budget",) if name in request.args},
    }


def card(job: Job, card: str, alert_id: str | None) -> dict[str, Any]:
    """Return a card's payments with their weights in an alert; raises NotFound."""
    import polars as pl

    files = parts().ledger.files
    if "cards.parquet" not in job.outputs:
        raise NotFound("there is no such card")
    with files.local(job.outputs["cards.parquet"].sha256) as path:
        payments = pl.scan_parquet(path).filter(pl.col("card") == card).collect()
    if payments.is_empty():
        raise NotFound("this card has no alert")
    alerts = parts().ledger.alerts.list(viewer(), job_id=job.id, card=card, limit=200).items
    chosen = next((one for one in alerts if one.id == alert_id), alerts[0] if alerts else None)
    row = None if chosen is None else _row_of(chosen.reasons)
    with files.local(job.outputs["weights.parquet"].sha256) as path:
        weights = pl.scan_parquet(path).filter(pl.col("alert_row") == row).collect()
    joined = payments.join(weights.select("row", "weight"), on="row", how="left")
    joined = joined.sort("time").with_columns(pl.col("weight").fill_null(0.0))
    lines = joined.tail(plots.MOST_ROWS).to_dicts()
    for line in lines:
        line["is_chosen"] = line["row"] == row
    shown = [
        {
            "time": line["time"].replace(" ", "T"),
            "amount": line["amount"],
            "terminal": line["terminal"],
            "score": round(line["score"], 4),
            "weight": round(line["weight"], 3),
            "what": _what(line),
        }
        for line in lines
    ]
    verdicts = parts().ledger.alerts.verdicts(chosen.id, viewer()) if chosen else []
    return {
        "card": card,
        "alerts": alerts,
        "chosen": chosen,
        "verdicts": verdicts,
        "alert_words": WORDS,
        "chart": plots.figure(_card_spec(), shown, "Payments with this card"),
        "weighed": sorted(
            (line for line in lines if line["weight"] > 0.005), key=lambda line: -line["weight"]
        ),
    }


def _row_of(reasons: list[dict[str, Any]]) -> int | None:
    return next((int(reason["row"]) for reason in reasons if "row" in reason), None)


def _what(line: dict[str, Any]) -> str:
    if line["is_chosen"]:
        return "This alert"
    return "Alert" if line["alert"] else "Payment"


def _budget(result: dict[str, Any]) -> dict[str, Any]:
    """Return the line of the budget that the address asks for, else of the job's own."""
    lines = result.get("budgets") or [{"budget": 0, "threshold": 1.0, "alerts": 0}]
    said = request.args.get("budget", "")
    wanted = int(said) if said.isascii() and said.isdecimal() else result.get("budget")
    return next(
        (line for line in lines if line["budget"] == wanted),
        next((line for line in lines if line["budget"] == result.get("budget")), lines[0]),
    )


def _days(result: dict[str, Any]) -> list[dict[str, Any]]:
    labelled = bool(result.get("labelled"))
    rows = []
    for day in result.get("days") or []:
        row = {"date": day["date"], "payments": day["transactions"], "alerts": day["alerts"]}
        if labelled:
            row |= {"frauds": day["frauds"], "frauds found": day["hits"]}
        rows.append(row)
    return rows[-plots.MOST_ROWS :]


def _days_spec(result: dict[str, Any]) -> dict[str, Any]:
    names = ["alerts"] + (["frauds", "frauds found"] if result.get("labelled") else [])
    return {
        "height": 220,
        "transform": [{"fold": names, "as": ["what", "count"]}],
        "mark": {"type": "line", "interpolate": "monotone", "strokeWidth": 1.8},
        "encoding": {
            "x": {"field": "date", "type": "temporal", "title": None, "scale": {"type": "utc"}},
            "y": {"field": "count", "type": "quantitative", "title": "payments"},
            "color": {
                "field": "what",
                "type": "nominal",
                "title": None,
                "scale": {"domain": names},
            },
        },
    }


def _card_spec() -> dict[str, Any]:
    x = {"field": "time", "type": "temporal", "title": None}
    y = {"field": "amount", "type": "quantitative", "title": "amount"}
    return {
        "height": 260,
        "layer": [
            {"mark": {"type": "rule", "opacity": 0.25}, "encoding": {"x": x, "y": y}},
            {
                "mark": {"type": "point", "filled": True, "opacity": 0.85},
                "encoding": {
                    "x": x,
                    "y": y,
                    "size": {
                        "field": "weight",
                        "type": "quantitative",
                        "legend": None,
                        "scale": {"range": [18, 500]},
                    },
                    "color": {
                        "field": "what",
                        "type": "nominal",
                        "title": None,
                        "scale": {"domain": ["Payment", "Alert", "This alert"]},
                    },
                },
            },
            {
                "transform": [{"filter": "datum.what === 'This alert'"}],
                "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 220},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": {"datum": "This alert"},
                },
            },
        ],
    }
