"""The shadow report on a page, and as a file to hand on."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template, request

from service import access, shadow_file, shadow_plots
from service.access import viewer
from service.navigation import Link
from service.parts import parts
from service.routing import rules_in_force
from service.shadow import MINUTES, Asked, measured

LINK = Link("/shadow", "Shadow", 37)

bp = Blueprint("shadow_page", __name__, url_prefix="/shadow")
bp.before_request(access.session_gate)


@bp.get("")
def show() -> str:
    """Show how often decisions agree with people's."""
    asked, rules = wanted(), rules_in_force()
    report = measured(parts().ledger, viewer(), rules, asked)
    return render_template(
        "shadow.html",
        report=report,
        figures=shadow_plots.on_page(report),
        asked=asked,
        chosen=chosen(asked),
        kinds=parts().client.kinds(),
        ruled=rules is not None,
    )


@bp.get("/report.html")
def download() -> Response:
    """Download the report as one file that needs no network."""
    rules = rules_in_force()
    report = measured(parts().ledger, viewer(), rules, wanted())
    answer = Response(
        shadow_file.render(report, version=rules.version if rules else None),
        mimetype="text/html",
        # opened from here it would run under our name, and without its style
        headers={"Content-Disposition": 'attachment; filename="mailroom-shadow-report.html"'},
    )
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def wanted() -> Asked:
    """Return what the address asks for; what makes no sense is as if not said."""
    minutes = request.args.get("minutes", MINUTES, type=float)
    days = request.args.get("days", type=int)
    return Asked(
        kind=request.args.get("kind", "")[:100] or None,
        days=days if days is not None and 1 <= days <= 3_650 else None,
        minutes=minutes if 0 <= minutes <= 600 else MINUTES,
        head=request.args.get("head", "").strip()[:100] or None,
    )


def chosen(asked: Asked) -> dict[str, Any]:
    """Return the parts of the address that say the same again."""
    return {
        name: value
        for name in ("kind", "days", "minutes", "head")
        if (value := getattr(asked, name)) is not None
    }
