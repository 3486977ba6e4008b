"""`mailroom web`: the pages and the API."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", help="Address to listen on.  [default: MAILROOM_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object once it listens.")
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Serve the pages and the API until told to stop."""
    import json
    import os

    from service.server import serve
    from settings import Settings
    from workers.client import NoAddress, configure_logs

    settings = Settings()
    chosen = {name: said for name, said in (("host", host), ("port", port)) if said is not None}
    settings = settings.model_copy(update=chosen)
    configure_logs(log_format=settings.log_format, log_level=settings.log_level)

    def ready(listening_host: str, listening_port: int) -> None:
        if as_json:
            click.echo(json.dumps({"host": listening_host, "port": listening_port}))

    try:
        serve(settings, ready=ready)
    except NoAddress as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = os.strerror(error.errno) if error.errno else str(error)
        sentence = f"Cannot listen on {where}: {reason}."
        raise click.ClickException(sentence) from error
