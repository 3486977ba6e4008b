"""The API's description of itself: what the views share, the document, and a page to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, current_app, render_template
from flask_openapi3 import Info, OpenAPI
from flask_openapi3.models import Schema
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ValidationError

from service import access
from service.errors import PROBLEMS, InvalidRequest
from service.schemas import Problem, Submission

SECURITY_SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "`mailroom up` prints one; the page Tokens and `mailroom token` make more.",
    }
}
BEARER: list[dict[str, list[str]]] = [{"token": []}]

INFO = Info(
    title="Mailroom",
    version="1",
    description="Hand in reviews, tickets, emails and contracts; get back what they say. "
    "Every error is a problem document (RFC 9457) with a stable `code`.",
)

bp = Blueprint("openapi", __name__, url_prefix="/api/v1")


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return a reference to a model's schema in the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def answers(good: ResponseDict, *statuses: int) -> ResponseDict:
    """Return the descriptions of a view's good answer and of its problems."""
    return {**good, **problems(*statuses)}


def problems(*statuses: int) -> ResponseDict:
    """Return the descriptions of the problems that a view may answer with."""
    described: dict[Any, Any] = {}
    for status in (*statuses, 400, 503):
        codes = [code for code, (known, _) in PROBLEMS.items() if known == status]
        described[status] = {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
            "content": {"application/problem+json": {"schema": reference(Problem)}},
        }
        if status == 429:
            described[status]["headers"] = header("Retry-After", "Seconds to wait.", "integer")
    return described


def accepted(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a 202 that says where to look."""
    return {
        "description": "Kept; the result will be at Location.",
        "headers": header("Location", "Where the result will be.", "string"),
        "content": {"application/json": {"schema": reference(model)}},
    }


def content(media_type: str, description: str) -> dict[str, Any]:
    """Return the description of an answer that is not JSON."""
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def header(name: str, description: str, kind: str) -> dict[str, Any]:
    """Return the description of an answer's header."""
    return {name: {"description": description, "schema": {"type": kind}}}


SUBMISSION_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "format": "binary", "minLength": 1},
                    "kind": {"type": "string", "description": "Left out, it is recognised."},
                    "name": {"type": "string", "description": "Instead of the file's own name."},
                },
            }
        },
        "application/json": {"schema": reference(Submission)},
    },
}

BATCH_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "kind"],
                "properties": {
                    "file": {"type": "string", "format": "binary", "minLength": 1},
                    "kind": {"type": "string", "minLength": 1},
                    "text_column": {
                        "type": "string",
                        "maxLength": 255,
                        "description": "Where each row's text is; left out, `text`.",
                    },
                },
            }
        },
    },
}

RAW_BODY = {
    "required": True,
    "content": {"message/rfc822": {"schema": {"type": "string", "minLength": 1}}},
}


def invalid(error: ValidationError) -> InvalidRequest:
    """Return pydantic's findings as an error of ours, without the values that were sent."""
    errors = [
        {"field": ".".join(str(part) for part in found["loc"]), "message": found["msg"]}
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    first = errors[0] if errors else {"field": "", "message": "The request is not valid"}
    place = f"`{first['field']}`: " if first["field"] else ""
    return InvalidRequest(f"{place}{first['message']}.", errors=errors)


def refuse_invalid(error: ValidationError) -> None:
    """Raise our own error where flask-openapi3 found a parameter wrong."""
    raise invalid(error) from error


def describe(app: OpenAPI) -> None:
    """Add the schema that only the hand-written request body names."""
    app.components_schemas[Submission.__name__] = Schema(**Submission.model_json_schema())


@bp.get("/openapi.json")
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document; it is open to everyone and names no data."""
    app = current_app
    return app.api_doc  # type: ignore[attr-defined]


@bp.get("/docs")
def page() -> str:
    """Show the same document to a person."""
    access.recognise()
    return render_template("docs.html", api=document(), problems=PROBLEMS)
