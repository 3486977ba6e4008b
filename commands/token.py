"""`mailroom token`: issue, list and revoke API tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ledger import Ledger, Token

SCOPES = ("read", "write", "admin")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
WORKSPACE = click.option("--workspace", default="default", show_default=True)


@click.group()
def command() -> None:
    """Issue, list and revoke API tokens."""


def _limits(decorated: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each limit of a quota."""
    for period in ("day", "minute"):
        for what in ("bytes", "documents"):
            decorated = click.option(
                f"--{what}-a-{period}",
                type=click.IntRange(0),
                help=f"How many {what} it may hand in a {period}. [no limit]",
            )(decorated)
    return decorated


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=("read", "write"),
    show_default=True,
    help="What the token may do; give it several times for several.",
)
@click.option("--days", type=click.IntRange(1, 36_500), help="How long it is good. [for ever]")
@_limits
@WORKSPACE
@JSON
def issue(
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    workspace: str,
    as_json: bool,
    **limits: int | None,
) -> None:
    """Print a new token called NAME. It cannot be shown again."""
    import json
    from datetime import UTC, datetime, timedelta

    from ledger import Quota, Viewer

    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _ledger() as ledger:
        token, secret = ledger.tokens.issue(
            Viewer(),
            name=name,
            scopes=scopes,
            expires_at=expires_at,
            workspace=workspace,
            quota=Quota(**limits),
        )
    if as_json:
        click.echo(json.dumps({**_summary(token), "token": secret}))
        return
    click.echo(f"{token.id} may {', '.join(sorted(token.scopes))}; shown this once:", err=True)
    click.echo(secret)


@command.command()
@click.argument("token_id")
@_limits
@WORKSPACE
@JSON
def limit(token_id: str, workspace: str, as_json: bool, **limits: int | None) -> None:
    """Limit what the token with the id TOKEN_ID may hand in from now on.

    Without options it has no limits any more.
    """
    import json

    from ledger import Quota, Viewer

    with _ledger() as ledger:
        token = ledger.tokens.limit(token_id, Quota(**limits), Viewer(), workspace=workspace)
    said = f"{token.name}: {_said(_summary(token)['quota'])}"
    click.echo(json.dumps(_summary(token)) if as_json else said)


@command.command("list")
@WORKSPACE
@JSON
def list_tokens(workspace: str, as_json: bool) -> None:
    """List tokens, the expired and revoked ones too."""
    import json

    from ledger import Viewer

    with _ledger() as ledger:
        tokens = [_summary(token) for token in ledger.tokens.list(Viewer(), workspace=workspace)]
    if as_json:
        click.echo(json.dumps({"tokens": tokens}))
        return
    for token in tokens:
        state = "revoked" if token["revoked_at"] else f"used {token['last_used_at'] or 'never'}"
        until = f"until {token['expires_at'] or 'revoked'}"
        click.echo(
            f"{token['id']}  {token['name']}  {','.join(token['scopes'])}  {until}  {state}  "
            f"{_said(token['quota'])}"
        )


@command.command()
@click.argument("token_id")
@WORKSPACE
@JSON
def revoke(token_id: str, workspace: str, as_json: bool) -> None:
    """Make the token with the id TOKEN_ID worthless from now on."""
    import json

    from ledger import Viewer

    with _ledger() as ledger:
        token = ledger.tokens.revoke(token_id, Viewer(), workspace=workspace)
    click.echo(json.dumps(_summary(token)) if as_json else f"{token.name} is revoked")


@contextmanager
def _ledger() -> Iterator[Ledger]:
    from ledger.errors import LedgerError
    from settings import Settings
    from workers.addresses import open_ledger

    ledger = open_ledger(Settings())
    try:
        ledger.migrate()
        yield ledger
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()


def _summary(token: Token) -> dict[str, Any]:
    times = {
        name: None if moment is None else moment.isoformat()
        for name in ("created_at", "expires_at", "last_used_at", "revoked_at")
        for moment in [getattr(token, name)]
    }
    return {
        "id": token.id,
        "workspace": token.workspace,
        "name": token.name,
        "scopes": sorted(token.scopes),
        **times,
        "quota": dict(token.quota.items()),
    }


def _said(quota: dict[str, int | None]) -> str:
    limits = [
        f"{value:,} {name.replace('_', ' ')}" for name, value in quota.items() if value is not None
    ]
    return ", ".join(limits) or "no limits"
