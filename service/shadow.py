"""The shadow report: how often decisions agree with people's, over the API and for the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger import Ledger, Viewer
from routing.agreement import Agreement, report
from routing.rules import Rules
from service import access, openapi
from service.access import viewer
from service.parts import parts
from service.routing import rules_in_force
from service.schemas import Parameters
from workers.client import past

MAILS = 5_000  # looked at, unless another number is asked for
MOST_MAILS = 20_000
MINUTES = 3.0  # that a person needs for one mail

bp = APIBlueprint(
    "shadow",
    __name__,
    url_prefix="/api/v1/shadow",
    abp_tags=[Tag(name="shadow")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class ShadowQuery(Parameters):
    """Which documents are compared, and what a person needs for one."""

    model_config = ConfigDict(extra="forbid")

    kind: str | None = Field(default=None, max_length=100)
    days: int | None = Field(default=None, ge=1, le=3_650, description="That came in so many days.")
    limit: int = Field(default=MAILS, ge=1, le=MOST_MAILS, description="The latest so many.")
    minutes: float = Field(default=MINUTES, ge=0, le=600, description="A person needs for one.")
    head: str | None = Field(
        default=None, max_length=100, description="The label compared where there are no rules."
    )


class ShadowReport(BaseModel):
    """How often decisions agree with people's; shares are fractions."""

    model_config = ConfigDict(extra="allow")

    looked_at: int
    judged: int = Field(description="Those that people placed, and that we have an answer for.")
    agreed: int
    agreement: float | None
    marks: list[dict[str, Any]] = Field(description="The share taken at 95 and 98 % precision.")
    curve: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    periods: list[dict[str, Any]]
    disagreements: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a report is to be about."""

    kind: str | None = None
    days: int | None = None
    limit: int = MAILS
    minutes: float = MINUTES
    head: str | None = None


@bp.get("", responses=openapi.answers({200: ShadowReport}))
def show(query: ShadowQuery) -> dict[str, Any]:
    """Compare what the rules decide of the latest documents with where people put them."""
    return measured(
        parts().ledger, viewer(), rules_in_force(), Asked(**query.model_dump())
    ).to_json()


def measured(ledger: Ledger, asking: Viewer, rules: Rules | None, asked: Asked) -> Agreement:
    """Return the report by these rules, or without rules by the labels alone."""
    since = None if asked.days is None else datetime.now(UTC) - timedelta(days=asked.days)
    cases, notes = past.cases(
        ledger,
        asking,
        rules,
        limit=asked.limit,
        kind=asked.kind,
        since=since,
        head=asked.head,
    )
    return report(cases, minutes=asked.minutes, notes=notes)
