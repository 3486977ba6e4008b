"""The command line beside the pages: the same rules, the same report, the same corrections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import commands
from commands.corrections import merged
from ledger import Ledger, Viewer
from settings import Settings
from tests.service.mails import RULES, mail
from workers import wiring


@pytest.fixture
def folder(ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with rules and thirty mails, two of which people put elsewhere."""
    folder: Path = settings.data_dir
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(folder))
    (folder / "rules.toml").write_text(RULES)
    for i in range(30):
        text = f"Order {i}\n\nI want a refund."
        people = "Sales" if i < 2 else "Billing"
        confidence = 0.8 if i < 2 else 0.95
        mail(ledger, folder, text, confidence=confidence, people=people, uid=i + 1)
    return folder


def run(*arguments: str) -> Result:
    """Run a command of ours."""
    return CliRunner().invoke(commands.main, list(arguments))


def test_rules_are_checked_and_tried(folder: Path) -> None:
    """Whoever keeps rules in a repository checks them before they are deployed."""
    checked = run("rules", "check")
    assert checked.exit_code == 0
    assert "Refunds: when team is “billing”" in checked.stdout
    new = folder / "new.toml"
    new.write_text(RULES.replace("confidence = 0.7", "confidence = 0.9"))
    tried = json.loads(run("rules", "dry-run", str(new), "--json").stdout)
    assert (tried["looked_at"], len(tried["changes"])) == (30, 2)
    assert tried["after"] == {"billing": 28, "triage": 2}
    new.write_text("[[rule]]\n")
    wrong = run("rules", "check", str(new), "--json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.stdout)["mistakes"][0]["line"] == 1


def test_the_report_as_json_and_as_a_file(folder: Path) -> None:
    """One object on standard output, and nothing else there."""
    target = folder / "report.html"
    said = run("report", "--json", "--html", str(target), "--minutes", "6")
    found = json.loads(said.stdout)
    assert (found["judged"], found["agreed"]) == (30, 28)
    assert found["marks"][1]["hours"] == pytest.approx(28 * 6 / 60)
    assert "<svg" in target.read_text()
    assert "<script" not in target.read_text()
    assert "28 documents" not in run("report").stdout
    assert "agree with people: 93.3%" in run("report").stdout


def test_training_reads_what_people_said(folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    """A correction that the next model does not learn was made for nothing."""
    document = ledger.documents.list(Viewer(), limit=1).items[0]
    ledger.corrections.add(document.id, "decision", "sales", Viewer(actor="ann"))
    ledger.corrections.add(document.id, "team", "hr", Viewer(actor="ann"))
    lines = run("corrections", "email", "--head", "decision").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 30
    assert {row["label"] for row in rows} == {"billing", "sales"}
    (mine,) = [row for row in rows if row["document"] == document.id]
    assert (mine["label"], mine["how"], mine["by"]) == ("sales", "correction", "ann")
    ours = json.loads(run("corrections", "email", "--head", "team").stdout)
    # a folder is a queue, not a team
    assert (ours["label"], ours["document"]) == ("hr", document.id)

    file = tmp_path / "before.csv"
    file.write_text(
        f'text,label\n"{mine["text"]}",billing\nsomething else,other\nnot yet sorted,\n'
    )
    target, _ = merged(file, tmp_path, "email", head="decision", text="text", label="label")
    learned = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(learned) == 32
    assert {"text": "not yet sorted", "label": None} in learned
    assert {"text": mine["text"], "label": "sales"} in learned
    assert {"text": mine["text"], "label": "billing"} not in learned


def test_the_doctor_finds_what_cannot_work(folder: Path, settings: Settings) -> None:
    """A destination that is misspelt is found before the first mail goes there."""
    assert [code for _, code, _ in wiring.faults(settings)] == ["no_such_destination"]
    connectors = folder / "connectors.toml"
    connectors.write_text('[hook]\nconnector = "webhok"\n')
    connectors.chmod(0o644)
    codes = [code for _, code, _ in wiring.faults(settings)]
    assert codes == ["connectors_unusable", "destination_unusable"]
    (folder / "rules.toml").write_text("[[rule]]\n")
    assert "wrong_rules" in [code for _, code, _ in wiring.faults(settings)]
