"""Mail that another program hands over whole: the raw MIME message as the request's body."""

from __future__ import annotations

from flask import request
from flask_openapi3 import APIBlueprint, Tag

from service import access, openapi
from service.access import viewer
from service.documents import Answer, accepted
from service.schemas import InboundQuery, SubmissionHeaders, Summary
from service.submission import submit

bp = APIBlueprint(
    "inbound",
    __name__,
    url_prefix="/api/v1/inbound",
    abp_tags=[Tag(name="inbound mail")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


@bp.post(
    "/raw",
    responses=openapi.answers({202: openapi.accepted(Summary)}, 413, 422, 429, 507),
    openapi_extensions={"requestBody": openapi.RAW_BODY},
)
def raw(header: SubmissionHeaders, query: InboundQuery) -> Answer:
    """Keep a raw mail, queue it, and say where its result will be.

    The body is the message as it was received, whatever its content type says. A message that
    cannot be parsed is kept all the same and shown as failed.
    """
    return accepted(
        submit(
            request.get_data(cache=False, parse_form_data=False),
            viewer=viewer(),
            source="api",
            kind="email",
            name=query.name,
            media_type="message/rfc822",
            idempotency_key=header.idempotency_key,
        )
    )
