"""Documents that were read, as rules and people see them: for dry runs, the report and training.

Everything here looks and changes nothing. The newest come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger import Document, Ledger, Viewer
from ledger.corrections import DECISION
from nlp import kinds
from routing.agreement import Case
from routing.facts import Facts, facts
from routing.people import Folders, Placed, Word, word
from routing.rules import DryRun, Rules, dry_run, evaluate

HEADS = ("queue", "team", "sentiment")  # the label that stands for the queue where no rules are
SNIPPETS, SNIPPET_CHARACTERS = 4, 80
_PAGE = 200
_MOST_CORRECTIONS = 100_000
_MOST_EXAMPLES = 200_000


@dataclass(frozen=True, kw_only=True)
class Past:
    """A document that was read, with its text."""

    document: Document
    text: str

    @property
    def at(self) -> datetime:
        """When it was sent, as its own date says, and no later than it came here."""
        came = self.document.created_at
        try:
            said = datetime.fromisoformat(str((self.document.mail or {}).get("date")))
        except ValueError:
            return came
        said = said if said.tzinfo else said.replace(tzinfo=UTC)
        return min(said.astimezone(UTC), came)

    def labels(self) -> dict[str, str]:
        """Return what the reader said of each head that it answered."""
        labels = (self.document.outcome or {}).get("labels") or {}
        return {head: str(one["value"]) for head, one in labels.items() if one.get("value")}

    def queues(self) -> set[str]:
        """Return the queue that was decided when it was read, and the one that nearly was."""
        decision = (self.document.outcome or {}).get("decision") or {}
        nearly = {decision.get("proposed")} if decision.get("doubt") else {decision.get("queue")}
        return {str(queue) for queue in nearly if queue}

    def facts(self) -> Facts:
        """Return it as rules see it."""
        document = self.document
        envelope = document.envelope or {}
        try:
            came = datetime.fromisoformat(str(envelope.get("received_at")))
        except ValueError:
            came = document.created_at
        return facts(
            document.outcome,
            document.mail,
            self.text,
            received_at=came if came.tzinfo else came.replace(tzinfo=UTC),
            envelope=envelope,
            source=document.source,
        )


def read_before(
    ledger: Ledger,
    viewer: Viewer,
    *,
    limit: int,
    kind: str | None = None,
    since: datetime | None = None,
    attachments: bool = True,
) -> list[Past]:
    """Return the latest documents that have an outcome."""
    found: list[Document] = []
    after: str | None = None
    while len(found) < limit:
        page = ledger.documents.list(viewer, state="done", kind=kind, limit=_PAGE, after=after)
        items = [one for one in page.items if since is None or one.created_at >= since]
        found += [
            one for one in items if one.outcome and (attachments or one.source != "attachment")
        ]
        after = page.after
        if after is None or len(items) < len(page.items):
            break
    found = found[:limit]
    texts = ledger.documents.texts([document.id for document in found], viewer)
    return [Past(document=document, text=texts.get(document.id, "")) for document in found]


def rehearse(
    ledger: Ledger, viewer: Viewer, before: Rules, after: Rules, *, limit: int
) -> tuple[DryRun, list[Past]]:
    """Return what new rules would change for the latest documents, and those documents."""
    documents = read_before(ledger, viewer, limit=limit)
    return dry_run(before, after, [one.facts() for one in documents]), documents


def placed(
    ledger: Ledger, viewer: Viewer, *, heads: Sequence[str], folders_count: bool = True
) -> dict[str, list[Placed]]:
    """Return what people said of each document: corrections of these heads, and folders.

    A folder that we moved a mail to ourselves is not their word.
    """
    found: dict[str, list[Placed]] = {}
    for head in heads:
        for one in corrections(ledger, viewer, head=head):
            said = Placed(how="correction", value=str(one.value), at=one.created_at, by=one.actor)
            found.setdefault(one.document_id, []).append(said)
    if not folders_count:
        return found
    ours = _moved_by_us(ledger, viewer)
    for sighting in _sightings(ledger, viewer):
        if (sighting.document_id, sighting.folder) not in ours:
            said = Placed(
                how="folder", value=sighting.folder, at=sighting.seen_at, by=sighting.account
            )
            found.setdefault(sighting.document_id, []).append(said)
    return found


def corrections(ledger: Ledger, viewer: Viewer, **chosen: Any) -> Iterator[Any]:
    """Return every correction, the newest first."""
    after = None
    for _ in range(_MOST_CORRECTIONS // 1_000):
        page = ledger.corrections.list(viewer, limit=1_000, after=after, **chosen)
        yield from page
        if len(page) < 1_000:
            return
        after = page[-1].id


def words(
    ledger: Ledger,
    viewer: Viewer,
    rules: Rules | None,
    queues: Sequence[str],
    heads: Sequence[str],
    *,
    folders_count: bool = True,
) -> tuple[dict[str, Word], Folders]:
    """Return where people want each document, and the folders that stand for no queue."""
    named = rules.folders if rules else {}
    folders = Folders([*(rules.queues() if rules else ()), *queues, *named.values()], named)
    found = placed(ledger, viewer, heads=heads, folders_count=folders_count)
    said = {document: word(one, folders) for document, one in found.items()}
    return {document: one for document, one in said.items() if one is not None}, folders


def cases(
    ledger: Ledger,
    viewer: Viewer,
    rules: Rules | None,
    *,
    limit: int,
    kind: str | None = None,
    since: datetime | None = None,
    head: str | None = None,
) -> tuple[list[Case], list[str]]:
    """Return what we and people say of the latest documents, and what there is to note.

    Ours is what the rules as they are now decide; without rules, the label `head`.
    """
    documents = read_before(ledger, viewer, limit=limit, kind=kind, since=since, attachments=False)
    opinions = [_opinion(one, rules, head) for one in documents]
    queues = sorted({opinion["ours"] for opinion in opinions if opinion["ours"]})
    heads = [DECISION] if rules else [DECISION, *dict.fromkeys([*([head] if head else HEADS)])]
    theirs, folders = words(ledger, viewer, rules, queues, heads)
    found = []
    for one, opinion in zip(documents, opinions, strict=True):
        said = theirs.get(one.document.id)
        mail = one.document.mail or {}
        found.append(
            Case(
                id=one.document.id,
                at=one.at,
                theirs=said.queue if said else None,
                how=said.how if said else None,
                by=said.by if said else "",
                subject=str(mail.get("subject") or one.document.name or "")[:200],
                sender=str(mail.get("from") or "")[:200],
                **opinion,
            )
        )
    notes = [
        f"{count:,} {'mails lie' if count != 1 else 'mail lies'} in the folder {folder!r}, which "
        "stands for no queue: name it under [folders] in the rules."
        for folder, count in sorted(folders.unknown.items(), key=lambda item: -item[1])[:10]
    ]
    return found, notes


def _opinion(one: Past, rules: Rules | None, head: str | None) -> dict[str, Any]:
    """Return our side of a case."""
    known = one.facts()
    if rules is None:
        chosen = head or next((h for h in HEADS if h in known.labels), None)
        if chosen is None and len(known.labels) == 1:
            chosen = next(iter(known.labels))
        label = known.labels.get(chosen or "")
        return {
            "ours": label.value if label else None,
            "confidence": label.confidence if label else 0.0,
            "taken": label is not None and not label.needs_review,
            "model": known.model,
            "reason": f"{chosen} is {label.value}." if label else "",
            "evidence": _snippets(one.text, label.evidence if label else ()),
        }
    decision = evaluate(rules, known)
    decided = decision.queue if decision.rule and not decision.doubt else decision.proposed
    return {
        "ours": decided,
        "confidence": decision.confidence if decided else 0.0,
        "taken": bool(decided) and not decision.hold,
        "rule": decision.rule,
        "model": decision.model,
        "reason": decision.reason,
        "evidence": _snippets(one.text, [(span.start, span.end) for span in decision.evidence]),
    }


def _snippets(text: str, spans: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    pieces = [" ".join(text[start:end].split()) for start, end in spans[:SNIPPETS]]
    return tuple(piece[:SNIPPET_CHARACTERS] for piece in pieces if piece)


def _sightings(ledger: Ledger, viewer: Viewer) -> Iterator[Any]:
    after = None
    while True:
        page = ledger.mailboxes.sightings(viewer, limit=1_000, after=after)
        yield from page
        if len(page) < 1_000:
            return
        after = page[-1].id


def _moved_by_us(ledger: Ledger, viewer: Viewer) -> set[tuple[str, str]]:
    """Return the documents and the places that deliveries of ours brought them to."""
    found: set[tuple[str, str]] = set()
    after = None
    while True:
        page = ledger.deliveries.list(viewer, state="done", limit=_PAGE, after=after)
        for one in page:
            found |= {
                (one.document_id, str(entry["reference"]))
                for entry in one.log
                if entry.get("reference")
            }
        if len(page) < _PAGE:
            return found
        after = page[-1].id


def examples(
    ledger: Ledger, viewer: Viewer, rules: Rules | None, kind: str, head: str | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Return texts with the labels that people gave them, and the head that they answer.

    `kind` is a document kind or a trained model. Corrections of the head count; the queue that
    people chose, on a page or by a folder, counts too where the head is `decision`, or the only
    one of a trained model. `head` None: `queue`, `team` or `sentiment`, whichever there is.
    """
    documents = read_before(ledger, viewer, limit=_MOST_EXAMPLES, kind=kind, attachments=False)
    heads = list(dict.fromkeys(name for one in documents for name in one.labels()))
    chosen = head or next((h for h in HEADS if h in heads), None) or (heads or [DECISION])[0]
    # a folder is no review's sentiment; of a model learned from folders it is the answer
    by_queue = chosen == DECISION or (heads == [chosen] and kind not in kinds.names())
    queues = {label for one in documents if (label := one.labels().get(chosen))}
    if chosen == DECISION:
        queues |= {queue for one in documents for queue in one.queues()}
    found, _ = words(
        ledger,
        viewer,
        rules,
        sorted(queues),
        list(dict.fromkeys([DECISION, chosen] if by_queue else [chosen])),
        folders_count=by_queue,
    )
    rows = [
        {
            "text": one.text,
            "label": right.queue,
            "document": one.document.id,
            "by": right.by,
            "how": right.how,
            "at": right.at.isoformat(),
        }
        for one in documents
        if one.text.strip() and (right := found.get(one.document.id))
    ]
    return rows, chosen


def folder_queue(folder: str, rules: Rules | None, queues: Sequence[str]) -> str | None:
    """Return the queue that people mean by a folder, or None where it says nothing."""
    named = rules.folders if rules else {}
    return Folders([*queues, *named.values()], named).queue(folder)
