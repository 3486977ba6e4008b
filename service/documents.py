"""Documents over the API: hand in, look up, download, read again, cancel, delete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask import Response, request, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import ValidationError

from ledger.document import Document
from ledger.results import Result
from service import access, downloads, openapi, wire
from service.access import viewer
from service.errors import InvalidRequest, MalformedJson, UnsupportedMediaType
from service.parts import parts
from service.schemas import (
    DocumentPath,
    Documents,
    FullDocument,
    ListQuery,
    Similar,
    SimilarQuery,
    Submission,
    SubmissionHeaders,
    Summary,
)
from service.submission import encoded, submit
from workers.client import similar_to

bp = APIBlueprint(
    "documents",
    __name__,
    url_prefix="/api/v1/documents",
    abp_tags=[Tag(name="documents")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)

Answer = tuple[dict[str, Any], int, dict[str, str]]


@bp.post(
    "",
    responses=openapi.answers({202: openapi.accepted(Summary)}, 400, 413, 415, 422, 429, 507),
    openapi_extensions={"requestBody": openapi.SUBMISSION_BODY},
)
def hand_in(header: SubmissionHeaders) -> Answer:
    """Keep a document, queue it, and say where its result will be.

    Send a file as multipart/form-data (`file`, and `kind` if you know it), or a text as JSON.
    """
    body, fields = submitted()
    return accepted(
        submit(
            body,
            viewer=viewer(),
            source="api",
            kind=fields.get("kind"),
            name=fields.get("name"),
            media_type=fields.get("media_type") or "",
            idempotency_key=header.idempotency_key,
        )
    )


def accepted(document: Document) -> Answer:
    """Return 202 with a document in short and the address of its result."""
    place = url_for("documents.show", id=document.id)
    return wire.summary(document), 202, {"Location": place}


def submitted() -> tuple[bytes, dict[str, str | None]]:
    """Return the bytes of a submission and what was said of them."""
    if request.mimetype == "multipart/form-data":
        return submitted_file()
    if request.mimetype == "application/json":
        return submitted_text()
    raise UnsupportedMediaType("Send multipart/form-data with a `file`, or application/json.")


def submitted_file() -> tuple[bytes, dict[str, str | None]]:
    """Return the one file of a form."""
    files = request.files.getlist("file")
    if len(files) != 1:
        raise InvalidRequest("Send exactly one `file` in a request; hand in more by asking again.")
    file = files[0]
    name = request.form.get("name") or file.filename
    kind = request.form.get("kind")
    return file.read(), {"kind": kind, "name": name, "media_type": file.content_type}


def submitted_text() -> tuple[bytes, dict[str, str | None]]:
    """Return the text of a JSON body."""
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise MalformedJson("Check the body with a JSON parser.") from error
    try:
        said = Submission.model_validate(body, strict=True)
    except ValidationError as error:
        raise openapi.invalid(error) from error
    fields = {"kind": said.kind, "name": said.name, "media_type": "text/plain"}
    return encoded(said.text, "text"), fields


@bp.get("", responses=openapi.answers({200: Documents}))
def find(query: ListQuery) -> dict[str, Any]:
    """List documents, newest first."""
    chosen = query.model_dump(exclude={"limit", "after"})
    page = parts().ledger.documents.list(viewer(), **chosen, limit=query.limit, after=query.after)
    return {"items": [wire.summary(document) for document in page.items], "after": page.after}


@bp.get("/<id>", responses=openapi.answers({200: FullDocument}, 404))
def show(path: DocumentPath) -> dict[str, Any]:
    """Return a document's state and, when it was read, its outcome."""
    return wire.full(parts().ledger.documents.whole(path.id, viewer()))


@bp.get("/<id>/similar", responses=openapi.answers({200: Similar}, 404))
def similar(path: DocumentPath, query: SimilarQuery) -> dict[str, Any]:
    """Return the labelled examples most like a document, from what its model was trained on.

    Models of the workspace's own keep some; there are none for shipped models, for those
    trained without, and for documents that are not read.
    """
    whole = parts().ledger.documents.whole(path.id, viewer())
    model = (whole.document.outcome or {}).get("model")
    return {"model": model, "items": examples_like(whole.results, query.limit)}


def examples_like(results: Sequence[Result], count: int) -> list[dict[str, Any]]:
    """Return the labelled examples beside the newest of a document's results."""
    newest = results[0] if results else None
    if newest is None or newest.vector is None or not (newest.model_name and newest.model_version):
        return []
    named = newest.model_name, newest.model_version
    return similar_to(parts().ledger, viewer(), *named, newest.vector, count)


@bp.get(
    "/<id>/text",
    responses=openapi.answers({200: openapi.content("text/plain", "What was read.")}, 404, 409),
)
def text(path: DocumentPath) -> Response:
    """Return the text that was read, as a UTF-8 download; offsets count its code points."""
    documents = parts().ledger.documents
    return downloads.text(documents.get(path.id, viewer()), documents.text(path.id, viewer()))


@bp.get(
    "/<id>/original",
    responses=openapi.answers(
        {200: openapi.content("application/octet-stream", "What was handed in.")}, 404, 410
    ),
)
def original(path: DocumentPath) -> Response:
    """Return the bytes that were handed in, as a download."""
    return downloads.original(*parts().ledger.documents.original(path.id, viewer()))


@bp.post("/<id>/retry", responses=openapi.answers({202: openapi.accepted(Summary)}, 404, 409))
def retry(path: DocumentPath) -> Answer:
    """Read a finished, failed or cancelled document again, from the original kept here."""
    document = parts().ledger.documents.retry(path.id, viewer())
    parts().client.ring("interactive")
    return accepted(document)


@bp.post("/<id>/cancel", responses=openapi.answers({200: Summary}, 404, 409))
def cancel(path: DocumentPath) -> dict[str, Any]:
    """Stop a waiting or running document; its original stays, and it can be retried."""
    return wire.summary(parts().ledger.documents.cancel(path.id, viewer()))


@bp.delete("/<id>", responses=openapi.answers({204: None}, 404))
def delete(path: DocumentPath) -> tuple[str, int]:
    """Erase a document: its original, its text and its outcome.

    Attachments that were read as documents of their own stay, without their link to it; the
    audit log keeps one line that names the id and no content.
    """
    parts().ledger.documents.delete(path.id, viewer())
    return "", 204
