"""`mailroom migrate`, `token`, `backup`, `restore`: as somebody types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import main
from ledger import Viewer, open_ledger

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a command over a data folder."""

    def run(*arguments: str, folder: str = "data") -> Result:
        environment = {"MAILROOM_DATA_DIR": str(tmp_path / folder), "MAILROOM_DATABASE_URL": None}
        return CliRunner().invoke(main, list(arguments), env=environment)

    return run


def ok(result: Result) -> dict:
    """Return the one JSON object a command printed."""
    assert result.exit_code == 0, result.output
    printed: dict = json.loads(result.stdout)
    return printed


def test_migrate_twice(run: Run) -> None:
    """The first start makes the tables, the second finds them."""
    assert ok(run("migrate", "--json"))["changed"] is True
    assert ok(run("migrate", "--json"))["changed"] is False
    assert "is current" in run("migrate").output or "was current" in run("migrate").output


def test_tokens(run: Run, tmp_path: Path) -> None:
    """A token is issued, shown once, listed without its secret, and revoked."""
    issued = ok(run("token", "issue", "laptop", "--scope", "read", "--days", "3", "--json"))
    ledger = open_ledger(f"sqlite:///{tmp_path}/data/ledger.sqlite3", str(tmp_path))
    viewer = ledger.tokens.verify(issued["token"])
    assert viewer == Viewer("default", "token:laptop", frozenset({"read"}))

    listed = ok(run("token", "list", "--json"))["tokens"]
    assert [(one["name"], one["scopes"]) for one in listed] == [("laptop", ["read"])]
    assert issued["token"] not in run("token", "list").output
    assert run("token", "issue", "plain").stdout.startswith("mr_")

    assert ok(run("token", "revoke", issued["id"], "--json"))["revoked_at"]
    failed = run("token", "revoke", "nothing")
    assert failed.exit_code == 1
    assert "there is no such token" in failed.output
    assert run("token", "issue", "x", "--scope", "all").exit_code == 2
    ledger.close()


def test_backup_and_restore(run: Run, tmp_path: Path) -> None:
    """One command saves everything and one brings it back elsewhere, and neither overwrites."""
    ok(run("migrate", "--json"))
    ledger = open_ledger(f"sqlite:///{tmp_path}/data/ledger.sqlite3", f"{tmp_path}/data/files")
    body = b"large" * 50_000
    document = ledger.documents.accept(body, viewer=Viewer(), source="api")
    ledger.close()
    archive = str(tmp_path / "backup.tar")

    assert ok(run("backup", archive, "--json"))["documents"] == 1
    assert run("backup", archive).exit_code == 1
    assert ok(run("restore", archive, "--json", folder="other"))["files"] == 1
    again = run("restore", archive, folder="other")
    assert again.exit_code == 1
    assert "restore into a new ledger" in again.output

    restored = open_ledger(f"sqlite:///{tmp_path}/other/ledger.sqlite3", f"{tmp_path}/other/files")
    assert restored.documents.original(document.id, Viewer())[1] == body
    restored.close()
    (tmp_path / "noise.tar").write_bytes(b"noise")
    assert run("restore", str(tmp_path / "noise.tar"), folder="third").exit_code == 1
