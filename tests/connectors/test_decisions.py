"""Rules at work: what a worker decides is written with the result, and sent where it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.conftest import Receiver
from tests.connectors.test_delivery import all_of, destinations, webhook
from tests.workers.installation import Installation
from tests.workers.waiting import eventually
from workers.decisions import Decider, deliveries

RULES = """
[[rule]]
name = "Tickets"
when.kind = "ticket"
when.text = "printer"
then.queue = "devices"
then.tags = ["printer"]
then.send = ["hook"]
"""
OUTCOME = {"kind": "ticket", "labels": {}, "model": {"name": "ticket", "version": "1"}}


def decide(decider: Decider, text: str = "the printer is on fire") -> Any:
    """Return what is decided about a ticket."""
    return decider.decide(OUTCOME, None, text, envelope=None, source="api")


def test_rules_change_while_the_worker_runs_and_mistakes_change_nothing(tmp_path: Path) -> None:
    """A typing error in the file must not let mail go where no rule sends it."""
    path = tmp_path / "rules.toml"
    decider = Decider(path)
    assert decide(decider) is None
    path.write_text(RULES)
    first = decide(decider)
    assert (first.queue, first.rule) == ("devices", "Tickets")
    path.write_text(RULES.replace("then.queue", "then.queu"))
    assert decide(decider) == first
    path.write_text(RULES.replace("devices", "machines"))
    os.utime(path, (1, 1))
    assert decide(decider).queue == "machines"
    path.unlink()
    assert decide(decider) is None


def test_what_failed_is_not_decided(tmp_path: Path) -> None:
    """A document that nobody could read belongs to a person, not to a rule."""
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    assert Decider(path).decide(None, None, None, envelope=None, source="api") is None


def test_a_mail_of_ours_is_decided_and_sent_nowhere(tmp_path: Path) -> None:
    """A forward that comes back would be forwarded again."""
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    decision = decide(Decider(path))
    assert deliveries(decision, ours=True) == ()
    (delivery,) = deliveries(decision)
    assert delivery["connector"] == "hook"
    assert json.loads(json.dumps(delivery["payload"]))["reason"] == decision.reason


@pytest.mark.slow
def test_from_the_door_to_the_receiver(tmp_path: Path, receiver: Receiver) -> None:
    """The whole way: handed in, read, decided, and delivered by the worker's own tasks."""
    mailroom = Installation(tmp_path)
    try:
        destinations(mailroom, webhook(receiver))
        (tmp_path / "rules.toml").write_text(RULES)
        mailroom.worker("interactive", "delivery")
        wanted = mailroom.accept("My printer does not print.", kind="ticket")
        other = mailroom.accept("My password is lost.", kind="ticket")
        finished, triaged = mailroom.finished([wanted, other])
        assert finished.outcome is not None
        assert finished.outcome["decision"]["queue"] == "devices"
        assert triaged.outcome is not None
        assert triaged.outcome["decision"]["queue"] == "triage"
        eventually(lambda: [one.state for one in all_of(mailroom)] == ["done"])
        (request,) = receiver.received
        data = json.loads(request.body)["data"]
        assert (data["document"], data["queue"]) == (wanted.id, "devices")
        assert (data["rule"], data["tags"]) == ("Tickets", ["printer"])
    finally:
        mailroom.close()
