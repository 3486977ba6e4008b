"""`mailroom gateway`: take mail over SMTP."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", help="Address to listen on.  [default: MAILROOM_SMTP_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object once mail is taken.")
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Take mail over SMTP and keep it; "250" is said after the commit.

    Mail is taken for MAILROOM_SMTP_RECIPIENTS and never passed on.
    """
    import json

    from service import gateway
    from settings import Settings
    from workers.client import configure_logs

    settings = Settings()
    configure_logs(log_format=settings.log_format, log_level=settings.log_level)

    def ready(listening_host: str, listening_port: int) -> None:
        if as_json:
            click.echo(json.dumps({"host": listening_host, "port": listening_port}))

    where = (host or settings.smtp_host, settings.smtp_port if port is None else port)
    try:
        gateway.run(settings, host=where[0], port=where[1], ready=ready)
    except gateway.NotReady as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        sentence = f"Cannot listen on {where[0]}:{where[1]}: {error.strerror or error}."
        raise click.ClickException(sentence) from error
