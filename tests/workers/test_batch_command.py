"""`mailroom batch` as people use it: a real server, a real worker, a file in and a file out."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.installation import VIEWER, Installation
from tests.workers.waiting import eventually

pytestmark = pytest.mark.slow

KIND = "ticket"
TEXT = "My card was charged twice, please give the money back."


@pytest.fixture(scope="module")
def mailroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a bulk worker and a web server."""
    installation = Installation(tmp_path_factory.mktemp("command"))
    installation.worker("bulk")
    installation.scheduler()
    yield installation
    installation.close()


@pytest.fixture(scope="module")
def environment(mailroom: Installation) -> dict[str, str]:
    """What the command finds in its environment."""
    web = mailroom.run("web", "--port", "0", "--json")
    eventually(lambda: '"port"' in web.said, what="the server did not start")
    (line,) = [line for line in web.said.splitlines() if '"port"' in line]
    _, secret = mailroom.ledger.tokens.issue(VIEWER, name="test", scopes={"read", "write"})
    port = json.loads(line)["port"]
    return {
        **os.environ,
        "MAILROOM_URL": f"http://127.0.0.1:{port}",
        "MAILROOM_TOKEN": secret,
        "MAILROOM_DATA_DIR": str(mailroom.folder / "elsewhere"),
    }


def command(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    """Start the command."""
    program = [sys.executable, "-c", "from commands import main; main()", "batch"]
    return subprocess.Popen(
        [*program, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_table_in_and_a_table_out(environment: dict[str, str], tmp_path: Path) -> None:
    """One JSON object on standard output, progress on standard error, the rows in order."""
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = [f'{number},"{TEXT} {number}",=A1' for number in range(50)]
    source.write_text("\n".join(["id,body,formula", *rows]) + "\n")
    process = command(environment, KIND, source, "-o", output, "--text", "body", "--json")
    said, progress = process.communicate(timeout=120)
    assert process.returncode == 0, progress
    answer = json.loads(said)
    assert (answer["state"], answer["rows_done"], answer["output"]) == ("done", 50, str(output))
    assert "50 of 50 rows" in progress
    with output.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [str(number) for number in range(50)]
    assert all(row["queue"] and row["formula"] == "=A1" for row in found)

    process = command(environment, KIND, source, "-o", output)
    assert process.wait(60) == 2, "a result that is there is not replaced unasked"
    process.communicate()


def test_a_folder_is_packed_and_read(environment: dict[str, str], tmp_path: Path) -> None:
    """Every file is a line with its path."""
    folder, output = tmp_path / "folder", tmp_path / "out.jsonl"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "b.txt").write_text(TEXT)
    (folder / "a.txt").write_text(TEXT)
    process = command(environment, KIND, folder, "-o", output)
    said, progress = process.communicate(timeout=120)
    assert process.returncode == 0, progress
    assert "2 rows" in said
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["path"] for row in found] == ["a.txt", "deep/b.txt"]
    assert found[0]["queue"] == found[1]["queue"]


def test_a_wrong_column_is_said_and_is_exit_1(environment: dict[str, str], tmp_path: Path) -> None:
    """With the columns there are."""
    source = tmp_path / "in.csv"
    source.write_text("a,b\n1,2\n")
    process = command(environment, KIND, source, "-o", tmp_path / "out.csv")
    _, progress = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "There are: a, b." in progress
    assert not (tmp_path / "out.csv").exists()


def test_stopped_by_ctrl_c_it_goes_on_with_the_same_command(
    mailroom: Installation, environment: dict[str, str], tmp_path: Path
) -> None:
    """The batch does not stop with its watcher, and is not read a second time."""
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = [f"{TEXT} {number}".replace(",", "") for number in range(3000)]
    source.write_text("\n".join(["text", *rows]) + "\n")
    before = len(mailroom.ledger.batches.list(VIEWER).items)

    def there() -> bool:
        return len(mailroom.ledger.batches.list(VIEWER).items) > before

    process = command(environment, KIND, source, "-o", output)
    eventually(there)
    process.send_signal(signal.SIGINT)
    _, progress = process.communicate(timeout=60)
    assert process.returncode == 130, progress
    assert "same command" in progress

    process = command(environment, KIND, source, "-o", output)
    _, progress = process.communicate(timeout=150)
    assert process.returncode == 0, progress
    assert len(mailroom.ledger.batches.list(VIEWER).items) == before + 1
    assert len(output.read_text().splitlines()) == 3001
