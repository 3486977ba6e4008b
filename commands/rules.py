"""`mailroom rules`: check the routing rules, and try them on documents that were read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
FILE = click.argument("file", type=click.Path(path_type=Path), required=False)


@click.group()
def command() -> None:
    """Check the routing rules, and try them on documents that were read."""


@command.command("check")
@FILE
@JSON
def check_file(file: Path | None, as_json: bool) -> None:
    """Say what is wrong in FILE, or in the rules in force, line by line. Exit 1: something is."""
    from routing.wording import sentences

    text = _text(file)
    rules, mistakes = _parsed(text)
    if as_json:
        named = [{"line": one.line, "message": one.sentence} for one in mistakes]
        version = rules.version if rules else None
        click.echo(json.dumps({"version": version, "ok": rules is not None, "mistakes": named}))
    elif rules is None:
        for one in mistakes:
            click.echo(f"line {one.line}: {one.sentence}", err=True)
    else:
        for rule in rules.rules:
            said = sentences(rule)
            unless = f", unless {' or '.join(said.unless)}" if said.unless else ""
            click.echo(f"{rule.name}: when {' and '.join(said.when)}{unless}")
            click.echo(f"    then {', '.join(said.then)}")
        click.echo(f"{len(rules.rules)} rules, version {rules.version}: nothing is wrong.")
    sys.exit(0 if rules else 1)


@command.command("dry-run")
@FILE
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--workspace", default="default", show_default=True)
@JSON
def rehearse(file: Path | None, limit: int, workspace: str, as_json: bool) -> None:
    """Say what FILE would change for the latest documents, against the rules in force.

    Nothing is changed and nothing is sent.
    """
    from ledger import Viewer
    from ledger.errors import LedgerError
    from routing.rules import Rules
    from settings import Settings
    from workers.client import open_ledger, past

    after, mistakes = _parsed(_text(file))
    if after is None:
        for one in mistakes:
            click.echo(f"line {one.line}: {one.sentence}", err=True)
        sys.exit(2)
    ledger = open_ledger(Settings())
    try:
        ledger.migrate()
        before = _in_force(ledger) or Rules(version="")
        run, documents = past.rehearse(ledger, Viewer(workspace), before, after, limit=limit)
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()
    changes = [
        {
            "document": documents[change.place].document.id,
            "fields": list(change.fields),
            "before": change.before.to_json(),
            "after": change.after.to_json(),
        }
        for change in run.changes
    ]
    if as_json:
        counts = {"before": dict(run.before), "after": dict(run.after)}
        click.echo(json.dumps({"looked_at": run.looked_at, **counts, "changes": changes}))
        return
    click.echo(f"{run.looked_at:,} documents looked at, {len(changes):,} would change.")
    for (old, new), times in run.moves().most_common():
        click.echo(f"  {times:>6,}  {old} -> {new}")


def _text(file: Path | None) -> str:
    from settings import Settings
    from workers.client import RulesDisk

    try:
        text = RulesDisk(Settings()).text() if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from error
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    if text is None:
        raise click.ClickException("there are no rules: rules.toml is not in the data folder")
    return text


def _parsed(text: str) -> tuple[Any, Any]:
    """Return the rules or None, and what is wrong with them."""
    from routing.rules_file import WrongRules
    from workers.client import check

    try:
        return check(text), ()
    except WrongRules as wrong:
        return None, wrong.mistakes


def _in_force(ledger: Any) -> Any:
    from routing.rules_file import WrongRules
    from settings import Settings
    from workers.client import RulesDisk

    try:
        return RulesDisk(Settings(), ledger).rules()
    except (WrongRules, RuntimeError):
        return None
