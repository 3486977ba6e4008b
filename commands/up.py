"""`mailroom up`: everything on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the pages; 0 takes a free one.")
@click.option("--smtp-port", type=click.IntRange(0, 65535), help="Of mail; 0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def command(data_dir: Path | None, port: int | None, smtp_port: int | None, as_json: bool) -> None:
    """Run everything on this machine, and say where to sign in.

    Stops on Ctrl-C: work in hand is finished or given back.
    """
    import io
    import json
    import sys

    from ledger.errors import LedgerError
    from settings import Settings
    from workers.client import configure_logs
    from workers.embedded import ServerFailed
    from workers.logs import NeverBlocking
    from workers.parts import CannotStart
    from workers.up import Ready, up

    said: dict[str, Any] = {"data_dir": data_dir, "port": port, "smtp_port": smtp_port}
    settings = Settings().model_copy(
        update={name: value for name, value in said.items() if value is not None}
    )
    sink = NeverBlocking(sys.stderr.fileno())
    configure_logs(settings, stream=io.TextIOWrapper(io.BufferedWriter(sink)))

    def announce(ready: Ready) -> None:
        if as_json:
            click.echo(json.dumps({"url": ready.url, "token": ready.token}))
            return
        click.echo(f"\n  Mailroom is ready. Open\n\n    {ready.sign_in}\n\n  Ctrl-C stops it.\n")

    click.echo(f"Starting Mailroom in {settings.data_dir} ...", err=True)
    try:
        up(settings, announce, sink=sink)
    except (CannotStart, LedgerError, ServerFailed) as error:
        raise click.ClickException(str(error)) from error
