"""Tokens: who may come in, for what and until when. Only an admin sees this page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger import Quota, Token
from service import access
from service.access import viewer
from service.errors import InvalidRequest
from service.navigation import Link
from service.parts import parts

LINK = Link("/tokens", "Tokens", 90, scope="admin")

bp = Blueprint("tokens", __name__, url_prefix="/tokens")
bp.before_request(access.session_gate)

SCOPES = {
    "read": "see documents and results",
    "write": "hand in, retry and delete documents",
    "admin": "everything, tokens too",
}
DAYS = {"7": 7, "30": 30, "90": 90, "365": 365, "never": None}
NAME_CHARACTERS = 100
LIMITS = {name: name.replace("_", " ") for name, _ in Quota().items()}
LIMIT_DIGITS = 18


@bp.before_request
def admins_only() -> None:
    """Keep others out."""
    viewer().require("admin")


@bp.get("")
def show() -> str:
    """List the workspace's tokens."""
    return page()


@bp.post("")
def issue() -> ResponseReturnValue:
    """Make a token and show its secret, this once."""
    name = request.form.get("name", "").strip()
    if not name or len(name) > NAME_CHARACTERS:
        raise InvalidRequest(f"A token's name has 1 to {NAME_CHARACTERS} characters.")
    scopes = set(request.form.getlist("scopes"))
    if not scopes or not scopes <= SCOPES.keys():
        raise InvalidRequest("Choose at least one thing that the token may do.")
    said = request.form.get("days", "")
    if said not in DAYS:
        raise InvalidRequest("Choose how long the token is good for.")
    days = DAYS[said]
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    token, secret = parts().ledger.tokens.issue(
        viewer(), name=name, scopes=scopes, expires_at=until, quota=said_quota()
    )
    return page(issued=token, secret=secret), 201


@bp.post("/<token_id>/quota")
def limit(token_id: str) -> ResponseReturnValue:
    """Set what a token may hand in from now on."""
    parts().ledger.tokens.limit(token_id, said_quota(), viewer())
    return redirect(url_for("tokens.show"), 303)


def said_quota() -> Quota:
    """Return the quota that this request's form says; an empty field is no limit."""
    limits: dict[str, int | None] = {}
    for name in LIMITS:
        said = request.form.get(name, "").strip()
        if said and not (said.isascii() and said.isdigit() and len(said) <= LIMIT_DIGITS):
            raise InvalidRequest("A limit is a whole number; leave it empty for none.")
        limits[name] = int(said) if said else None
    return Quota(**limits)


@bp.post("/<token_id>/revoke")
def revoke(token_id: str) -> ResponseReturnValue:
    """Make a token worthless, and end the sessions that it started."""
    parts().ledger.tokens.revoke(token_id, viewer())
    return redirect(url_for("tokens.show"), 303)


def page(**more: Any) -> str:
    """Return the page with every token, those that still work first."""
    tokens = parts().ledger.tokens.list(viewer())
    rows = [
        {
            "token": token,
            "ended": ended(token),
            "limits": dict(token.quota.items()),
            "uses": parts().ledger.quotas.uses(token.id, token.quota) if token.quota else [],
        }
        for token in tokens
    ]
    rows.sort(key=lambda row: row["ended"] is not None)
    return render_template(
        "tokens.html", rows=rows, scopes=SCOPES, days=list(DAYS), limits=LIMITS, **more
    )


def ended(token: Token) -> str | None:
    """Return why a token no longer works, or None while it does."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= datetime.now(UTC):
        return "expired"
    return None
