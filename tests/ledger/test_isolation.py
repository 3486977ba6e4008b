"""Two workspaces in one ledger: neither sees, changes or even suspects the other's rows."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable

import pytest

from ledger import Batch, Document, Finished, Job, Ledger, Model, Quota, Viewer
from ledger.errors import LedgerError, NotFound
from ledger.mailboxes import Seen
from tests.ledger.conftest import OUTCOME, claim

SECRET = "4711-of-ours"
PAYMENT = dict.fromkeys(("number", "card", "terminal", "paid_at"), SECRET) | {"amount": 1.0}

# Every method that takes a viewer, and how a stranger would call it on our rows. A method that
# is not named here fails the test: nobody adds one without saying what a stranger gets.
CALLS: dict[str, Callable[[Ledger, Viewer, Document, str], object]] = {
    "documents.accept": lambda ledger, viewer, document, _: ledger.documents.accept(
        b"x", viewer=viewer, source="api", parent_id=document.id
    ),
    "documents.get": lambda ledger, viewer, document, _: ledger.documents.get(document.id, viewer),
    "documents.list": lambda ledger, viewer, document, _: (
        ledger.documents.list(viewer, parent_id=document.parent_id).items
    ),
    "documents.text": lambda ledger, viewer, document, _: ledger.documents.text(
        document.id, viewer
    ),
    "documents.texts": lambda ledger, viewer, document, _: ledger.documents.texts(
        [document.id], viewer
    ),
    "documents.original": lambda ledger, viewer, document, _: ledger.documents.original(
        document.id, viewer
    ),
    "documents.whole": lambda ledger, viewer, document, _: ledger.documents.whole(
        document.id, viewer
    ),
    "documents.results": lambda ledger, viewer, document, _: ledger.documents.results(
        document.id, viewer
    ),
    "documents.counts": lambda ledger, viewer, *_: any(ledger.documents.counts(viewer).values()),
    "documents.retry": lambda ledger, viewer, document, _: ledger.documents.retry(
        document.id, viewer
    ),
    "documents.cancel": lambda ledger, viewer, document, _: ledger.documents.cancel(
        document.id, viewer
    ),
    "documents.delete": lambda ledger, viewer, document, _: ledger.documents.delete(
        document.id, viewer
    ),
    "deliveries.get": lambda ledger, viewer, _, delivery: ledger.deliveries.get(delivery, viewer),
    "deliveries.list": lambda ledger, viewer, document, _: ledger.deliveries.list(
        viewer, document_id=document.id
    ),
    "deliveries.replay": lambda ledger, viewer, _, delivery: ledger.deliveries.replay(
        delivery, viewer
    ),
    "deliveries.owe": lambda ledger, viewer, document, _: ledger.deliveries.owe(
        document.id, ["hook"], {}, viewer
    ),
    "deliveries.hold": lambda ledger, viewer, _, delivery: ledger.deliveries.hold(delivery, viewer),
    "deliveries.cancel": lambda ledger, viewer, _, delivery: ledger.deliveries.cancel(
        delivery, viewer
    ),
    "deliveries.release": lambda ledger, viewer, _, delivery: ledger.deliveries.release(
        delivery, viewer
    ),
    "deliveries.counts": lambda ledger, viewer, *_: any(ledger.deliveries.counts(viewer).values()),
    "rulebook.keep": lambda ledger, viewer, *_: ledger.rulebook.keep("x", "1", "edited", viewer),
    "rulebook.replace": lambda ledger, viewer, *_: ledger.rulebook.replace(
        "x", "1", "edited", viewer, began_with=None
    ),
    "rulebook.list": lambda ledger, viewer, *_: ledger.rulebook.list(viewer),
    "rulebook.get": lambda ledger, viewer, *_: ledger.rulebook.get(our_rules(ledger), viewer),
    "corrections.add": lambda ledger, viewer, document, _: ledger.corrections.add(
        document.id, "team", "x", viewer
    ),
    "corrections.list": lambda ledger, viewer, document, _: ledger.corrections.list(
        viewer, document_id=document.id
    ),
    # the same key and bytes are another batch elsewhere, not ours again
    "batches.accept": lambda ledger, viewer, *_: hand_in(ledger, viewer).repeated,
    "batches.get": lambda ledger, viewer, *_: ledger.batches.get(our_batch(ledger), viewer),
    "batches.list": lambda ledger, viewer, *_: ledger.batches.list(viewer).items,
    "batches.result": lambda ledger, viewer, *_: ledger.batches.result(our_batch(ledger), viewer),
    "batches.pause": lambda ledger, viewer, *_: ledger.batches.pause(our_batch(ledger), viewer),
    "batches.resume": lambda ledger, viewer, *_: ledger.batches.resume(our_batch(ledger), viewer),
    "batches.cancel": lambda ledger, viewer, *_: ledger.batches.cancel(our_batch(ledger), viewer),
    "batches.delete": lambda ledger, viewer, *_: ledger.batches.delete(our_batch(ledger), viewer),
    "jobs.add": lambda ledger, viewer, *_: add_job(ledger, viewer).repeated,
    "jobs.get": lambda ledger, viewer, *_: ledger.jobs.get(our_job(ledger), viewer),
    "jobs.list": lambda ledger, viewer, *_: ledger.jobs.list(viewer).items,
    "jobs.output": lambda ledger, viewer, *_: ledger.jobs.output(our_job(ledger), "x", viewer),
    "jobs.cancel": lambda ledger, viewer, *_: ledger.jobs.cancel(our_job(ledger), viewer),
    "jobs.retry": lambda ledger, viewer, *_: ledger.jobs.retry(our_job(ledger), viewer),
    "jobs.delete": lambda ledger, viewer, *_: ledger.jobs.delete(our_job(ledger), viewer),
    "jobs.counts": lambda ledger, viewer, *_: any(ledger.jobs.counts(viewer).values()),
    "alerts.get": lambda ledger, viewer, *_: ledger.alerts.get(our_alert(ledger), viewer),
    "alerts.list": lambda ledger, viewer, *_: (
        ledger.alerts.list(viewer, job_id=our_job(ledger)).items
    ),
    "alerts.counts": lambda ledger, viewer, *_: any(
        ledger.alerts.counts(viewer, job_id=our_job(ledger)).values()
    ),
    "alerts.decide": lambda ledger, viewer, *_: ledger.alerts.decide(
        our_alert(ledger), "confirmed", viewer
    ),
    "alerts.verdicts": lambda ledger, viewer, *_: ledger.alerts.verdicts(our_alert(ledger), viewer),
    "payments.accept": lambda ledger, viewer, *_: (
        ledger.payments.accept([PAYMENT], viewer)[0].repeated
    ),
    "payments.label": lambda ledger, viewer, *_: (
        ledger.payments.label({SECRET: True}, viewer) != [SECRET]
    ),
    "payments.get": lambda ledger, viewer, *_: ledger.payments.get(our_payment(ledger), viewer),
    "payments.get_many": lambda ledger, viewer, *_: ledger.payments.get_many(
        [our_payment(ledger)], viewer
    ),
    "payments.of_card": lambda ledger, viewer, *_: ledger.payments.of_card(SECRET, viewer),
    "mailboxes.claim": lambda ledger, viewer, *_: (
        # an account of that name elsewhere is another account, free to be taken
        not ledger.mailboxes.claim(SECRET, viewer, holder="eve", lease_seconds=60)
    ),
    "mailboxes.release": lambda ledger, viewer, *_: ledger.mailboxes.release(
        SECRET, viewer, holder="worker"
    ),
    "mailboxes.report": lambda ledger, viewer, *_: ledger.mailboxes.report(
        SECRET, viewer, state="failed"
    ),
    "mailboxes.cursor": lambda ledger, viewer, *_: ledger.mailboxes.cursor(SECRET, "INBOX", viewer),
    "mailboxes.advance": lambda ledger, viewer, *_: ledger.mailboxes.advance(
        SECRET, "INBOX", viewer, uidvalidity=1, last_uid=99, waiting=0
    ),
    "mailboxes.recognise": lambda ledger, viewer, *_: ledger.mailboxes.recognise([SECRET], viewer),
    "mailboxes.to_try": lambda ledger, viewer, *_: ledger.mailboxes.to_try(SECRET, viewer),
    "mailboxes.keep_secret": lambda ledger, viewer, *_: ledger.mailboxes.keep_secret(
        SECRET, "theirs", viewer
    ),
    "mailboxes.secret": lambda ledger, viewer, *_: ledger.mailboxes.secret(SECRET, viewer),
    "mailboxes.list": lambda ledger, viewer, *_: ledger.mailboxes.list(viewer),
    "mailboxes.sightings": lambda ledger, viewer, document, _: ledger.mailboxes.sightings(
        viewer, document_id=document.id
    ),
    "mailboxes.aside": lambda ledger, viewer, *_: ledger.mailboxes.aside(viewer),
    "mailboxes.find_aside": lambda ledger, viewer, *_: ledger.mailboxes.find_aside(
        our_aside(ledger), viewer
    ),
    "mailboxes.try_again": lambda ledger, viewer, *_: ledger.mailboxes.try_again(
        our_aside(ledger), viewer
    ),
    "mailboxes.remove": lambda ledger, viewer, *_: ledger.mailboxes.remove(SECRET, viewer),
    "audit.list": lambda ledger, viewer, document, _: ledger.audit.list(
        viewer, document_id=document.id
    ),
    "tokens.issue": lambda ledger, viewer, *_: ledger.tokens.issue(
        viewer, name="x", scopes=["read"], workspace="ours"
    ),
    "tokens.limit": lambda ledger, viewer, *_: ledger.tokens.limit(
        ledger.tokens.list(Viewer("ours"))[0].id, Quota(documents_a_day=1), viewer
    ),
    "tokens.list": lambda ledger, viewer, *_: ledger.tokens.list(viewer),
    "tokens.revoke": lambda ledger, viewer, *_: ledger.tokens.revoke(
        ledger.tokens.list(Viewer("ours"))[0].id, viewer
    ),
    "models.keep": lambda ledger, viewer, *_: keep_model(ledger, viewer),
    "models.trained": lambda ledger, viewer, *_: ledger.models.trained(viewer),
    "models.get": lambda ledger, viewer, *_: ledger.models.get("m", "1", viewer),
    "models.usable": lambda ledger, viewer, *_: ledger.models.usable(viewer),
    "models.is_free": lambda ledger, viewer, *_: ledger.models.is_free("m", viewer),
    "models.delete": lambda ledger, viewer, *_: ledger.models.delete("m", "1", viewer),
    "models.promote": lambda ledger, viewer, *_: ledger.models.promote("m", "2", viewer),
    "models.rollback": lambda ledger, viewer, *_: ledger.models.rollback("m", viewer),
}


def hand_in(ledger: Ledger, viewer: Viewer) -> Batch:
    """Hand in a table of one row."""
    return ledger.batches.accept(
        [b"text\n", SECRET.encode()],
        viewer=viewer,
        kind="ticket",
        name=SECRET,
        file_format="csv",
        text_column="text",
        idempotency_key=SECRET,
    )


def add_job(ledger: Ledger, viewer: Viewer) -> Job:
    """Hand in a job."""
    return ledger.jobs.add(
        viewer, queue="series", task="fraud", name=SECRET, options={}, idempotency_key=SECRET
    )


def our_job(ledger: Ledger) -> str:
    """Return the id of the job that `ours` handed in."""
    (job,) = ledger.jobs.list(Viewer("ours")).items
    return job.id


def our_alert(ledger: Ledger) -> str:
    """Return the id of the alert that the job of `ours` found."""
    (alert,) = ledger.alerts.list(Viewer("ours"), job_id=our_job(ledger)).items
    return alert.id


def our_payment(ledger: Ledger) -> str:
    """Return the id of the payment that `ours` handed in."""
    (payment,) = ledger.payments.of_card(SECRET, Viewer("ours"))
    return payment.id


def our_aside(ledger: Ledger) -> str:
    """Return the id of the mail that was set aside in the mailbox of `ours`."""
    (aside,) = ledger.mailboxes.aside(Viewer("ours"))
    return aside.id


def our_rules(ledger: Ledger) -> str:
    """Return the id of a version of the installation's rules, which are no stranger's."""
    return ledger.rulebook.keep(SECRET, "1", "edited", Viewer()).id


def keep_model(ledger: Ledger, viewer: Viewer) -> Model:
    """Keep a model under the name that is ours."""
    sha256 = ledger.files.put(SECRET.encode())
    given = {"sha256": sha256, "size": len(SECRET), "facts": {"labels": [SECRET]}}
    return ledger.models.keep(viewer, name="m", version="1", **given)  # type: ignore[arg-type]


def our_batch(ledger: Ledger) -> str:
    """Return the id of the batch that `ours` handed in."""
    (batch,) = ledger.batches.list(Viewer("ours")).items
    return batch.id


@pytest.fixture
def ours(ledger: Ledger, viewer: Viewer) -> Document:
    """A document of ours with everything a document can have."""
    parent = ledger.documents.accept(b"parent", viewer=viewer, source="smtp")
    document = ledger.documents.accept(
        SECRET.encode() * 500,
        viewer=viewer,
        source="attachment",
        name=SECRET,
        parent_id=parent.id,
        idempotency_key=SECRET,
    )
    delivery = {"connector": "webhook", "payload": SECRET}
    owed = next(one for one in claim(ledger) if one.document_id == document.id)
    finished = Finished(owed.id, outcome=OUTCOME, text=SECRET, deliveries=(delivery,))
    ledger.owed.finish([finished], holder="worker")
    ledger.corrections.add(document.id, "team", SECRET, viewer)
    ledger.tokens.issue(viewer, name=SECRET, scopes=["read"])
    keep_model(ledger, viewer)
    ledger.models.promote("m", "1", Viewer())
    hand_in(ledger, viewer)
    job = add_job(ledger, viewer)
    ledger.jobs.claim("series", holder="worker", lease_seconds=60)
    payment = dict.fromkeys(("number", "card", "terminal", "paid_at"), SECRET)
    found = [payment | {"amount": 1.0, "score": 0.9, "reasons": []}]
    ledger.payments.accept([PAYMENT], viewer)
    ledger.mailboxes.claim(SECRET, viewer, holder="worker", lease_seconds=60)
    ledger.mailboxes.keep_secret(SECRET, SECRET, viewer)
    bad = Seen(uid=2, name=SECRET, error={"code": "too_large", "message": SECRET})
    seen = [Seen(uid=1, document_id=document.id, mark=SECRET), bad]
    ledger.mailboxes.advance(
        SECRET, "INBOX", viewer, uidvalidity=1, last_uid=2, waiting=0, seen=seen
    )
    output = {"x": ledger.files.put(SECRET.encode())}
    ledger.jobs.finish(job.id, holder="worker", result={}, outputs=output, found=found)
    return ledger.documents.get(document.id, viewer)


def test_every_method_with_a_viewer_is_listed_here(ledger: Ledger) -> None:
    """A new way to look at rows comes with its line above, or this fails."""
    found = {
        f"{noun}.{name}"
        for noun, value in vars(ledger).items()
        if not noun.startswith("_")
        for name, method in inspect.getmembers(value, inspect.ismethod)
        if not name.startswith("_") and "viewer" in inspect.signature(method).parameters
    }
    assert found == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_stranger_gets_nothing(
    ledger: Ledger, viewer: Viewer, stranger: Viewer, ours: Document, name: str
) -> None:
    """Another workspace's admin is told what somebody is told who made the id up."""
    (delivery,) = ledger.deliveries.list(viewer)
    before = _everything(ledger, viewer)

    given: object = None
    with contextlib.suppress(LedgerError):
        given = CALLS[name](ledger, stranger, ours, delivery.id)
    assert not given
    assert _everything(ledger, viewer) == before


def test_a_key_of_one_workspace_means_nothing_in_another(
    ledger: Ledger, ours: Document, stranger: Viewer
) -> None:
    """The same idempotency key elsewhere is a new document, with the same bytes or others."""
    same = ledger.documents.accept(
        SECRET.encode() * 500, viewer=stranger, source="api", idempotency_key=SECRET
    )

    assert not same.repeated
    assert same.id != ours.id
    assert ledger.documents.original(same.id, stranger)[0].name == ""


def test_after_does_not_open_another_workspace(
    ledger: Ledger, ours: Document, stranger: Viewer
) -> None:
    """A cursor made of somebody else's id only says where to start among one's own."""
    own = ledger.documents.accept(b"own", viewer=stranger, source="api")

    assert ledger.documents.list(stranger, after=ours.id).items == []
    assert [one.id for one in ledger.documents.list(stranger).items] == [own.id]


def test_what_workers_claim_names_its_workspace(ledger: Ledger, stranger: Viewer) -> None:
    """An attachment found in a document is handed in where the document is."""
    document = ledger.documents.accept(b"mail", viewer=stranger, source="smtp")
    (owed,) = claim(ledger)
    worker = Viewer(owed.workspace, "worker")
    child = ledger.documents.accept(
        b"a", viewer=worker, source="attachment", parent_id=owed.document_id
    )

    assert ledger.documents.get(child.id, stranger).parent_id == document.id
    with pytest.raises(NotFound):
        ledger.documents.get(child.id, Viewer())


def _everything(ledger: Ledger, viewer: Viewer) -> list[object]:
    seen: list[object] = [dataclasses.astuple(d) for d in ledger.documents.list(viewer).items]
    seen += ledger.deliveries.list(viewer) + ledger.corrections.list(viewer)
    seen += ledger.tokens.list(viewer) + ledger.audit.list(viewer)
    seen += ledger.payments.of_card(SECRET, viewer)
    seen += [*ledger.mailboxes.list(viewer), *ledger.mailboxes.aside(viewer)]
    seen += [*ledger.mailboxes.sightings(viewer), ledger.mailboxes.secret(SECRET, viewer)]
    for job in ledger.jobs.list(viewer).items:
        seen += [ledger.jobs.get(job.id, viewer), *ledger.alerts.list(viewer, job_id=job.id).items]
    seen += ledger.models.trained(viewer)
    return [*seen, ledger.documents.counts(viewer), ledger.models.history("m")]
