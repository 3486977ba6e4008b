"""`mailroom report`: how often decisions agree with where people put the mail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from routing.agreement import Agreement


@click.command()
@click.option("--html", type=click.Path(path_type=Path), help="Write the report to this file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--minutes", type=click.FloatRange(0, 600), default=3.0, show_default=True,
              help="A person needs for one mail.")  # fmt: skip
@click.option("--days", type=click.IntRange(1), help="Only what came in so many days.")
@click.option("--kind", help="Only this kind, or what this model read.")
@click.option("--limit", type=click.IntRange(1), default=20_000, show_default=True,
              help="At most so many documents, the latest.")  # fmt: skip
@click.option("--head", help="The label that is compared where there are no rules.")
@click.option("--workspace", default="default", show_default=True)
def command(
    html: Path | None,
    as_json: bool,
    minutes: float,
    days: int | None,
    kind: str | None,
    limit: int,
    head: str | None,
    workspace: str,
) -> None:
    """Compare what the rules decide with the folders and corrections of people.

    Says the share that could be taken at 95 and 98 % precision, hours saved, and the mails on
    which people disagree. The HTML file needs no network and runs no scripts; it quotes mails.
    """
    import json

    from ledger import Viewer
    from ledger.errors import LedgerError
    from routing.rules_file import WrongRules
    from service import shadow_file
    from service.shadow import Asked, measured
    from settings import Settings
    from workers.client import NotWritable, RulesDisk, open_ledger

    settings = Settings()
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        rules = RulesDisk(settings, ledger).rules()
        asked = Asked(kind=kind, days=days, limit=limit, minutes=minutes, head=head)
        found = measured(ledger, Viewer(workspace), rules, asked)
        if html is not None:
            page = shadow_file.render(found, version=rules.version if rules else None)
            html.write_text(page, encoding="utf-8")
    except (LedgerError, WrongRules, NotWritable, OSError) as error:
        click.echo(f"mailroom report: {error}", err=True)
        sys.exit(2)
    finally:
        ledger.close()
    if as_json:
        click.echo(json.dumps(found.to_json()))
        return
    for line in _lines(found):
        click.echo(line)
    if html is not None:
        click.echo(f"The report is in {html}")


def _lines(found: Agreement) -> list[str]:
    lines = [
        f"{found.looked_at:,} documents looked at, {found.judged:,} of them placed by people "
        f"({found.by_folder:,} by folder, {found.by_correction:,} by correction)"
    ]
    if found.judged:
        lines.append(f"agree with people: {found.agreed / found.judged:.1%}")
    for mark in found.marks:
        if mark.threshold is None:
            lines.append(f"at {mark.claimed:.0%} precision: no threshold reaches it")
        else:
            lines.append(
                f"at {mark.claimed:.0%} precision: {mark.coverage:.1%} taken from a confidence of "
                f"{mark.threshold:.3f}, {mark.hours:.1f} hours saved"
            )
    return [*lines, *found.notes]
