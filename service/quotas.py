"""What tokens may hand in: everyone sees their own quota, an admin sets any token's."""

from __future__ import annotations

from typing import Any

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger import Quota
from ledger.quota import LARGEST
from ledger.quotas import Use
from service import access, openapi
from service.access import viewer
from service.parts import parts
from service.schemas import BatchPath, QuotaState

bp = APIBlueprint(
    "quotas",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="quotas")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class Limits(BaseModel):
    """How much a token may hand in; null, or left out, is no limit."""

    model_config = ConfigDict(extra="forbid")

    documents_a_minute: int | None = Field(default=None, ge=0, le=LARGEST)
    bytes_a_minute: int | None = Field(default=None, ge=0, le=LARGEST)
    documents_a_day: int | None = Field(default=None, ge=0, le=LARGEST)
    bytes_a_day: int | None = Field(default=None, ge=0, le=LARGEST)


@bp.get("/quota", responses=openapi.answers({200: QuotaState}))
def own() -> dict[str, Any]:
    """Return what the asking token may hand in, and what it did in this minute and on this day."""
    return state(viewer().token_id, viewer().quota or Quota())


@bp.put("/tokens/<id>/quota", responses=openapi.answers({200: QuotaState}, 404))
def limit(path: BatchPath, body: Limits) -> dict[str, Any]:
    """Set what a token of the workspace may hand in from now on; needs the scope `admin`."""
    g.viewer.require("admin")
    token = parts().ledger.tokens.limit(path.id, Quota(**body.model_dump()), viewer())
    return state(token.id, token.quota)


def state(token_id: str | None, quota: Quota) -> dict[str, Any]:
    """Return a quota and its use as the API shows them."""
    uses = parts().ledger.quotas.uses(token_id, quota) if token_id else []
    return {**dict(quota.items()), "uses": [use_of(use) for use in uses]}


def use_of(use: Use) -> dict[str, Any]:
    """Return one period's use."""
    return {
        "period": use.period,
        "documents": use.documents,
        "bytes": use.bytes,
        "ends_at": use.ends_at.isoformat(),
    }
