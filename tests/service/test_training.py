"""Training on pages: what is wrong is said before, what happens is seen, and who may decide may."""

from __future__ import annotations

import html
import re
from typing import Any

from flask import Flask

from ledger import Job, Ledger, Viewer
from tests.service.conftest import Issue, Person
from tests.service.test_batches import form

ME = Viewer()
ROWS = "".join(
    f'{{"words": "{text}, order {i}", "wish": "{wish}"}}\n'
    for i in range(20)
    for text, wish in (("I want my money back", "refund"), ("where is my parcel", "delivery"))
)


def upload(person: Person, body: str = ROWS, name: str = "wishes.jsonl") -> Any:
    """Hand a file in and return the page that follows."""
    fields = {"csrf_token": person.mark("/training")}
    answer = person.client.post("/training", **form({"file": (name, body.encode())}, fields))
    assert answer.status_code == 303, answer.text
    return person.client.get(answer.headers["Location"])


def begin(person: Person, **fields: str) -> Any:
    """Confirm a fresh upload's columns."""
    kept = re.search(r'name="kept" value="([^"]+)"', upload(person).text)
    assert kept
    said = {"kept": html.unescape(kept[1]), "text": "words", "label": "wish", "name": "wishes"}
    return person.post("/training/jobs", **said | fields)


def test_every_model_that_comes_with_the_product_shows_what_it_scored(person: Person) -> None:
    """Also the one that marks stretches, which has no labels of its own to be right about."""
    rows = person.client.get("/training").text.split('id="shipped"')[1].split("<tr>")
    clauses = next(row for row in rows if "<bdi>contract</bdi>" in row)
    assert re.search(r"<td>Clauses</td>\s*<td>F1 \d\d\.\d %</td>", clauses)
    banking = next(row for row in rows if "<bdi>ticket-banking</bdi>" in row)
    assert re.search(r"<td>Intent \(77\)</td>\s*<td>\d\d\.\d %</td>", banking)


def test_somebody_without_a_table_tries_ours(person: Person, ledger: Ledger) -> None:
    """One click shows the columns of a table that a training can begin with as it stands."""
    answer = person.post("/training/demonstration")
    assert answer.status_code == 303
    page = person.client.get(answer.headers["Location"]).text
    assert '<option value="message" selected>' in page
    assert '<option value="intent" selected>' in page
    assert "600 rows with text and label" in page
    kept = re.search(r'name="kept" value="([^"]+)"', page)
    assert kept
    said = {"kept": html.unescape(kept[1]), "text": "message", "label": "intent", "name": "bank"}
    assert "/training/jobs/" in person.post("/training/jobs", **said).headers["Location"]
    (job,) = ledger.jobs.list(ME, task="train").items
    assert job.input_name == "bank-messages.csv"


def test_columns_are_recognised_and_confirmed_before_anything_is_trained(
    person: Person, ledger: Ledger
) -> None:
    """A person sees which column is taken for what, how many labels there are, and then begins."""
    page = upload(person)
    assert '<option value="words" selected>' in page.text
    assert '<option value="wish" selected>' in page.text
    assert "40 rows with text and label" in page.text
    mixed = upload(person, ROWS + '{"words": "no idea yet", "wish": null}\n{"wish": "refund"}\n')
    assert "40 rows with text and label, 1 with a text alone" in mixed.text
    assert "1 without a text" in mixed.text
    assert ledger.jobs.list(ME).items == []

    answer = begin(person, out_of_scope="", encoder="gru", teacher="none")
    (job,) = ledger.jobs.list(ME, task="train").items
    assert answer.headers["Location"] == f"/training/jobs/{job.id}"
    assert (job.queue, job.name, job.input_name) == ("training", "wishes", "wishes.jsonl")
    assert job.options["encoder"] == "gru"
    assert job.options["teacher"] == "none"
    assert (job.options["text"], job.options["label"]) == ("words", "wish")


def test_not_enough_data_is_said_before_training(person: Person, ledger: Ledger) -> None:
    """Nobody waits for a training that could never have worked."""
    few = upload(person, "".join(ROWS.splitlines(keepends=True)[:9]))
    assert "Not enough data" in few.text
    assert "Train it" not in few.text
    one = upload(person, ROWS.replace("delivery", "refund"))
    assert "Train it" not in one.text
    upload(person, "{broken")
    assert "line 1: not JSON" in person.client.get("/training").text
    assert ledger.jobs.list(ME).items == []


def test_a_name_is_ours_or_it_is_refused(
    person: Person, app: Flask, issue: Issue, ledger: Ledger
) -> None:
    """A model cannot take the place of a shipped one, nor of another workspace's."""
    keep(ledger, "theirs", "1", viewer=Viewer(workspace="elsewhere"))
    for name in ("review", "theirs", "../up", ""):
        begin(person, name=name)
    assert ledger.jobs.list(ME).items == []
    page = person.client.get("/training").text
    assert "theirs" not in page
    kept = re.search(r'name="kept" value="([^"]+)"', upload(person).text)
    assert kept
    stranger = Person(app)
    stranger.sign_in(issue(workspace="elsewhere"))
    answer = stranger.client.get("/training/columns", query_string={"kept": kept[1]})
    assert answer.headers["Location"] == "/training"  # another workspace's file


def keep(ledger: Ledger, name: str, version: str, *, viewer: Viewer = ME) -> None:
    """Keep a version as a worker does."""
    body = f"{name} {version}".encode() * 100
    facts = {
        "labels": {"wish": 2},
        "scores": {"wish": {"accuracy": 0.913, "coverage_at_95_precision": 0.8}},
        "data": {"rows": 40, "file": "wishes.jsonl"},
        "licence": "the owner's",
    }
    sha256 = ledger.files.put(body)
    given = {"sha256": sha256, "size": len(body), "facts": facts}
    ledger.models.keep(viewer, name=name, version=version, **given)  # type: ignore[arg-type]


def running(ledger: Ledger) -> Job:
    """Owe a training and claim it as a worker does."""
    ledger.jobs.add(
        ME,
        queue="training",
        task="train",
        name="wishes",
        options={"text": "words", "label": "wish"},
    )
    job = ledger.jobs.claim("training", holder="worker", lease_seconds=60)
    assert job
    return job


def test_a_training_is_seen_live_and_its_report_shut_off(person: Person, ledger: Ledger) -> None:
    """Epoch, loss, dev and time left while it runs; the report cannot touch our pages."""
    job = running(ledger)
    curve = [{"epoch": e, "loss": 1 / e, "dev_accuracy": 0.8 + e / 100} for e in (1, 2)]
    told = {"stage": "training", "epoch": 3, "epochs": 8, "step": 1, "steps": 4, "loss": 0.25}
    told |= {"curve": curve, "seconds_left": 200.0, "warnings": ["<one> label is thin"]}
    assert ledger.jobs.report(job.id, holder="worker", progress=told)
    page = person.client.get(f"/training/jobs/{job.id}").text
    for words in ("epoch 3 of at most 8", "loss 0.250", "82.0 %", "3 minutes to go"):
        assert words in page
    assert "&lt;one&gt; label is thin" in page
    assert page.count('class="plot"') == 2

    report = ledger.files.put(b"<h1>report</h1>")
    figures = {"accuracy": 0.82, "coverage_at_95_precision": 0.5, "ece": 0.01}
    figures["coverage_at_98_precision"] = 0.4
    result = {"version": "1", "figures": figures, "curve": curve, "taught": "alone"}
    outputs = {"report.html": report}
    assert ledger.jobs.finish(job.id, holder="worker", result=result, outputs=outputs)
    page = person.client.get(f"/training/jobs/{job.id}").text
    assert "Trained" in page
    assert f"/training/jobs/{job.id}/report" in page
    answer = person.client.get(f"/training/jobs/{job.id}/report")
    assert answer.data == b"<h1>report</h1>"
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_a_training_can_be_cancelled(person: Person, ledger: Ledger) -> None:
    """People need not wait for what they no longer want."""
    job = running(ledger)
    person.post(f"/training/jobs/{job.id}/cancel")
    assert ledger.jobs.get(job.id, ME).state == "cancelled"
    assert "Cancelled" in person.client.get(f"/training/jobs/{job.id}").text


def test_versions_are_put_to_work_and_taken_back_by_who_may(
    person: Person, app: Flask, ledger: Ledger, issue: Issue
) -> None:
    """A better version is one click, and so is the way back; a colleague only looks."""
    for version in ("1", "2"):
        keep(ledger, "wishes", version)
    person.post("/training/models/wishes/1/promote")
    person.post("/training/models/wishes/2/promote")
    assert ledger.models.active("wishes") == "2"
    assert "91.3 %" in person.client.get("/training").text
    person.post("/training/models/wishes/rollback")
    assert ledger.models.active("wishes") == "1"
    assert person.post("/training/models/wishes/9/promote").status_code == 404

    colleague = Person(app)
    colleague.sign_in(issue("read", "write"))
    assert "Put to work" not in colleague.client.get("/training").text
    assert colleague.post("/training/models/wishes/2/promote").status_code == 403
    assert ledger.models.active("wishes") == "1"


def test_a_model_at_work_reads_documents_by_its_name(
    person: Person, app: Flask, issue: Issue, ledger: Ledger
) -> None:
    """Labels of one's own are a kind like any other, for their workspace alone."""
    from tests.service.conftest import Api

    api, other = Api(app, issue()), Api(app, issue(workspace="elsewhere"))
    keep(ledger, "wishes", "1")
    request = {"json": {"text": "where is my parcel", "kind": "wishes"}}
    assert api("POST", "/api/v1/documents", **request).status_code == 422
    ledger.models.promote("wishes", "1", ME)
    assert api("POST", "/api/v1/documents", **request).status_code == 202
    assert other("POST", "/api/v1/documents", **request).status_code == 422
    assert 'value="wishes"' in person.client.get("/").text
