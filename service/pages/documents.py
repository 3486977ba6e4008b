"""The front page and the list: hand documents in and watch them being read."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ledger.document import Document
from ledger.errors import LedgerError, NotFound
from service import access
from service.access import viewer
from service.errors import EmptyDocument, ServiceError
from service.navigation import Link
from service.parts import parts
from service.problems import for_programs
from service.samples import SAMPLES
from service.submission import encoded, known_kinds, submit

LINK = Link("/documents", "Documents", 10)

bp = Blueprint("documents_page", __name__)
bp.before_request(access.session_gate)

LATEST = 8
PAGE = 30
UNFINISHED = ("waiting", "running")

# What a newcomer gets from each kind; a kind that is not named here is shown without a line
HINTS = {
    "review": "how happy a customer is",
    "ticket": "which queue, and what is wanted",
    "email": "spam, team, answer wanted, priority",
    "contract": "parties and clauses",
}


@bp.get("/")
def front() -> str:
    """Show what this is, where to drop documents, and the latest ones."""
    return render_template(
        "front.html",
        kinds=known_kinds(viewer()),
        hints=HINTS,
        samples=SAMPLES.values(),
        once=secrets.token_hex(16),
        **listing({}, limit=LATEST),
    )


@bp.get("/documents")
def index() -> str:
    """Show every document, filtered and in pages."""
    return render_template(
        "documents.html", kinds=known_kinds(viewer()), **listing(filters(), limit=PAGE)
    )


@bp.get("/documents/list")
def rows() -> ResponseReturnValue:
    """Return the list alone, or nothing when it is as the page has it."""
    limit = LATEST if request.args.get("latest") else PAGE
    shown = listing(filters(), limit=limit)
    if request.args.get("seen") == shown["seen"]:
        return "", 204
    return render_template("documents_list.html", oob=True, **shown)


def filters() -> dict[str, Any]:
    """Return the filters of the address that make sense; others are as if not said."""
    doubt = {"yes": True, "no": False}.get(request.args.get("needs_review", ""))
    chosen: dict[str, Any] = {"needs_review": doubt, "after": request.args.get("after")}
    for name in ("kind", "state", "source", "name"):
        said = "".join(c for c in request.args.get(name, "")[:255] if c.isprintable())
        chosen[name] = said.strip() or None
    return chosen


def listing(chosen: dict[str, Any], *, limit: int) -> dict[str, Any]:
    """Return what the list's template needs."""
    page = parts().ledger.documents.list(viewer(), **chosen, limit=limit)
    here = {name: said for name, said in chosen.items() if said is not None}
    if "needs_review" in here:
        here["needs_review"] = "yes" if here["needs_review"] else "no"
    if limit == LATEST:
        here["latest"] = "1"
    unfinished = sum(document.state in UNFINISHED for document in page.items)
    return {
        "documents": page.items,
        "after": page.after,
        "chosen": here,
        "unfinished": unfinished,
        "seen": fingerprint(page.items),
    }


def fingerprint(documents: list[Document]) -> str:
    """Return a mark that changes when anything that the list shows does."""
    shown = [(d.id, d.state, d.kind, d.attempts, str(d.finished_at)) for d in documents]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


@bp.post("/documents")
def hand_in() -> ResponseReturnValue:
    """Keep what the form brought: any number of files, a pasted text, or both.

    One that cannot be taken keeps none of the others from being taken.
    """
    taken: list[Document] = []
    refused: list[dict[str, str]] = []
    for body, name, media_type in brought():
        try:
            taken.append(kept(body, name, media_type))
        except (ServiceError, LedgerError) as error:
            refused.append({"name": name, "code": error.code, "detail": str(error)})
    if not taken and not refused:
        nothing = "There was nothing to read. Choose a file or paste a text first."
        refused.append({"name": "", "code": EmptyDocument.code, "detail": nothing})
    return answered(taken, refused)


def brought() -> list[tuple[bytes, str, str]]:
    """Return the bytes, name and content type of everything in the form."""
    files = [file for file in request.files.getlist("file") if file.filename]
    found = [(file.read(), file.filename or "", file.content_type or "") for file in files]
    text = request.form.get("text", "")
    if text.strip():
        # forms send line ends as CR LF whatever was pasted
        body = encoded(text.replace("\r\n", "\n"), "text")
        found.append((body, "", "text/plain"))
    return found


def kept(body: bytes, name: str, media_type: str) -> Document:
    """Keep one document that a person handed in on the page."""
    kind = request.form.get("kind") or None
    return submit(
        body,
        viewer=viewer(),
        source="web",
        kind=kind,
        name=name,
        media_type=media_type,
        idempotency_key=once(body, kind),
    )


def once(body: bytes, kind: str | None) -> str | None:
    """Return a key that makes a second click on the same form the same document."""
    mark = request.form.get("once", "")[:50]
    if not mark or not (mark.isascii() and mark.isalnum()):
        return None
    return f"page {mark} {hashlib.sha256(f'{kind} '.encode() + body).hexdigest()}"


def place_of(document: Document) -> str:
    """Return the address of a document's page."""
    return url_for("document_page.show", document_id=document.id)


def answered(taken: list[Document], refused: list[dict[str, str]]) -> ResponseReturnValue:
    """Tell the page's script what became of each, or go where a person sees it."""
    if for_programs():
        places = [{"id": document.id, "url": place_of(document)} for document in taken]
        return {"documents": places, "refused": refused}, 200
    for each in refused:
        flash(f"{each['name']}: {each['detail']}" if each["name"] else each["detail"])
    if len(taken) == 1 and not refused:
        return redirect(place_of(taken[0]), 303)
    return redirect(url_for("documents_page.front"), 303)


@bp.post("/samples/<name>")
def try_sample(name: str) -> ResponseReturnValue:
    """Hand in one of our own sample documents and show it."""
    sample = SAMPLES.get(name)
    if sample is None:
        raise NotFound("There is no sample of that name.")
    document = submit(
        sample.body(), viewer=viewer(), source="web", name=sample.name, media_type=sample.type
    )
    return redirect(place_of(document), 303)
