"""`mailroom submit`: hands in over HTTP, waits if asked to, and says clearly what went wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger import Finished, Ledger, Viewer
from settings import Settings
from tests.service import outcomes
from tests.service.serving import environment, serving, started
from workers.client import open_ledger

Submit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path) -> Path:
    """The data folder of the running server."""
    folder = tmp_path_factory.mktemp("submit")
    shutil.copy(empty_ledger, folder)
    return folder


@pytest.fixture(scope="module")
def ledger(data_dir: Path) -> Iterator[Ledger]:
    """The server's ledger."""
    ledger = open_ledger(Settings(data_dir=data_dir))
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def env(data_dir: Path, ledger: Ledger, broker_url: str) -> Iterator[dict[str, str]]:
    """The environment of a server that runs, and that wrote of itself as `mailroom up` does."""
    env = environment(data_dir, broker_url)
    secret = ledger.tokens.issue(Viewer(), name="up", scopes={"read", "write"})[1]
    with serving(env) as server:
        (data_dir / "run").mkdir(exist_ok=True)
        written = json.dumps({"url": server.url, "token": secret})
        (data_dir / "run" / "up.json").write_text(written)
        yield env


@pytest.fixture
def submit(env: dict[str, str]) -> Submit:
    """Return a function that runs the command."""

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        process = started("submit", *arguments, env=env | changes)
        out, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    return run


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A file to hand in."""
    path = tmp_path / "letter.txt"
    path.write_text("Lovely room.")
    return path


def test_a_file_is_handed_in(submit: Submit, ledger: Ledger, letter: Path) -> None:
    """No address and no token are needed on the machine where Mailroom runs."""
    ran = submit(str(letter), "--kind", "review", "--json")
    assert ran.returncode == 0, ran.stderr
    (document,) = json.loads(ran.stdout)["documents"]
    kept = ledger.documents.get(document["id"], Viewer())
    assert (kept.name, kept.kind, kept.source) == ("letter.txt", "review", "api")


def test_it_waits_until_a_document_is_read(submit: Submit, ledger: Ledger, letter: Path) -> None:
    """With --wait the answer is the outcome, as soon as there is one."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            rows = ledger.owed.claim(
                "interactive", holder="w", items=9, characters=10**6, lease_seconds=60
            )
            text = "Lovely room."
            ledger.owed.finish(
                [
                    Finished(
                        row.id,
                        outcome=outcomes.review(text, {"Lovely": 1.0}),
                        text=text,
                        kind="review",
                    )
                    for row in rows
                ],
                holder="w",
            )

    worker = threading.Thread(target=work)
    worker.start()
    try:
        ran = submit(str(letter), "--wait")
    finally:
        stop.set()
        worker.join()
    assert ran.returncode == 0, ran.stderr
    assert "done, review, sentiment positive (97%)" in ran.stdout


def test_what_is_refused_is_said_and_the_rest_is_taken(
    submit: Submit, letter: Path, tmp_path: Path
) -> None:
    """One bad file of many costs the exit status and nothing else."""
    empty = tmp_path / "empty.txt"
    empty.touch()
    ran = submit(str(empty), str(letter), str(tmp_path / "missing.txt"), "--json")
    assert ran.returncode == 1
    first, second, third = json.loads(ran.stdout)["documents"]
    assert first["error"]["code"] == "empty_file"
    assert second["state"] == "waiting"
    assert third["error"]["code"] == "unreadable_file"


def test_a_text_needs_no_file(submit: Submit, ledger: Ledger) -> None:
    """For a quick try."""
    ran = submit("--text", "Broken since Monday.", "--kind", "ticket", "--json")
    (document,) = json.loads(ran.stdout)["documents"]
    assert ledger.documents.original(document["id"], Viewer())[1] == b"Broken since Monday."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name at least one file"),
        (("--text", "x", "--token", "mr_wrong"), "not valid"),
        (("--text", "x", "--url", "http://127.0.0.1:1"), "does not answer"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    submit: Submit, arguments: tuple[str, ...], words: str
) -> None:
    """No stack of calls for what a person can put right."""
    ran = submit(*arguments)
    assert ran.returncode != 0
    assert words in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_where_nothing_runs_it_says_so(submit: Submit, tmp_path: Path) -> None:
    """The next step is in the sentence."""
    ran = submit("--text", "x", MAILROOM_DATA_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert "mailroom up" in ran.stderr
