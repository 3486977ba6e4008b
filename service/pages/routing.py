"""The routing rules on a page: read them, switch queues on, edit, try on past mail, go back."""

from __future__ import annotations

import difflib
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger import Viewer
from ledger.errors import Forbidden
from ledger.viewer import DEFAULT_WORKSPACE
from routing.rules import Rules, Shadow
from routing.rules_file import Mistake, WrongRules, parse, version_of
from routing.rules_text import STARTER, switched, with_shadow
from routing.wording import sentences
from service import access
from service.access import viewer
from service.errors import InvalidRequest, RulesNotWritable, RulesWrong, StaleRules
from service.navigation import Link
from service.parts import parts
from service.routing import (
    MOST_TRIED_ON,
    TRIED_ON,
    changed_fields,
    of_the_installation,
    on_disk,
    save,
    tried,
)
from workers.client import NotWritable, models_folder, queues_of, wiring

LINK = Link("/routing", "Routing", 35, scope="admin")

bp = Blueprint("routing_page", __name__, url_prefix="/routing")
bp.before_request(access.session_gate)

NUMBERS = (200, TRIED_ON, MOST_TRIED_ON)  # of documents that rules are tried on
SHOWN_CHANGES = 30
SHOWN_VERSIONS = 20


@bp.before_request
def ours_only() -> None:
    """Keep other workspaces out: the rules are the installation's."""
    of_the_installation(viewer())


@bp.get("")
def show() -> str:
    """Show the rules in force and the form that changes them."""
    return page()


@bp.post("/try")
def rehearse() -> ResponseReturnValue:
    """Show what the edited rules would change for past mail, before anything is saved."""
    text, limit = edited(), request.form.get("limit", TRIED_ON, type=int)
    try:
        run, documents = tried(text, max(1, min(limit, MOST_TRIED_ON)))
    except RulesWrong as wrong:
        return page(text=text, mistakes=wrong.errors), 422
    queues = sorted({*run.before, *run.after}, key=lambda name: -run.after[name])
    changes = [
        {
            "document": documents[change.place].document,
            "before": change.before,
            "after": change.after,
            "fields": changed_fields(change),
        }
        for change in run.changes[:SHOWN_CHANGES]
    ]
    most = max([*run.before.values(), *run.after.values()], default=1)
    counts = [
        {"queue": q, "before": run.before[q], "after": run.after[q], "of": most} for q in queues
    ]
    return page(text=text, run=run, counts=counts, changes=changes, limit=limit)


@bp.post("/save")
def put_in_force() -> ResponseReturnValue:
    """Put the edited rules in force; mistakes are shown with their lines, and nothing changes."""
    text = edited()
    try:
        edition = save(text, began_with(), "edited on the page")
    except RulesWrong as wrong:
        return page(text=text, mistakes=wrong.errors), 422
    except (StaleRules, RulesNotWritable) as error:
        flash(str(error))
        return page(text=text, stale=isinstance(error, StaleRules)), 409
    flash(f"These rules are in force now (version {edition.version}).")
    return redirect(url_for("routing_page.show"), 303)


@bp.post("/shadow")
def switch() -> ResponseReturnValue:
    """Let one queue, or all of them, deliver, or only watch it."""
    text = on_disk().text()
    if text is None:
        raise InvalidRequest("There are no rules yet: save some first.")
    try:
        rules = parse(text)
        shadow, note = _switched(rules, request.form)
        save(with_shadow(text, shadow), began_with(), note)
    except WrongRules as wrong:
        raise InvalidRequest("The rules on disk have mistakes: mend them first.") from wrong
    except ValueError as error:
        raise InvalidRequest(f"{error}.") from error
    except (StaleRules, RulesNotWritable) as error:
        flash(str(error))
    else:
        flash(f"Done: {note}.")
    return redirect(url_for("routing_page.show", _anchor="switch"), 303)


def _switched(rules: Rules, form: Any) -> tuple[Shadow, str]:
    """Return the switch as the form wants it, and that in words."""
    queue, live = form.get("queue", "")[:200], form.get("live") == "yes"
    if not queue:
        note = "everything delivers" if live else "every queue is only watched"
        return Shadow(on=not live), note
    note = f"{queue} delivers" if live else f"{queue} is only watched"
    return switched(rules.shadow, queue, live=live), note


@bp.get("/versions/<edition_id>")
def version(edition_id: str) -> str:
    """Show an earlier text and how it differs from the one in force."""
    edition = parts().ledger.rulebook.get(edition_id, viewer())
    now = _text_on_disk()[0] or ""
    lines = difflib.unified_diff(
        now.splitlines(), edition.text.splitlines(), "in force", "this version", lineterm="", n=3
    )
    return render_template(
        "routing_version.html",
        edition=edition,
        difference=list(lines),
        base=version_of(now) if now else "",
        may_edit=may_edit(viewer()),
    )


@bp.post("/versions/<edition_id>/restore")
def restore(edition_id: str) -> ResponseReturnValue:
    """Put an earlier text in force again."""
    edition = parts().ledger.rulebook.get(edition_id, viewer())
    try:
        save(edition.text, began_with(), f"back to version {edition.version}")
    except RulesWrong as wrong:
        return page(text=edition.text, mistakes=wrong.errors), 422
    except (StaleRules, RulesNotWritable) as error:
        flash(str(error))
    else:
        flash(f"Version {edition.version} is in force again.")
    return redirect(url_for("routing_page.show"), 303)


def edited() -> str:
    """Return the text of the form."""
    return request.form.get("text", "").replace("\r\n", "\n")


def began_with() -> str | None:
    """Return the version that the form was made from."""
    return request.form.get("began_with", "")[:64] or None


def may_edit(asking: Viewer) -> bool:
    """Say whether somebody may change what every workspace's mail goes by."""
    try:
        asking.require_operator()
    except Forbidden:
        return False
    return True


def _text_on_disk() -> tuple[str | None, str | None]:
    """Return the file's text, and why it cannot be read, if so."""
    try:
        return on_disk().text(), None
    except NotWritable as error:
        return None, str(error)


def page(text: str | None = None, *, stale: bool = False, **more: Any) -> str:
    """Return the page; `text` is what the editor holds, None for what is on disk."""
    written, unreadable = _text_on_disk()
    rules, wrong = None, tuple[Mistake, ...]()
    try:
        rules = parse(written) if written is not None else None
    except WrongRules as error:
        wrong = error.mistakes
    destinations, wrong_file = wiring.destinations(parts().settings)
    editions = parts().ledger.rulebook.list(viewer(), limit=SHOWN_VERSIONS)
    shown = written if text is None else text
    return render_template(
        "routing.html",
        **{
            "written": written,
            "unreadable": unreadable,
            "rules": rules,
            "wrong": wrong,
            "told": [(rule, sentences(rule)) for rule in rules.rules] if rules else [],
            "switches": switches(rules) if rules else [],
            "text": STARTER if shown is None else shown,
            "lines": (STARTER if shown is None else shown).splitlines(),
            # after a clash the next save is meant to replace what is there now
            "began_with": version_of(written) if written is not None else "",
            "stale": stale,
            "editions": editions,
            "by_hand": _changed_by_hand(written, editions),
            "destinations": destinations,
            "wrong_file": wrong_file,
            "missing": wiring.missing(rules, destinations),
            "may_edit": may_edit(viewer()),
            "numbers": NUMBERS,
            "limit": TRIED_ON,
            "default_workspace": DEFAULT_WORKSPACE,
        }
        | more,
    )


def _changed_by_hand(written: str | None, editions: Any) -> bool:
    return bool(written is not None and editions and editions[0].version != version_of(written))


def switches(rules: Rules) -> list[dict[str, Any]]:
    """Return each queue, whether it delivers, and where its rules send to."""
    sends: dict[str, list[str]] = {}
    for rule in rules.rules:
        sends.setdefault(rule.then.queue or "", []).extend(rule.then.send)
    named = [
        *queues_of(rules, models_folder(parts().settings)),
        *rules.shadow.live,
        *rules.shadow.queues,
    ]
    anywhere = [name for queue, names in sends.items() if "{" in queue for name in names]
    return [
        {
            "queue": queue,
            "live": not rules.shadow.watches(queue),
            "sends": list(dict.fromkeys([*sends.get(queue, []), *anywhere])),
        }
        for queue in dict.fromkeys(named)
        if queue != rules.triage
    ]
