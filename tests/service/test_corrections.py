"""What people say instead of a reader: kept with their name, shown, and counted in the report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ledger import Ledger, Viewer
from settings import Settings
from tests.service.conftest import Api, Person
from tests.service.mails import RULES, mail


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The data folder, with rules in it."""
    (settings.data_dir / "rules.toml").write_text(RULES)
    return settings.data_dir


def test_a_decision_names_rule_model_confidence_and_evidence(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """Nobody trusts a queue that cannot say why."""
    document_id = mail(ledger, folder)
    page = person.client.get(f"/documents/{document_id}?show=decision").text
    section = page[
        page.index('id="decision"') : page.index("</section>", page.index('id="decision"'))
    ]
    for words in (
        "billing",
        "Refunds",
        "90 % sure",
        "email 1.0.0",
        "the text says “refund”",
        "hook",
    ):
        assert words in section
    assert re.search(r"<mark[^>]*>refund", page)


def test_a_doubt_is_triage_and_names_what_it_would_have_been(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """Under the threshold a person decides, and sees what was on our mind."""
    document_id = mail(ledger, folder, confidence=0.65)
    page = person.client.get(f"/documents/{document_id}").text
    assert "is not sure enough" in page
    assert re.search(r"would be <b>billing</b>", page)
    assert ledger.deliveries.list(Viewer()) == []


def test_a_person_corrects_on_the_page(person: Person, ledger: Ledger, folder: Path) -> None:
    """One click, kept with a name; and what a person looked at needs no more review."""
    document_id = mail(ledger, folder, confidence=0.5)
    assert ledger.documents.get(document_id, Viewer()).needs_review
    path = f"/documents/{document_id}/correct"
    assert person.post(path, head="decision", value="triage", other="legal").status_code == 303
    (kept,) = ledger.corrections.list(Viewer(), document_id=document_id)
    assert (kept.head, kept.value, kept.actor, kept.kind) == (
        "decision",
        "legal",
        "token:test",
        "email",
    )
    page = person.client.get(f"/documents/{document_id}").text
    assert "What people said" in page
    assert "<b>legal</b>" in page
    assert not ledger.documents.get(document_id, Viewer()).needs_review


def test_what_a_person_decides_is_sent_on_where_they_ask_for_it(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """Triage is no dead end: who chooses the queue can let it go where that queue goes, once."""
    document_id = mail(ledger, folder, confidence=0.5)
    path = f"/documents/{document_id}/correct"
    person.post(path, head="decision", value="billing")
    assert ledger.deliveries.list(Viewer()) == []
    for _ in range(2):  # a second click owes nothing more
        person.post(path, head="decision", value="billing", send="yes")
    (delivery,) = ledger.deliveries.list(Viewer())
    assert (delivery.connector, delivery.payload["queue"]) == ("hook", "billing")
    assert delivery.payload["reason"] == "Chosen by token:test."
    person.post(path, head="decision", value="sales", send="yes")  # which is sent nowhere
    (folder / "rules.toml").write_text(RULES + "\n[shadow]\non = true\n")
    other = mail(ledger, folder, confidence=0.5)
    person.post(f"/documents/{other}/correct", head="decision", value="billing", send="yes")
    assert "Nothing is sent" in person.client.get("/").text
    assert len(ledger.deliveries.list(Viewer())) == 1


def test_corrections_over_the_api(api: Api, other_api: Api, ledger: Ledger, folder: Path) -> None:
    """A helpdesk in which an agent moves the ticket says so by itself."""
    document_id = mail(ledger, folder)
    path = f"/api/v1/documents/{document_id}/corrections"
    made = api("POST", path, json={"head": "team", "value": "hr"})
    assert made.status_code == 201
    assert [one["value"] for one in api("GET", path).json["items"]] == ["hr"]
    for body in (
        {"head": "team", "value": "no such team"},
        {"head": "mood", "value": "sunny"},
        {"head": "team", "value": "  "},
        {"head": "team"},
    ):
        assert api("POST", path, json=body).status_code == 422
    assert other_api("POST", path, json={"head": "team", "value": "hr"}).status_code == 404
    assert len(api("GET", path).json["items"]) == 1


def filled(ledger: Ledger, folder: Path) -> list[str]:
    """Read forty mails of which people put three elsewhere; one they corrected."""
    found = []
    for i in range(40):
        wrong = i < 3
        confidence = 0.75 if wrong else 0.9 + i / 1000
        people = "Sales" if wrong else "Billing"
        found.append(mail(ledger, folder, confidence=confidence, people=people, uid=i + 1))
    ledger.corrections.add(found[0], "decision", "legal", Viewer(actor="ann"))
    return found


def test_the_report_counts_folders_and_corrections(
    api: Api, person: Person, ledger: Ledger, folder: Path
) -> None:
    """What an administrator decides on: how often, how many, and which ones not."""
    documents = filled(ledger, folder)
    mail(ledger, folder, confidence=0.95, people="Birthdays", uid=99)
    made = api("GET", "/api/v1/shadow?minutes=6").json
    assert (made["judged"], made["agreed"], made["by_correction"]) == (40, 37, 1)
    assert made["agreement"] == pytest.approx(0.925)
    at_95, at_98 = made["marks"]
    assert at_98["threshold"] == pytest.approx(0.9, abs=0.01)
    assert (at_98["judged_taken"], at_98["wrong"], at_98["mails"]) == (37, 0, 38)
    assert at_98["hours"] == pytest.approx(38 * 6 / 60)
    assert at_95["coverage"] >= at_98["coverage"]
    differ = {one["id"]: one for one in made["disagreements"]}
    assert set(differ) == set(documents[:3])
    assert (differ[documents[0]]["theirs"], differ[documents[0]]["how"]) == ("legal", "correction")
    assert differ[documents[1]]["evidence"]
    assert "Birthdays" in made["notes"][0]

    page = person.client.get("/shadow?minutes=6").text
    assert page.count("data-plot=") == 3
    assert page.count("The figures") == 3
    assert "3.8 hours saved" in page


class Loads(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note scripts, frames and addresses."""
        names = {name for name, _ in attrs}
        if tag in {"script", "link", "iframe", "img", "object"} or names & {"src", "href"}:
            self.found.append(tag)


def test_the_report_is_a_file_that_loads_nothing(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """It is mailed to somebody who has no account, and opened on a train."""
    filled(ledger, folder)
    answer = person.client.get("/shadow/report.html")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    parser = Loads()
    parser.feed(answer.text)
    assert parser.found == []
    assert "url(" not in answer.text
    assert answer.text.count("<svg viewBox") == 3
    assert "About my order" in answer.text


def test_our_own_moves_are_no_agreement(api: Api, ledger: Ledger, folder: Path) -> None:
    """A mail that we put into a folder lies there because of us."""
    document_id = mail(ledger, folder, people="Billing", uid=5)
    assert api("GET", "/api/v1/shadow").json["judged"] == 1
    (delivery,) = ledger.deliveries.claim(holder="t", lease_seconds=9)
    entry = {"reference": "INBOX/Billing", "detail": "Moved."}
    assert delivery.document_id == document_id
    ledger.deliveries.finish(delivery.id, holder="t", entry=entry)
    assert api("GET", "/api/v1/shadow").json["judged"] == 0


def test_before_there_are_rules_the_label_is_compared(
    api: Api, ledger: Ledger, settings: Settings
) -> None:
    """An hour after the mailbox was connected nobody has written a rule."""
    for i in range(25):
        mail(ledger, settings.data_dir, people="Billing", uid=i + 1)
    made = api("GET", "/api/v1/shadow").json
    assert (made["judged"], made["agreed"]) == (25, 25)
    assert made["marks"][0]["threshold"] == pytest.approx(0.9)


def test_nothing_is_said_to_be_nothing(person: Person, api: Api) -> None:
    """An empty report must not divide by zero, nor look like a perfect one."""
    assert api("GET", "/api/v1/shadow").json["agreement"] is None
    assert "nothing to compare" in person.client.get("/shadow").text
    assert "nothing to compare" in person.client.get("/shadow/report.html").text
    json.dumps(api("GET", "/api/v1/shadow?kind=nope").json)
