"""Rules over the pages and the API: seen, tried, saved with their history, and never by halves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from ledger import Ledger, Viewer
from routing.rules_file import parse, version_of
from settings import Settings
from tests.service.conftest import Api, Issue, Person
from tests.service.mails import RULES, mail
from tests.service.test_pages import NASTY, active_parts

STRICTER = RULES.replace("confidence = 0.7", "confidence = 0.95")


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The data folder, with rules in it."""
    (settings.data_dir / "rules.toml").write_text(RULES)
    return settings.data_dir


def on_disk(folder: Path) -> str:
    """Return the rules as workers read them."""
    return (folder / "rules.toml").read_text()


def test_the_page_tells_the_rules_in_words(person: Person, folder: Path) -> None:
    """Who does not write TOML must still see what happens to their mail."""
    page = person.client.get("/routing").text
    assert "team is “billing”; and the text says “refund”" in page
    assert "queue “billing”, sent to “hook”" in page
    assert version_of(RULES) in page


def test_a_dry_run_shows_both_decisions_and_changes_nothing(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """A rule that sends a thousand mails elsewhere is seen before it does."""
    sure = mail(ledger, folder, confidence=0.99)
    moved = mail(ledger, folder, confidence=0.9)
    answer = person.post("/routing/try", text=STRICTER, limit="200")
    assert answer.status_code == 200
    assert "1 would be treated otherwise" in answer.text
    tried = answer.text[answer.text.index('id="tried"') :]
    assert f"/documents/{moved}" in tried
    assert f"/documents/{sure}" not in tried
    assert "would be billing" in tried
    assert re.search(r"triage</th><td class=\"n\">0</td><td class=\"n\">1</td>", tried)
    assert on_disk(folder) == RULES
    assert ledger.rulebook.list(Viewer()) == []


def test_saving_keeps_who_when_and_what_was_before(
    person: Person, ledger: Ledger, folder: Path
) -> None:
    """The day after, somebody asks who did that, and wants it undone."""
    by_hand, base = on_disk(folder), version_of(RULES)
    answer = person.post("/routing/save", text=STRICTER.replace("\n", "\r\n"), began_with=base)
    assert answer.status_code == 303
    assert on_disk(folder) == STRICTER
    newest, before = ledger.rulebook.list(Viewer())
    assert (newest.text, newest.actor) == (STRICTER, "token:test")
    assert (before.text, "by hand" in before.note) == (by_hand, True)

    page = person.client.get(f"/routing/versions/{before.id}").text
    assert "-confidence = 0.95" in page
    back = person.post(f"/routing/versions/{before.id}/restore", began_with=version_of(STRICTER))
    assert back.status_code == 303
    assert on_disk(folder) == RULES
    assert ledger.rulebook.list(Viewer())[0].note == f"back to version {base}"


def test_mistakes_are_named_and_nothing_is_saved(person: Person, folder: Path) -> None:
    """A typing error must not stop every mail, nor cost what was typed."""
    wrong = RULES.replace("then.send", "then.sent")
    answer = person.post("/routing/save", text=wrong, began_with=version_of(RULES))
    assert answer.status_code == 422
    line = wrong.split("\n").index('then.sent = ["hook"]') + 1
    assert f"Line {line}" in answer.text
    assert "There is no action" in answer.text
    assert "then.sent" in answer.text  # still in the editor
    assert on_disk(folder) == RULES


def test_two_people_do_not_undo_each_other(person: Person, ledger: Ledger, folder: Path) -> None:
    """What a colleague saved a minute ago is not gone because somebody had the page open."""
    base = version_of(RULES)
    assert person.post("/routing/save", text=STRICTER, began_with=base).status_code == 303
    mine = RULES + "\n# mine\n"
    clash = person.post("/routing/save", text=mine, began_with=base)
    assert clash.status_code == 409
    assert "# mine" in clash.text
    assert on_disk(folder) == STRICTER
    again = re.search(r'id="editor">.*?name="began_with" value="(\w+)"', clash.text, re.DOTALL)
    assert again
    assert person.post("/routing/save", text=mine, began_with=again[1]).status_code == 303
    assert STRICTER in [edition.text for edition in ledger.rulebook.list(Viewer())]


def test_one_queue_is_switched_on_at_a_time(person: Person, folder: Path) -> None:
    """The step from looking to doing: small, and back again with one click."""
    person.post("/routing/shadow", queue="", live="no", began_with=version_of(RULES))
    shadow = parse(on_disk(folder)).shadow
    assert (shadow.watches("billing"), shadow.watches("sales")) == (True, True)
    person.post(
        "/routing/shadow", queue="billing", live="yes", began_with=version_of(on_disk(folder))
    )
    shadow = parse(on_disk(folder)).shadow
    assert (shadow.watches("billing"), shadow.watches("sales")) == (False, True)
    assert on_disk(folder).startswith("# ours")
    page = person.client.get("/routing").text
    assert page.count("only watched") >= 1


def test_without_rules_there_is_a_beginning(
    person: Person, settings: Settings, ledger: Ledger
) -> None:
    """The first file delivers nothing until somebody says so."""
    page = person.client.get("/routing").text
    assert "There are no rules yet" in page
    text = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", page, re.DOTALL)
    assert text
    starter = text[1].replace("&#34;", '"').lstrip("\n")
    assert person.post("/routing/save", text=starter, began_with="").status_code == 303
    assert parse(on_disk(settings.data_dir)).shadow.on
    assert len(ledger.rulebook.list(Viewer())) == 1


def test_only_the_installation_s_own_people_see_and_change_the_rules(
    app: Flask, issue: Issue, folder: Path
) -> None:
    """Rules name customers and colleagues; another workspace's admin is a stranger here."""
    reader, stranger = Person(app), Person(app)
    reader.sign_in(issue("read"))
    stranger.sign_in(issue(workspace="elsewhere"))
    assert "Save and put in force" not in reader.client.get("/routing").text
    assert reader.post("/routing/save", text=STRICTER).status_code == 403
    assert stranger.client.get("/routing").status_code == 403
    writer = Person(app)
    writer.sign_in(issue("read", "write"))
    answer = writer.post("/routing/save", text=STRICTER, began_with=version_of(RULES))
    assert answer.status_code == 403
    assert on_disk(folder) == RULES


def test_programs_read_try_and_save(api: Api, ledger: Ledger, folder: Path) -> None:
    """A deployment keeps the rules in its own repository."""
    moved = mail(ledger, folder, confidence=0.9)
    shown = api("GET", "/api/v1/routing/rules").json
    assert (shown["text"], shown["mistakes"]) == (RULES, [])
    tried = api("POST", "/api/v1/routing/dry-run", json={"text": STRICTER}).json
    assert tried["looked_at"] == 1
    assert tried["before"] == {"billing": 1}
    assert tried["after"] == {"triage": 1}
    assert [change["document"] for change in tried["changes"]] == [moved]
    put = {"text": STRICTER, "began_with": "0" * 12}
    assert api("PUT", "/api/v1/routing/rules", json=put).json["code"] == "rules_changed"
    put["began_with"] = shown["version"]
    assert api("PUT", "/api/v1/routing/rules", json=put).json["version"] == version_of(STRICTER)
    wrong = api("PUT", "/api/v1/routing/rules", json={"text": "["}).json
    assert (wrong["code"], wrong["errors"][0]["line"]) == ("wrong_rules", 1)


def test_destinations_are_shown_without_their_secrets(person: Person, folder: Path) -> None:
    """The page is looked at over a shoulder."""
    path = folder / "connectors.toml"
    path.write_text(
        '[hook]\nconnector = "webhook"\nurl = "https://hooks.example.com/T0/s3cret"\n'
        'secrets = ["whsec_c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M="]\n'
        '[desk]\nconnector = "zammad"\nurl = "https://desk.example.com"\n'
        'token = { env = "NO_SUCH_TOKEN_HERE" }\n'
    )
    path.chmod(0o600)
    page = person.client.get("/routing").text
    assert "https://hooks.example.com" in page
    assert "s3cret" not in page
    assert "c3Nzc3" not in page
    assert "NO_SUCH_TOKEN_HERE is not set" in page
    path.chmod(0o644)
    assert "can be read by others" in person.client.get("/routing").text
    path.write_text("")
    assert "has no such destination" in person.client.get("/routing").text


@pytest.mark.parametrize("words", NASTY)
def test_words_of_rules_and_mails_stay_words(
    person: Person, ledger: Ledger, folder: Path, words: str
) -> None:
    """A subject, a queue or a correction of a stranger's is shown and never run."""
    text = f"{words} {words}"
    document_id = mail(ledger, folder, text, team=words, people=words)
    ledger.corrections.add(document_id, "decision", words, Viewer(actor=words))
    tried = person.post("/routing/try", text=RULES + f"# {words}\n", limit="200").text
    own = f"/documents/{document_id}?show=decision"
    answers = [person.client.get(path) for path in ("/routing", "/shadow", "/deliveries", own)]
    assert [answer.status_code for answer in answers] == [200] * 4
    for page in (tried, *(answer.text for answer in answers)):
        assert active_parts(page) == []
