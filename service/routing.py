"""The routing rules over the API: look, try on past documents, put in force."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger import Viewer
from ledger.errors import Forbidden
from ledger.rulebook import Edition
from ledger.viewer import DEFAULT_WORKSPACE
from routing.rules import Change, DryRun, Rules
from routing.rules_file import Mistake, WrongRules, parse, version_of
from service import access, openapi
from service.access import viewer
from service.errors import RulesNotWritable, RulesWrong, StaleRules
from service.parts import parts
from workers.client import NotWritable, RulesChanged, RulesDisk, check, past

TRIED_ON = 1_000  # documents, unless another number is asked for
MOST_TRIED_ON = 5_000
NO_RULES = Rules(version="")

bp = APIBlueprint(
    "routing",
    __name__,
    url_prefix="/api/v1/routing",
    abp_tags=[Tag(name="routing")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)
bp.before_request(access.bearer_gate)


class RulesText(BaseModel):
    """The rules' file, as routing/rules_file.py describes it."""

    text: str | None = Field(description="TOML; null where there is no file.")
    version: str | None = Field(description="What the text is known by.")
    mistakes: list[dict[str, Any]] = Field(description="Lines and sentences; empty when sound.")


class NewRules(BaseModel):
    """Rules to put in force; `began_with` is the version that was edited, null for no file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(description="TOML; at most 200,000 characters.")
    began_with: str | None = Field(default=None, max_length=64)


class Rehearsal(BaseModel):
    """Rules to try on the latest documents; nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(description="TOML; at most 200,000 characters.")
    limit: int = Field(default=TRIED_ON, ge=1, le=MOST_TRIED_ON)


class Rehearsed(BaseModel):
    """What these rules would change against those in force."""

    looked_at: int
    before: dict[str, int] = Field(description="Documents of each queue by the rules in force.")
    after: dict[str, int]
    changes: list[dict[str, Any]]


@bp.get("/rules", responses=openapi.answers({200: RulesText}, 409))
def show() -> dict[str, Any]:
    """Return the rules in force, and what is wrong with the file, if anything is."""
    of_the_installation(viewer())
    text = on_disk().text()
    return {
        "text": text,
        "version": None if text is None else version_of(text),
        "mistakes": [vars(one) for one in mistakes_of(text)],
    }


@bp.put("/rules", responses=openapi.answers({200: RulesText}, 409, 413))
def replace(body: NewRules) -> dict[str, Any]:
    """Put rules in force; an admin of the default workspace may."""
    edition = save(body.text, body.began_with, "saved over the API")
    return {"text": edition.text, "version": edition.version, "mistakes": []}


@bp.post("/dry-run", responses=openapi.answers({200: Rehearsed}, 413))
def rehearse(body: Rehearsal) -> dict[str, Any]:
    """Return what rules would change for the latest documents; nothing is changed."""
    of_the_installation(viewer())
    run, documents = tried(body.text, body.limit)
    return {
        "looked_at": run.looked_at,
        "before": dict(run.before),
        "after": dict(run.after),
        "changes": [
            {
                "document": documents[change.place].document.id,
                "fields": list(change.fields),
                "before": change.before.to_json(),
                "after": change.after.to_json(),
            }
            for change in run.changes
        ],
    }


def of_the_installation(asking: Viewer) -> None:
    """Raise Forbidden for another workspace: rules name what is nobody else's business."""
    asking.require("read")
    if asking.workspace != DEFAULT_WORKSPACE:
        raise Forbidden("the rules are those of the default workspace")


def on_disk() -> RulesDisk:
    """Return the file that this installation's workers follow."""
    return RulesDisk(parts().settings, parts().ledger)


def rules_in_force() -> Rules | None:
    """Return the rules on disk, or None where there are none that can be used."""
    try:
        return on_disk().rules()
    except (WrongRules, NotWritable):
        return None


def mistakes_of(text: str | None) -> tuple[Mistake, ...]:
    """Return what is wrong with a text of the rules."""
    if text is None:
        return ()
    try:
        parse(text)
    except WrongRules as wrong:
        return wrong.mistakes
    return ()


def save(text: str, began_with: str | None, note: str) -> Edition:
    """Put a text in force; what stands against it is an error with a status of its own."""
    try:
        return on_disk().save(
            text, began_with=began_with, ledger=parts().ledger, viewer=viewer(), note=note
        )
    except WrongRules as wrong:
        errors = [{"line": one.line, "message": one.sentence} for one in wrong.mistakes]
        raise RulesWrong(str(wrong), errors=errors) from wrong
    except RulesChanged as error:
        raise StaleRules(str(error)) from error
    except NotWritable as error:
        raise RulesNotWritable(str(error)) from error


def tried(text: str, limit: int) -> tuple[DryRun, list[past.Past]]:
    """Return what a text would change for the latest documents; raises RulesWrong."""
    try:
        after = check(text)
    except WrongRules as wrong:
        errors = [{"line": one.line, "message": one.sentence} for one in wrong.mistakes]
        raise RulesWrong(str(wrong), errors=errors) from wrong
    before = rules_in_force() or NO_RULES
    return past.rehearse(parts().ledger, viewer(), before, after, limit=limit)


def changed_fields(change: Change) -> list[str]:
    """Return what differs between two decisions, in the words of the page."""
    words = {"queue": "queue", "priority": "priority", "due": "due time", "tags": "tags"}
    words |= {"hold": "held for a person", "send": "where it is sent"}
    return [words[field] for field in change.fields]
