"""How an error is answered: a problem document for programs, a page for people."""

from __future__ import annotations

import traceback
from typing import Any

from flask import Flask, Response, current_app, g, json, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ledger.errors import LedgerError
from service import access
from service.errors import BY_STATUS, PROBLEMS, ServiceError, status_of

# The addresses that programs read, whatever their Accept header says.
PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")

UNAVAILABLE_SECONDS = 5  # until a client asks again when the ledger is busy or away


def problem(
    code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> Response:
    """Return the answer for a stable code: a problem document, or a page where a person asks.

    `members` are further fields of the document; those that are None are left out.
    """
    status, title = PROBLEMS.get(code, PROBLEMS["internal_error"])
    document = {
        "type": f"/api/v1/docs#{code}",
        "title": title,
        "status": status,
        "detail": sentence(detail or title),
        "code": code,
    } | {name: value for name, value in members.items() if value is not None}
    if for_programs():
        answer = Response(
            json.dumps(document) + "\n", status=status, content_type="application/problem+json"
        )
    else:
        answer = Response(error_page(document), status=status, mimetype="text/html")
    if status == 401:
        hint = ', error="invalid_token"' if code == "invalid_token" else ""
        answer.headers["WWW-Authenticate"] = f'Bearer realm="mailroom"{hint}'
    answer.headers.extend(headers or {})
    return answer


def error_page(document: dict[str, Any]) -> str:
    """Return the page for a person, with the way back if they are signed in."""
    if document["status"] < 500:  # what is broken may be the ledger, which knows who they are
        access.recognise()
    return render_template("error.html", problem=document)


def sentence(words: str) -> str:
    """Return words with a capital letter and a full stop."""
    whole = words[:1].upper() + words[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def for_programs() -> bool:
    """Say whether this request's answer is read by a program rather than by a person."""
    if request.path.startswith(PROGRAMS):
        return True
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"]) == "application/json"


def answer_service_error(error: ServiceError) -> Response:
    """Answer one of our own errors."""
    return problem(error.code, str(error), errors=error.errors)


def answer_ledger_error(error: LedgerError) -> Response:
    """Answer what the ledger refused; too much owed says when to come back."""
    seconds = getattr(error, "retry_after", None)
    if seconds is None and status_of(error.code) == 503:
        seconds = UNAVAILABLE_SECONDS
    headers = {} if seconds is None else {"Retry-After": str(max(1, int(seconds)))}
    if status_of(error.code) >= 500:
        current_app.logger.error("%s %s: %s", request.method, request.path, error.code)
    return problem(error.code, str(error), headers=headers, retry_after=seconds)


def answer_http_exception(error: HTTPException) -> Response:
    """Answer what Flask or werkzeug refused."""
    code = BY_STATUS.get(error.code or 500, "internal_error")
    if code == "internal_error" and (error.code or 500) < 500:
        code = "bad_request"
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if code == "too_large":
        limit = g.get("upload_bytes", current_app.config["UPLOAD_BYTES"])
        return problem(code, f"This server takes up to {limit:,} bytes here.")
    # werkzeug's own sentences may repeat what was sent; ours do not
    detail = {
        "not_found": "Nothing is kept here; check the address.",
        "method_not_allowed": f"Use one of: {headers.get('Allow', '')}.",
    }.get(code, "")
    return problem(code, detail, headers=headers)


def answer_anything_else(error: Exception) -> Response:
    """Answer a fault of ours, and log where it happened without what was being read.

    An exception's own message may quote a document, so the log gets its type and its lines.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    current_app.logger.error(
        "%s %s failed with %s\n%s", request.method, request.path, type(error).__name__, where
    )
    return problem("internal_error", "It has been logged. Try again; if it stays, tell whoever "
                   "runs this server the time and the address.")  # fmt: skip


def register(app: Flask) -> None:
    """Make every error of the application a problem document or a page."""
    app.register_error_handler(ServiceError, answer_service_error)
    app.register_error_handler(LedgerError, answer_ledger_error)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_anything_else)
