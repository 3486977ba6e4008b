"""Rules at work: what a worker decides is written with the result, and sent where it says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ledger import Viewer
from settings import Settings
from tests.connectors.conftest import Receiver
from tests.connectors.test_delivery import all_of, destinations, webhook
from tests.workers.installation import Installation
from tests.workers.waiting import eventually
from workers import decisions
from workers.client import RulesChanged, RulesDisk, open_ledger
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


def test_machines_without_the_file_follow_what_was_saved_last(
    tmp_path: Path, new_postgresql_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page runs on one machine and the workers on others: saved must mean in force."""
    monkeypatch.setattr(decisions, "_LOOK_SECONDS", 0.0)
    shared = SecretStr(new_postgresql_database())
    web = Settings(data_dir=tmp_path / "web", database_url=shared)
    worker = Settings(data_dir=tmp_path / "worker", database_url=shared)
    ledger = open_ledger(web)
    ledger.migrate()
    try:
        here = decisions.decider(worker, lambda: ledger)
        assert decide(here) is None
        page = RulesDisk(web, ledger)
        saved = page.save(
            RULES, began_with=None, ledger=ledger, viewer=Viewer(), note="edited on the page"
        )
        assert decide(here).queue == "devices"
        with pytest.raises(RulesChanged):
            page.save("", began_with=None, ledger=ledger, viewer=Viewer(), note="edited")
        other = RULES.replace("devices", "machines")
        page.save(other, began_with=saved.version, ledger=ledger, viewer=Viewer(), note="edited")
        assert decide(here).queue == "machines"
        assert RulesDisk(worker, ledger).text() == other
        (tmp_path / "worker").mkdir()
        (tmp_path / "worker" / "rules.toml").write_text(RULES)  # a file of its own wins
        assert decide(here).queue == "devices"
    finally:
        ledger.close()


def test_on_one_machine_no_file_is_no_rules(tmp_path: Path) -> None:
    """Whoever takes the file away wants nothing decided, whatever was saved before."""
    settings = Settings(data_dir=tmp_path)
    ledger = open_ledger(settings)
    ledger.migrate()
    disk = RulesDisk(settings, ledger)
    disk.save(RULES, began_with=None, ledger=ledger, viewer=Viewer(), note="edited")
    here = decisions.decider(settings, lambda: ledger)
    assert decide(here) is not None
    (tmp_path / "rules.toml").unlink()
    assert decide(here) is None
    assert disk.text() is None
    ledger.close()


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
