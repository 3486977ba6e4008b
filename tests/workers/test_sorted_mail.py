"""Learning from folders: no conversation on both sides, the latest mail held back."""

from __future__ import annotations

import json
import mailbox
import random
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import main
from commands.train import _mail
from workers.sorted_mail import LEAST, Learnable, Sorted, learnable, maildir, mbox

QUEUES = {
    "Rechnungen": "Bitte schicken Sie mir die Rechnung noch einmal, der Betrag stimmt nicht.",
    "Technik": "Der Drucker im zweiten Stock druckt nicht, die Anzeige bleibt dunkel.",
    "Personal": "Ich möchte im August Urlaub nehmen, wie viele Tage habe ich übrig?",
}


def letter(number: int, text: str, *, day: int, answers: int | None = None) -> bytes:
    """Return a mail; with `answers` it is a reply to that one and quotes it."""
    message = EmailMessage()
    message["From"], message["To"] = f"person{number % 7}@example.org", "team@example.org"
    message["Subject"] = f"Anliegen {number}" if answers is None else f"Re: Anliegen {answers}"
    message["Message-ID"] = f"<{number}@example.org>"
    message["Date"] = (
        f"{1 + day % 28:02d} {['Jan', 'Feb', 'Mar', 'Apr'][day // 28 % 4]} 2026 10:00 +0000"
    )
    if answers is not None:
        message["In-Reply-To"] = f"<{answers}@example.org>"
    message.set_content(text)
    return message.as_bytes()


def mails(each: int = 24) -> list[Sorted]:
    """Return folders of mail in which every third one is a reply to the one before."""
    found, number, chance = [], 0, random.Random(3)
    for folder, text in QUEUES.items():
        for i in range(each):
            words = text.split()
            chance.shuffle(words)
            answers = number - 1 if i % 3 == 2 else None
            body = f"{text} Nummer {number}. {' '.join(words[:4])}"
            found.append(Sorted(folder, letter(number, body, day=i, answers=answers)))
            number += 1
    return found


def conversation(found: Learnable) -> list[set[str]]:
    """Return the Message-IDs and references of each part."""
    return [
        {
            name
            for example in part
            for name in (example.message.message_id, *example.message.references)
            if name
        }
        for part in (found.train, found.chosen_on, found.held_back)
    ]


def test_no_conversation_is_on_two_sides() -> None:
    """A reply quotes its mail: the answer would be known, and the figures a lie."""
    found = learnable(mails())
    train, chosen_on, held_back = conversation(found)
    assert not train & chosen_on
    assert not train & held_back
    assert not chosen_on & held_back
    assert len(found.train) + len(found.chosen_on) + len(found.held_back) == 72


def test_what_is_held_back_is_the_latest() -> None:
    """A model is wanted for the mail that comes, and teams change what they write about."""
    found = learnable(mails())
    for folder in QUEUES:
        last = max(example.at for example in found.train if example.folder == folder)
        assert all(each.at >= last for each in found.held_back if each.folder == folder)


def test_thin_folders_and_unsorted_mail_are_left_out_and_said() -> None:
    """A folder of three mails teaches nothing; an inbox is nobody's word on anything."""
    few = [
        Sorted("Selten", letter(900 + i, f"etwas Seltenes {i}", day=i)) for i in range(LEAST - 1)
    ]
    inbox = [Sorted("INBOX", letter(990 + i, f"noch offen {i}", day=i)) for i in range(20)]
    found = learnable([*mails(), *few, *inbox])
    assert found.thin == ("Selten",)
    assert set(found.counts) == set(QUEUES)
    assert "Selten" in found.words()


def test_unsorted_mail_teaches_without_a_label_unless_something_is_measured_on_it() -> None:
    """An answer in the inbox quotes a mail that is held back: its text would be known."""
    everything = mails()
    apart = [Sorted("INBOX", letter(990 + i, f"noch offen {i}", day=i)) for i in range(20)]
    known = learnable(everything)
    measured = [*known.chosen_on, *known.held_back]
    numbers = sorted({int((each.message.message_id or "").split("@")[0]) for each in measured})
    answers = [
        Sorted("INBOX", letter(2000 + n, f"Antwort auf {n}", day=80, answers=n)) for n in numbers
    ]
    sent = [Sorted("Sent", letter(3000, "gesendet", day=3))]
    found = learnable([*everything, *apart, *answers, *sent], unsorted=True)
    taught = {each.text.rpartition("\n")[2] for each in found.unsorted}
    assert taught == {f"noch offen {i}" for i in range(20)}
    assert (found.train, found.chosen_on, found.held_back) == (
        known.train,
        known.chosen_on,
        known.held_back,
    )
    assert "20 that nobody has sorted" in found.words()


def test_a_mail_that_is_also_unsorted_has_its_folder() -> None:
    """Programs keep a copy where the mail arrived."""
    copies = [Sorted("INBOX", one.raw) for one in mails()]
    found = learnable([*copies, *mails()], unsorted=True)
    assert not found.unsorted
    assert sum(found.counts.values()) == 72


def test_a_mail_in_two_folders_teaches_neither() -> None:
    """Contrary labels for one text are noise."""
    both = letter(800, "Ganz genau derselbe Text in zwei Ordnern.", day=1)
    found = learnable([*mails(), Sorted("Technik", both), Sorted("Personal", both)])
    texts = [each.text for part in (found.train, found.chosen_on, found.held_back) for each in part]
    assert not any("zwei Ordnern" in text for text in texts)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A Maildir as a mail server keeps it."""
    root = mailbox.Maildir(tmp_path / "mail")
    for one in mails():
        name = one.folder
        box = root.get_folder(name) if name in root.list_folders() else root.add_folder(name)
        box.add(one.raw)
    root.close()
    return tmp_path / "mail"


def test_maildir_and_mbox_say_the_same(folders: Path, tmp_path: Path) -> None:
    """Whichever way the mail was exported, it is the same mail."""
    (tmp_path / "boxes").mkdir()
    for one in mails():
        box = mailbox.mbox(tmp_path / "boxes" / one.folder)
        box.add(one.raw)
        box.close()
    by_maildir = {(one.folder, one.raw) for one in maildir(folders)}
    by_mbox = {(one.folder, one.raw) for one in mbox(tmp_path / "boxes")}
    assert len(by_maildir) == 72
    assert by_maildir == by_mbox


def test_labels_of_an_export_are_folders(tmp_path: Path) -> None:
    """Who exports a labelled mailbox has one file and a header."""
    box = mailbox.mbox(tmp_path / "all.mbox")
    box.add(b"X-Gmail-Labels: Inbox,Opened,Billing\nSubject: a\n\nhello\n")
    box.add(b"X-Gmail-Labels: Inbox\nSubject: b\n\nhello\n")
    box.add(b"X-Gmail-Labels: Opened,Sent\nSubject: c\n\nhello\n")
    box.add(b"X-Gmail-Labels: \nSubject: d\n\nhello\n")
    box.close()
    assert [one.folder for one in mbox(tmp_path / "all.mbox")] == [
        *("Billing", "INBOX", "Sent", "INBOX"),
    ]


@pytest.mark.slow
def test_a_model_of_ones_own_folders(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a mailbox in another language to a model with figures on mail that it never saw."""
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    options = ["--teacher", "none", "--epochs", "6", "--hidden-size", "32", "--json"]
    answer = CliRunner().invoke(main, ["train", "team", "--maildir", str(folders), *options])
    assert answer.exit_code == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert said["held_back_rows"] >= 9
    assert said["held_back_accuracy"] > 0.8
    assert 0 <= said["held_back_coverage_at_95_precision"] <= 1


def test_unsorted_mail_without_a_teacher_is_said(folders: Path, tmp_path: Path) -> None:
    """Who asks for it and has no teacher would believe that it was learned from."""
    found: list[dict] = []
    place = {"maildir": folders, "mbox": None, "imap": None}
    options = {**place, "unsorted": True, "teacher": "none", "text": "text", "label": "label"}

    _mail(tmp_path, found.append, options)  # type: ignore[arg-type]

    assert any("--unsorted" in said["warning"] for said in found)


def test_too_little_mail_is_said_before_training(tmp_path: Path) -> None:
    """Nobody should wait for a training that cannot come to anything."""
    root = mailbox.Maildir(tmp_path / "mail")
    root.add_folder("Alone").add(letter(1, "one mail", day=1))
    root.close()
    answer = CliRunner().invoke(
        main, ["train", "team", "--maildir", str(tmp_path / "mail"), "--json"]
    )
    assert answer.exit_code == 2
    assert json.loads(answer.stdout)["error"]["code"] == "not_enough_data"
