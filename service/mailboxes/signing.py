"""Signing in at an authorization server with a device code, and renewing the tokens it gave.

OAuth 2.0 Device Authorization Grant (RFC 8628): a person opens an address in any browser and types
a short code; nothing listens here, and no password passes through. Tokens are sealed with a key of
this installation before the ledger keeps them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.fernet import Fernet, InvalidToken

from ledger import Ledger, Viewer
from service.mailboxes.accounts import Account
from service.mailboxes.errors import (
    AuthorizationFailed,
    AuthorizationUnreachable,
    NotSignedIn,
)

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SECONDS = 20.0  # of one request
EARLY_SECONDS = 120.0  # before a token ends it is renewed
_MOST_BYTES = 200_000


@dataclass(frozen=True)
class Code:
    """What a person does to sign in: open the address, type the code."""

    address: str
    code: str
    seconds: float
    device_code: str
    interval: float


class Vault:
    """Each account's password or tokens, sealed; `key` is the installation's secret."""

    def __init__(self, ledger: Ledger, key: str) -> None:
        self._ledger = ledger
        digest = hashlib.sha256(b"mailroom mailbox\0" + key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def keep(self, account: Account, secret: dict[str, Any]) -> None:
        """Keep an account's secret in place of the one before."""
        sealed = self._fernet.encrypt(json.dumps(secret).encode()).decode()
        self._ledger.mailboxes.keep_secret(account.name, sealed, keeper(account))

    def find(self, account: Account) -> dict[str, Any]:
        """Return what was kept, empty where nothing was; raises NotSignedIn when it is no use."""
        sealed = self._ledger.mailboxes.secret(account.name, keeper(account))
        if sealed is None:
            return {}
        try:
            found: dict[str, Any] = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken as error:
            raise NotSignedIn(
                "What was kept to sign in with cannot be opened with this installation's key. "
                "Sign in again."
            ) from error
        return found

    def password(self, account: Account) -> str:
        """Return the account's password; raises NotSignedIn."""
        password = account.password or str(self.find(account).get("password", ""))
        if not password:
            raise NotSignedIn(f"No password: run `mailroom mailboxes password {account.name}`.")
        return password

    def access_token(self, account: Account) -> str:
        """Return a token that is good now, renewing it where it is not.

        Raises NotSignedIn when it can no longer be renewed, AuthorizationUnreachable when it
        could not be just now.
        """
        kept = self.find(account)
        if kept.get("expires_at", 0) > time.time() + EARLY_SECONDS:
            return str(kept["access_token"])
        if not kept.get("refresh_token"):
            raise NotSignedIn(f"Not signed in: run `mailroom mailboxes sign-in {account.name}`.")
        wanted = {"grant_type": "refresh_token", "refresh_token": kept["refresh_token"]}
        status, said = _post(account.token_url, account, wanted)
        if status != 200:
            if status >= 500 or status == 429:
                raise AuthorizationUnreachable(f"{_host(account.token_url)} answered {status}.")
            raise NotSignedIn(
                f"The sign-in has ended ({_reason(said, status)}): run "
                f"`mailroom mailboxes sign-in {account.name}`."
            )
        tokens = _tokens(said, kept)
        self.keep(account, tokens)
        return str(tokens["access_token"])


def begin(account: Account) -> Code:
    """Ask for a code to sign in with; raises AuthorizationFailed, AuthorizationUnreachable."""
    status, said = _post(account.device_url, account, {"scope": account.scope})
    address = said.get("verification_uri") or said.get("verification_url")
    if status != 200 or not address or not said.get("device_code"):
        raise AuthorizationFailed(
            f"{_host(account.device_url)} gives no code ({_reason(said, status)})."
        )
    return Code(
        address=str(address),
        code=str(said.get("user_code", "")),
        seconds=_number(said.get("expires_in"), 900.0),
        device_code=str(said["device_code"]),
        interval=_number(said.get("interval"), 5.0),
    )


def finish(
    account: Account, code: Code, vault: Vault, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until the person has signed in, and keep the tokens; raises AuthorizationFailed."""
    until, interval = time.monotonic() + code.seconds, code.interval
    wanted = {"grant_type": GRANT, "device_code": code.device_code}
    while time.monotonic() < until:
        sleep(interval)
        try:
            status, said = _post(account.token_url, account, wanted)
        except AuthorizationUnreachable:
            interval *= 2  # RFC 8628, 3.5: slower when it does not answer
            continue
        if status == 200:
            tokens = _tokens(said, {})
            if not tokens.get("refresh_token"):
                raise AuthorizationFailed("The server gave no token to renew the sign-in with.")
            vault.keep(account, tokens)
            return
        reason = said.get("error")
        if reason == "slow_down":
            interval += 5
        elif reason != "authorization_pending":
            raise AuthorizationFailed(f"Not signed in ({_reason(said, status)}).")
    raise AuthorizationFailed("Nobody signed in while the code was good.")


def keeper(account: Account) -> Viewer:
    """Return who reads an account: it may see and change its own workspace's mailboxes only."""
    return Viewer(workspace=account.workspace, actor=f"mailbox {account.name}")


def _post(url: str, account: Account, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    form = {"client_id": account.client_id, **form}
    if account.client_secret:
        form["client_secret"] = account.client_secret
    try:
        with (
            httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, data=form) as answer,
        ):
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _MOST_BYTES:
                    break
            status = answer.status_code
    except httpx.HTTPError as error:
        raise AuthorizationUnreachable(
            f"{_host(url)} did not answer ({type(error).__name__})."
        ) from error
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    return status, said if isinstance(said, dict) else {}


def _tokens(said: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    if not said.get("access_token"):
        raise AuthorizationFailed("The server's answer holds no token.")
    return {
        "access_token": str(said["access_token"]),
        "refresh_token": said.get("refresh_token") or before.get("refresh_token"),
        "expires_at": time.time() + _number(said.get("expires_in"), 3600.0),
    }


def _number(value: Any, usual: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return usual


def _reason(said: dict[str, Any], status: int) -> str:
    words = " ".join(str(said.get("error") or f"status {status}").split())
    return words[:100]


def _host(url: str) -> str:
    return httpx.URL(url).host
