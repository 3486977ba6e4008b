"""Deliveries as people see them: what failed and why, what is sent, and sending it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import Ledger, Viewer
from settings import Settings
from tests.service.conftest import Api, Person
from tests.service.mails import RULES, mail

REFUSED = {"code": "refused", "message": "The receiver answered 404."}


@pytest.fixture
def delivery_id(ledger: Ledger, settings: Settings) -> str:
    """A delivery that is owed."""
    folder: Path = settings.data_dir
    (folder / "rules.toml").write_text(RULES)
    mail(ledger, folder)
    (delivery,) = ledger.deliveries.list(Viewer())
    return delivery.id


def fail(ledger: Ledger) -> None:
    """Do what the courier does when a receiver refuses for good."""
    (delivery,) = ledger.deliveries.claim(holder="t", lease_seconds=9)
    ledger.deliveries.put_off(delivery.id, REFUSED, holder="t", delay_seconds=0, attempts_allowed=0)


def test_a_failure_is_seen_and_sent_again(person: Person, ledger: Ledger, delivery_id: str) -> None:
    """A mail that never reached the helpdesk must not be found out by the customer."""
    fail(ledger)
    page = person.client.get("/deliveries").text
    assert "1 could not be made" in page
    assert "The receiver answered 404." in page
    document = ledger.deliveries.get(delivery_id, Viewer()).document_id
    assert f"/deliveries/{delivery_id}" in person.client.get(f"/documents/{document}").text

    answer = person.post(f"/deliveries/{delivery_id}/replay", next="/deliveries?state=failed")
    assert answer.headers["Location"] == "/deliveries?state=failed"
    again = ledger.deliveries.get(delivery_id, Viewer())
    assert (again.state, again.attempts) == ("waiting", 0)
    shown = person.client.get(f"/deliveries/{delivery_id}").text
    assert "Replayed by token:test" in shown
    assert "404" in shown


def test_what_is_sent_is_shown(person: Person, delivery_id: str) -> None:
    """Before somebody asks the other side what it got, they can look here."""
    page = person.client.get(f"/deliveries/{delivery_id}").text
    for words in ("About my order", "billing", "ann@example.com", "Refunds"):
        assert words in page


def test_hold_release_and_give_up(person: Person, ledger: Ledger, delivery_id: str) -> None:
    """Somebody saw in time that it would be wrong."""
    steps = (("hold", "held"), ("release", "waiting"), ("cancel", "cancelled"))
    for action, state in steps:
        assert person.post(f"/deliveries/{delivery_id}/{action}").status_code == 303
        assert ledger.deliveries.get(delivery_id, Viewer()).state == state
    person.post(f"/deliveries/{delivery_id}/hold")  # too late
    assert "That came too late" in person.client.get("/deliveries").text
    assert "No delivery is like that" in person.client.get("/deliveries?state=held").text


def test_programs_do_the_same(api: Api, other_api: Api, ledger: Ledger, delivery_id: str) -> None:
    """A monitor lists what failed and has it sent again after the repair."""
    fail(ledger)
    (found,) = api("GET", "/api/v1/deliveries?state=failed").json["items"]
    assert found["log"][-1]["code"] == "refused"
    assert api("POST", f"/api/v1/deliveries/{delivery_id}/hold").json["code"] == "not_cancellable"
    assert api("POST", f"/api/v1/deliveries/{delivery_id}/replay").json["state"] == "waiting"
    assert api("POST", f"/api/v1/deliveries/{delivery_id}/hold").json["state"] == "held"
    assert other_api("GET", "/api/v1/deliveries").json["items"] == []
    assert other_api("POST", f"/api/v1/deliveries/{delivery_id}/release").status_code == 404
