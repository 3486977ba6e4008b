"""`mailroom models`: what models there are, and which version of each is at work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the models with version, size, scores on dev and licence of their data."""
    if context.invoked_subcommand is not None:
        return
    from nlp.weights import listing
    from settings import Settings
    from workers.addresses import models_folder

    settings = Settings()
    active = _active(settings)
    rows = [_row(model, active) for model in listing(models_folder(settings))]
    if as_json:
        click.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        _print(row)


def _row(model: Any, active: dict[str, str | None]) -> dict[str, Any]:
    config = model.config
    heads = {head: len(labels) for head, labels in dict(config.get("heads") or {}).items()}
    return {
        "name": model.name,
        "version": model.version,
        "shipped": model.shipped,
        "active": model.shipped or active.get(model.name) == model.version,
        "kind": config.get("kind"),
        "size": model.size,
        "heads": heads,
        "languages": config.get("languages", []),
        "scores": config.get("scores", {}),
        "licence": config.get("licence"),
        "examples": config.get("examples", 0),
        "folder": str(model.folder),
        "damaged": model.damaged,
    }


def _print(row: dict[str, Any]) -> None:
    mark = "shipped" if row["shipped"] else "active" if row["active"] else "trained"
    click.echo(f"{row['name']} {row['version']}  {mark}, {row['size'] / 1e6:.1f} MB")
    if row["damaged"]:
        click.echo(f"    damaged: {row['damaged']}")
    for head, labels in row["heads"].items():
        score = row["scores"].get(head)
        known = f", dev accuracy {score['accuracy']:.4f}" if _has_accuracy(score) else ""
        click.echo(f"    {head}: {labels} labels{known}")
    if row["licence"]:
        click.echo(f"    data: {row['licence']}")
    if row["examples"]:
        click.echo(f"    carries excerpts of {row['examples']:,} rows of its training file")


def _has_accuracy(score: Any) -> bool:
    return isinstance(score, dict) and isinstance(score.get("accuracy"), float)


def _active(settings: Any) -> dict[str, str | None]:
    """Return the version at work of each trained name: the promoted, else the newest."""
    from nlp.weights import trained_names, versions
    from workers.addresses import models_folder

    models_dir = models_folder(settings)
    names = trained_names(models_dir)
    if not names:
        return {}
    ledger = _ledger(settings)
    try:
        return {
            name: (ledger.models.active(name) if ledger else None) or versions(name, models_dir)[-1]
            for name in names
        }
    finally:
        if ledger is not None:
            ledger.close()


def _ledger(settings: Any) -> Any:
    """Return the ledger, or None where there is none yet: listing needs no set-up."""
    from workers.addresses import open_ledger

    ledger = open_ledger(settings)
    if ledger.is_current():
        return ledger
    ledger.close()
    return None


@command.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def promote(name: str, version: str | None, as_json: bool) -> None:
    """Let workers read with VERSION of NAME (the newest, if none is said)."""
    _switch(name, version, as_json, back=False)


@command.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def rollback(name: str, version: str | None, as_json: bool) -> None:
    """Let workers read with the version of NAME before this one, or with VERSION."""
    _switch(name, version, as_json, back=True)


def _switch(name: str, version: str | None, as_json: bool, *, back: bool) -> None:
    from ledger import Viewer
    from ledger.errors import LedgerError
    from nlp.errors import ReadingError
    from nlp.weights import find
    from sequence.artifact import load_artifact
    from sequence.errors import SequenceError
    from settings import Settings
    from workers.addresses import models_folder, open_ledger

    settings = Settings()
    models_dir = models_folder(settings)
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        viewer = Viewer()
        if back:
            now: str | None = ledger.models.rollback(name, viewer, version).version
        else:
            # a version that cannot be loaded must not be put to work
            folder = find(name, models_dir, version)
            load_artifact(folder)
            now = folder.name if folder.parent.parent == Path(models_dir) else None
            if now is None:
                raise click.ClickException(f"{name} is a shipped model: it has one version")
            ledger.models.promote(name, now, viewer)
    except (ReadingError, SequenceError, LedgerError) as error:
        click.echo(f"mailroom models: {error}", err=True)
        sys.exit(2)
    finally:
        ledger.close()
    said = now or "shipped"
    answer = json.dumps({"name": name, "version": now})
    click.echo(answer if as_json else f"{name} reads with version {said}")
