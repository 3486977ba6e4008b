"""`mailroom restore ARCHIVE`: a new ledger from a backup."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(archive: Path, as_json: bool) -> None:
    """Fill an empty ledger from ARCHIVE; it may be on another database or file store.

    Refuses a ledger that holds anything. What was being read when the backup was made is read
    again.
    """
    import json

    from ledger.errors import LedgerError
    from ledger.restore import restore
    from settings import Settings
    from workers.addresses import database_url, files_url

    settings = Settings()
    try:
        came = restore(
            archive, database_url(settings), files_url(settings), s3_endpoint=settings.s3_endpoint
        )
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    if came.missing:
        click.echo(f"{len(came.missing)} files were lost when the backup was made", err=True)
    if as_json:
        click.echo(json.dumps({"archive": str(archive), **vars(came)}))
    else:
        click.echo(f"{came.documents} documents and {came.files} files are back")
