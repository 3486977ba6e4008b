"""`mailroom migrate`: bring the database's tables to what this version expects."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Bring the ledger's tables to what this version expects. Harmless when they are."""
    import json

    from ledger.errors import LedgerError
    from settings import Settings
    from workers.addresses import masked, open_ledger

    ledger = open_ledger(Settings())
    try:
        was_current = ledger.is_current()
        ledger.migrate()
        where = masked(ledger.database.url.render_as_string(hide_password=False))
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()
    if as_json:
        click.echo(json.dumps({"database": where, "changed": not was_current}))
    else:
        click.echo(f"{where}: {'was current' if was_current else 'is now current'}")
