"""`mailroom mailboxes`: read mail where it lies, over IMAP, and change nothing there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ledger import Ledger
    from service.mailboxes.accounts import Account
    from settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def command() -> None:
    """Read mailboxes over IMAP; nothing in them is changed.

    The accounts stand in mailboxes.toml in the data folder, a table each.
    """


@command.command()
@JSON
def run(as_json: bool) -> None:
    """Read every account until stopped; `mailroom up` does this where there are accounts."""
    import json

    from service.mailboxes import running
    from workers.client import configure_logs

    def ready() -> None:
        if as_json:
            click.echo(json.dumps({"ready": True}))

    with _opened() as (settings, ledger):
        configure_logs(log_format=settings.log_format, log_level=settings.log_level)
        running.run(settings, ledger, ready=ready)


@command.command("list")
@JSON
def list_accounts(as_json: bool) -> None:
    """Say how each account is doing."""
    import json
    from dataclasses import asdict

    from ledger import Viewer
    from service.mailboxes import running

    with _opened() as (settings, ledger):
        known = {box.account: box for box in ledger.mailboxes.list(Viewer())}
        rows: list[dict[str, Any]] = []
        for account in running.accounts_of(settings):
            box = known.get(account.name)
            row = {"account": account.name, **account.described(), "state": "configured"}
            if box is not None:
                told = {"state": box.state, "detail": box.detail, "aside": box.aside}
                row |= told | {"folders": [asdict(folder) for folder in box.folders]}
            rows.append(row)
    if as_json:
        click.echo(json.dumps({"mailboxes": rows}, default=str))
        return
    for row in rows:
        why = f": {row['detail']['message']}" if row.get("detail") else ""
        click.echo(f"{row['account']}  {row['username']}@{row['host']}  {row['state']}{why}")
    if not rows:
        click.echo("There are no accounts: write them into mailboxes.toml in the data folder.")


@command.command()
@click.argument("name")
@JSON
def check(name: str, as_json: bool) -> None:
    """Sign in to the account NAME and say which folders would be read."""
    import json

    from service.mailboxes import running

    with _opened() as (settings, ledger):
        account = _find(settings, name)
        with running.signed_in(settings, account, ledger) as connection:
            folders = connection.folders(account)
            idles = connection.can_idle
    if as_json:
        click.echo(json.dumps({"account": name, "folders": folders, "idle": idles}))
        return
    click.echo(f"{name}: signed in; {len(folders)} folders are read:")
    for folder in folders:
        click.echo(f"  {folder}")


@command.command()
@click.argument("name")
@click.password_option(help="Asked for where it is not given.")
def password(name: str, password: str) -> None:
    """Keep the password of the account NAME, sealed with this installation's key."""
    from service.mailboxes import running

    with _opened() as (settings, ledger):
        account = _find(settings, name)
        running.make_vault(settings, ledger).keep(account, {"password": password})
    click.echo(f"Kept for {name}.")


@command.command("sign-in")
@click.argument("name")
def sign_in(name: str) -> None:
    """Sign the account NAME in at its provider: open an address, type a code."""
    from service.mailboxes import running, signing

    with _opened() as (settings, ledger):
        account = _find(settings, name)
        if not account.is_authorized:
            raise click.ClickException(f"[{name}] has no `provider`: it signs in by password.")
        code = signing.begin(account)
        click.echo(f"Open {code.address} and type {code.code}")
        signing.finish(account, code, running.make_vault(settings, ledger))
    click.echo(f"{name} is signed in.")


@command.command()
@click.argument("name")
def forget(name: str) -> None:
    """Forget the account NAME: its secret and how far it was read. Its documents stay."""
    from ledger import Viewer

    with _opened() as (_, ledger):
        ledger.mailboxes.remove(name, Viewer())
    click.echo(f"{name} is forgotten. Take it out of mailboxes.toml too.")


@contextmanager
def _opened() -> Iterator[tuple[Settings, Ledger]]:
    from ledger.errors import LedgerError
    from service.mailboxes.errors import MailboxError
    from settings import Settings
    from workers.client import open_ledger

    settings = Settings()
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        yield settings, ledger
    except (LedgerError, MailboxError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        ledger.close()


def _find(settings: Settings, name: str) -> Account:
    from service.mailboxes import accounts, running

    return accounts.find_account(running.accounts_of(settings), name)
