"""Deliveries over the API: what was sent where, what failed, and sending it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger.deliveries import Delivery
from service import access, openapi
from service.access import viewer
from service.parts import parts
from service.schemas import Parameters

QUEUE = "delivery"

State = Literal["waiting", "running", "done", "failed", "held", "cancelled"]

bp = APIBlueprint(
    "deliveries",
    __name__,
    url_prefix="/api/v1/deliveries",
    abp_tags=[Tag(name="deliveries")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class DeliveryPath(Parameters):
    """Which delivery."""

    id: str = Field(description="A delivery's id.")


class DeliveryQuery(Parameters):
    """Which deliveries, and how many."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    connector: str | None = Field(default=None, max_length=200, description="A destination.")
    document_id: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=500)


class Shown(BaseModel):
    """A delivery; `log` has what became of each attempt, and what people did."""

    id: str
    document_id: str
    connector: str = Field(description="The destination's name in connectors.toml.")
    state: State
    attempts: int
    payload: Any = Field(description="What the decision says; the document's own parts join it.")
    log: list[dict[str, Any]]
    created_at: datetime
    not_before: datetime | None = Field(description="When it is tried next.")
    finished_at: datetime | None


class Deliveries(BaseModel):
    """One page of a list, newest first."""

    items: list[Shown]
    after: str | None = Field(description="Send it as `after` for the next page; null at the end.")


@bp.get("", responses=openapi.answers({200: Deliveries}))
def find(query: DeliveryQuery) -> dict[str, Any]:
    """List deliveries, newest first."""
    found = parts().ledger.deliveries.list(viewer(), **query.model_dump())
    more = len(found) == query.limit
    return {"items": [wire(one) for one in found], "after": found[-1].id if more else None}


@bp.get("/<id>", responses=openapi.answers({200: Shown}, 404))
def show(path: DeliveryPath) -> dict[str, Any]:
    """Return one delivery with its log."""
    return wire(parts().ledger.deliveries.get(path.id, viewer()))


@bp.post("/<id>/replay", responses=openapi.answers({200: Shown}, 404, 409))
def replay(path: DeliveryPath) -> dict[str, Any]:
    """Make a delivery again that is done, failed, held or cancelled."""
    return wire(act(path.id, "replay"))


@bp.post("/<id>/hold", responses=openapi.answers({200: Shown}, 404, 409))
def hold(path: DeliveryPath) -> dict[str, Any]:
    """Keep a waiting delivery from being made until it is released."""
    return wire(act(path.id, "hold"))


@bp.post("/<id>/release", responses=openapi.answers({200: Shown}, 404, 409))
def release(path: DeliveryPath) -> dict[str, Any]:
    """Let a held delivery be made."""
    return wire(act(path.id, "release"))


@bp.post("/<id>/cancel", responses=openapi.answers({200: Shown}, 404, 409))
def cancel(path: DeliveryPath) -> dict[str, Any]:
    """Give up a delivery that is waiting, held or failed."""
    return wire(act(path.id, "cancel"))


def act(delivery_id: str, action: str) -> Delivery:
    """Do what somebody asked for, and wake the courier where there is something to carry."""
    delivery: Delivery = getattr(parts().ledger.deliveries, action)(delivery_id, viewer())
    if action in ("replay", "release"):
        parts().client.ring(QUEUE)
    return delivery


def wire(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as JSON."""
    times = {
        name: None if moment is None else moment.isoformat()
        for name in ("created_at", "not_before", "finished_at")
        for moment in [getattr(delivery, name)]
    }
    return {
        "id": delivery.id,
        "document_id": delivery.document_id,
        "connector": delivery.connector,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "payload": delivery.payload,
        "log": delivery.log,
        **times,
    }
