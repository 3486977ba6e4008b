"""Mail that another program hands over whole: the raw MIME message as the request's body."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import request
from flask_openapi3 import APIBlueprint, Tag

from intake.mail.glance import name_of
from intake.mail.sameness import mail_key
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
    cannot be parsed is kept all the same and shown as failed. Without an `Idempotency-Key` a
    mail that was kept before, through whichever door, is the same document.
    """
    body = request.get_data(cache=False, parse_form_data=False)
    key = header.idempotency_key
    return accepted(
        submit(
            body,
            viewer=viewer(),
            source="api",
            kind="email",
            name=query.name or name_of(body),
            media_type="message/rfc822",
            idempotency_key=key or mail_key(body, received_at=datetime.now(UTC)),
            any_body=key is None,
        )
    )
