"""`mailroom corrections`: what people said of documents, as a file that training reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("kind")
@click.option("--head", help="The label; `decision` is the queue. [queue, team or sentiment]")
@click.option("--out", type=click.Path(path_type=Path), help="Write here, not to standard output.")
@click.option("--workspace", default="default", show_default=True)
def command(kind: str, head: str | None, out: Path | None, workspace: str) -> None:
    """Write one JSON line for each document of KIND that people placed: text, label, who and how.

    KIND is a document kind, or a trained model that read them. Folders of a mailbox count where
    the label is a queue. The file is one that `mailroom train` reads.
    """
    rows, chosen = placed(kind, head, workspace)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if out is None:
        sys.stdout.write(lines)
    else:
        out.write_text(lines, encoding="utf-8")
    click.echo(f"{len(rows):,} documents of {kind} with {chosen} as people said it", err=True)


def placed(
    kind: str, head: str | None, workspace: str = "default"
) -> tuple[list[dict[str, Any]], str]:
    """Return the documents that people placed, as training takes them, and the head."""
    from ledger import Viewer
    from ledger.errors import LedgerError
    from routing.rules_file import WrongRules
    from settings import Settings
    from workers.client import NotWritable, RulesDisk, open_ledger, past

    settings = Settings()
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        rules = RulesDisk(settings, ledger).rules()
        return past.examples(ledger, Viewer(workspace), rules, kind, head)
    except (LedgerError, WrongRules, NotWritable) as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()


def merged(
    file: Path | None, folder: Path, kind: str, *, head: str | None, text: str, label: str
) -> tuple[Path, str]:
    """Return a file in `folder` with FILE's rows and what people said, and that in words.

    Where both know a text, people's word counts. Raises the errors of a bad FILE.
    """
    from nlp.tables import read_table

    rows, chosen = placed(kind, head)
    said = {row["text"]: row["label"] for row in rows}
    before = read_table(file, text=text, label=label) if file is not None else None
    old: list[tuple[str, str | None]] = []
    if before is not None:
        old = [*zip(before.texts, before.labels, strict=True)]
        old += [(one, None) for one in before.unlabelled]  # a teacher may read them
    joined = [(one, right) for one, right in old if one not in said] + list(said.items())
    name = f"{file.name.split('.')[0]}-and-corrections" if file else f"corrections-{kind}"
    target = folder / f"{name}.jsonl"
    with target.open("w", encoding="utf-8") as written:
        for one, right in joined:
            written.write(json.dumps({text: one, label: right}) + "\n")
    return target, f"{len(said):,} texts of {kind} whose {chosen} people said"
