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
    """List the models with version, size, scores on dev and licence of their data.

    Versions that another machine trained are fetched from the file store when they are used.
    """
    if context.invoked_subcommand is not None:
        return
    from settings import Settings

    rows = _rows(Settings())
    if as_json:
        click.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        _print(row)


def _rows(settings: Any) -> list[dict[str, Any]]:
    """Return every model: those of this machine, then those that only the ledger knows."""
    from ledger import Viewer
    from nlp.weights import listing
    from workers.addresses import models_folder

    here = listing(models_folder(settings))
    found = {(model.name, model.version) for model in here}
    ledger = _ledger(settings)
    try:
        kept = ledger.models.trained(Viewer()) if ledger else []
        elsewhere = [model for model in kept if (model.name, model.version) not in found]
        names = {model.name for model in here if not model.shipped}
        names |= {model.name for model in elsewhere}
        promoted = {name: ledger.models.active(name) if ledger else None for name in names}
    finally:
        if ledger is not None:
            ledger.close()
    rows = [_row(model) for model in here] + [_kept_row(model) for model in elsewhere]
    for name in names:
        own = [row for row in rows if row["name"] == name and not row["shipped"]]
        # without a promotion the newest on this machine is what `predict` reads with
        newest = max((int(row["version"]) for row in own if row["here"]), default=None)
        at_work = promoted[name] or str(newest)
        for row in own:
            row["active"] = row["version"] == at_work
    return rows


def _kept_row(model: Any) -> dict[str, Any]:
    """Return a version that is in the file store and not on this machine: trained on another."""
    facts = model.facts
    return {
        "name": model.name,
        "version": model.version,
        "shipped": False,
        "active": False,
        "here": False,
        "kind": facts.get("kind"),
        "size": model.size,
        "heads": dict(facts.get("labels") or {}),
        "languages": facts.get("languages") or [],
        "scores": facts.get("scores") or {},
        "licence": facts.get("licence"),
        "examples": facts.get("examples") or 0,
        "folder": None,
        "damaged": None,
    }


def _row(model: Any) -> dict[str, Any]:
    config = model.config
    heads = {head: len(labels) for head, labels in dict(config.get("heads") or {}).items()}
    return {
        "name": model.name,
        "version": model.version,
        "shipped": model.shipped,
        "active": model.shipped,
        "here": True,
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
    place = "" if row["here"] else ", in the file store only (trained on another machine)"
    click.echo(f"{row['name']} {row['version']}  {mark}, {row['size'] / 1e6:.1f} MB{place}")
    if row["damaged"]:
        click.echo(f"    damaged: {row['damaged']}")
    for head, labels in row["heads"].items():
        score = row["scores"].get(head)
        known = f", dev accuracy {score['accuracy']:.4f}" if _has(score, "accuracy") else ""
        click.echo(f"    {head}: {labels} labels{known}")
    for name, score in row["scores"].items():
        if name not in row["heads"] and _has(score, "f1"):  # of stretches that it marks
            click.echo(f"    {name}: dev F1 {score['f1']:.4f}")
    if row["licence"]:
        click.echo(f"    data: {row['licence']}")
    if row["examples"]:
        click.echo(f"    carries excerpts of {row['examples']:,} rows of its training file")


def _has(score: Any, measure: str) -> bool:
    return isinstance(score, dict) and isinstance(score.get(measure), float)


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


@command.command()
@click.argument("name")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def delete(name: str, version: str, as_json: bool) -> None:
    """Erase VERSION of NAME, and the examples that it carries, for good."""
    from ledger import Viewer
    from ledger.errors import LedgerError
    from settings import Settings
    from workers.addresses import models_folder, open_ledger
    from workers.logs import configure
    from workers.trained import erase

    settings = Settings()
    configure(settings)
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        erase(ledger, name, version, Viewer(), models_folder(settings))
    except LedgerError as error:
        click.echo(f"mailroom models: {error}", err=True)
        sys.exit(2)
    finally:
        ledger.close()
    answer = json.dumps({"name": name, "version": version, "deleted": True})
    click.echo(answer if as_json else f"{name}, version {version}, is erased")
