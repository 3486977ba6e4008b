"""`mailroom backup TARGET`: one archive of everything the ledger holds, of a running system."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(target: Path, as_json: bool) -> None:
    """Write every document, result, token and file to the new archive TARGET (a .tar).

    Nothing has to be stopped for it. It holds people's documents: keep it as safe as them.
    """
    import json

    from ledger.errors import LedgerError
    from settings import Settings
    from workers.addresses import open_ledger

    ledger = open_ledger(Settings())
    try:
        made = ledger.backup(target.absolute())
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()
    if made.deleted:
        click.echo(
            f"{len(made.deleted)} files were deleted with their documents meanwhile", err=True
        )
    if made.missing:
        click.echo(f"{len(made.missing)} files are lost, or not as they were stored:", err=True)
        click.echo("\n".join(f"  {sha256}" for sha256 in made.missing), err=True)
    if as_json:
        click.echo(json.dumps({"archive": str(target), **vars(made)}))
    else:
        click.echo(f"{target}: {made.documents} documents, {made.files} files")
