"""Signing in with a token, by link or by form, and signing out."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from ledger.errors import InvalidToken
from service import access

bp = Blueprint("sign_in", __name__)


@bp.get("/sign-in")
def show() -> ResponseReturnValue:
    """Sign in with the token of the address, or ask for one.

    The answer to a token is a redirect, so that it stays in no history and no Referer. A link
    on another site's page is not followed blindly: it could sign someone in as somebody else.
    """
    token = request.args.get("token", "")
    if token and request.headers.get("Sec-Fetch-Site") != "cross-site":
        return signed_in(token)
    return form(token=token)


@bp.post("/sign-in")
def submit() -> ResponseReturnValue:
    """Sign in with the token that was typed."""
    access.check_mark()
    return signed_in(request.form.get("token", "").strip())


@bp.post("/sign-out")
def leave() -> ResponseReturnValue:
    """End the session in this browser; the token stays good."""
    access.check_mark()
    session.clear()
    return redirect(url_for("sign_in.show"), 303)


def signed_in(token: str) -> ResponseReturnValue:
    """Start a session and go on, or show the form again."""
    try:
        access.start_session(token)
    except InvalidToken:
        refusal = "That token is not valid, or no longer. Check that it is whole."
        headers = {"WWW-Authenticate": 'Bearer realm="mailroom", error="invalid_token"'}
        return form(token="", refusal=refusal), 401, headers
    return redirect(access.safe_next(request.values.get("next")), 303)


def form(*, token: str, refusal: str = "") -> str:
    """Return the sign-in page."""
    return render_template(
        "sign_in.html",
        token=token,
        refusal=refusal,
        next=access.safe_next(request.values.get("next")),
        mark=access.form_mark(),
    )
