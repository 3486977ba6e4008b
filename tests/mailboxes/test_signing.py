"""Tokens instead of a password: got with a device code, sealed, renewed, and taken by a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Ledger
from service.mailboxes import signing
from service.mailboxes.accounts import Account
from service.mailboxes.connection import connected
from service.mailboxes.errors import AuthorizationFailed, NotSignedIn
from service.mailboxes.reader import Reader
from service.mailboxes.signing import Vault
from tests.connectors.dovecot import running_dovecot
from tests.mailboxes.authorization import Authorization, running_authorization
from tests.mailboxes.conftest import MAIL_BYTES, mail, put, taken

XOAUTH2 = """
auth_mechanisms = plain login xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {file}
}}
"""


@pytest.fixture
def authorization() -> Iterator[Authorization]:
    """An authorization server."""
    with running_authorization("anna") as server:
        yield server


@pytest.fixture
def account(authorization: Authorization) -> Account:
    """An account that signs in there."""
    return Account(
        name="support",
        host="127.0.0.1",
        username="anna",
        security="none",
        client_id="mailroom-test",
        device_url=f"{authorization.url}/device",
        token_url=f"{authorization.url}/token",
        scope="imap",
    )


@pytest.fixture
def vault(ledger: Ledger) -> Vault:
    """Where its tokens go."""
    return Vault(ledger, "the installation's key")


def signed_in(account: Account, authorization: Authorization, vault: Vault) -> list[float]:
    """Sign in as a person does who is slow at it; return the pauses between two questions."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        authorization.approved = len(pauses) > 3

    signing.finish(account, signing.begin(account), vault, sleep=sleep)
    return pauses


def test_waits_for_the_person_and_slows_down_when_told(
    account: Account, authorization: Authorization, vault: Vault
) -> None:
    """A provider bars an application that asks too often."""
    pauses = signed_in(account, authorization, vault)
    assert pauses == sorted(pauses)
    assert pauses[-1] >= pauses[0] + 5
    assert vault.access_token(account) in authorization.tokens


def test_tokens_lie_sealed_in_the_ledger(
    account: Account, authorization: Authorization, vault: Vault, tmp_path: Path
) -> None:
    """Who reads a backup must not be able to read the mailbox."""
    signed_in(account, authorization, vault)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
        everything = "\n".join(connection.iterdump())
    connection.close()
    assert "support" in everything
    assert not any(token in everything for token in ("access-1", "refresh-1"))


def test_another_installation_cannot_open_them(
    account: Account, authorization: Authorization, vault: Vault, ledger: Ledger
) -> None:
    """A ledger restored elsewhere says so, and asks to sign in again."""
    signed_in(account, authorization, vault)
    with pytest.raises(NotSignedIn):
        Vault(ledger, "another key").access_token(account)


def test_a_token_is_renewed_before_it_ends(
    account: Account, authorization: Authorization, vault: Vault
) -> None:
    """Tokens live an hour: without it the mailbox would be read for an hour."""
    authorization.seconds = 60
    signed_in(account, authorization, vault)
    tokens = [vault.access_token(account) for _ in range(3)]
    assert len(set(tokens)) == 3  # each renewal with the rotated refresh token
    authorization.revoked = True
    with pytest.raises(NotSignedIn, match="sign-in support"):
        vault.access_token(account)


def test_a_refusal_is_final(account: Account, authorization: Authorization, vault: Vault) -> None:
    """Asking on after a refusal would never end."""
    code = signing.begin(account)
    with pytest.raises(AuthorizationFailed, match="invalid_client"):
        signing.finish(
            Account(**{**vars(account), "client_id": "unknown"}), code, vault, sleep=lambda _: None
        )


def test_a_mail_server_takes_the_token(
    account: Account, authorization: Authorization, vault: Vault, ledger: Ledger, tmp_path: Path
) -> None:
    """XOAUTH2 by a real server: what the large providers want in place of a password."""
    file = tmp_path / "oauth2.conf"
    file.write_text(
        f"introspection_url = {authorization.url}/introspect?token=\n"
        "introspection_mode = get\nusername_attribute = username\n"
        "active_attribute = active\nactive_value = true\n"
    )
    file.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with running_dovecot(XOAUTH2.format(file=file)) as server:
        put(server, "anna", mail("by token"))
        signed_in(account, authorization, vault)
        account = Account(**{**vars(account), "port": server.port})
        token = vault.access_token(account)
        with connected(account, token=token, mail_bytes=MAIL_BYTES) as connection:
            Reader(account, ledger, mail_bytes=MAIL_BYTES, hops=50).read(connection)
    assert [document.name for document in taken(ledger)] == ["by token"]
