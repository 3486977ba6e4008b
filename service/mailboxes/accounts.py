"""`mailboxes.toml`: the accounts that are read, one table each, for people to write.

    [support]
    host = "imap.example.org"
    username = "support@example.org"
    folders = ["INBOX", "Queues/*"]

A password may stand here, or is given to `mailroom mailboxes password`, which seals it. With
`provider` the account is signed in at its authorization server instead.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from routing import folders
from service.mailboxes.errors import BadAccounts

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Security = Literal["tls", "starttls", "none"]
# Folders with these marks (RFC 6154) hold what was never sorted, or all mail once more
SPECIAL = frozenset(
    ["\\All", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash", "\\Noselect"]
)

_MICROSOFT = "https://login.microsoftonline.com/common/oauth2/v2.0"
PROVIDERS: dict[str, dict[str, str]] = {
    "microsoft": {
        "host": "outlook.office365.com",
        "device_url": f"{_MICROSOFT}/devicecode",
        "token_url": f"{_MICROSOFT}/token",
        "scope": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
    },
    "google": {
        "host": "imap.gmail.com",
        "device_url": "https://oauth2.googleapis.com/device/code",
        "token_url": "https://oauth2.googleapis.com/token",
        "scope": "https://mail.google.com/",
    },
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """One mailbox; `folders` are patterns as in a shell, none for all that people sort into."""

    name: str
    host: str
    username: str
    port: int = 993
    security: Security = "tls"
    ca_file: str = ""
    password: str = field(default="", repr=False)
    folders: tuple[str, ...] = ()
    days: int = 90  # of what was there before the first look; 0: only what comes
    poll_seconds: int = 60  # between two looks at folders that the server does not announce
    workspace: str = "default"
    provider: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    device_url: str = ""
    token_url: str = ""
    scope: str = ""

    @property
    def is_authorized(self) -> bool:
        """Whether it signs in with tokens (XOAUTH2) and not with a password."""
        return bool(self.token_url)

    def wants(self, folder: str, flags: Sequence[str] = (), delimiter: str = "/") -> bool:
        """Return whether mail of a folder is read; `/` stands for the server's own delimiter."""
        marks = {flag.casefold() for flag in flags}
        if "\\noselect" in marks or "\\nonexistent" in marks:
            return False
        plain = folder.replace(delimiter, "/") if delimiter else folder
        if self.folders:
            return any(fnmatch.fnmatchcase(plain, pattern) for pattern in self.folders)
        if marks & {flag.casefold() for flag in SPECIAL}:
            return False
        return folders.is_read(plain)

    def described(self) -> dict[str, Any]:
        """Return what people may see of it: no secret."""
        return {
            "host": self.host,
            "port": self.port,
            "security": self.security,
            "username": self.username,
            "folders": list(self.folders),
            "sign_in": "tokens" if self.is_authorized else "password",
        }


def accounts_file(data_dir: Path) -> Path:
    """Return where the file lies."""
    return data_dir.expanduser() / "mailboxes.toml"


def read_accounts(path: Path) -> list[Account]:
    """Return the accounts of the file, none where there is no file; raises BadAccounts."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadAccounts(f"{path.name} cannot be read: {error}") from error
    return [_account(name, table) for name, table in tables.items()]


def find_account(accounts: Sequence[Account], name: str) -> Account:
    """Return the account of that name; raises BadAccounts, naming those there are."""
    for account in accounts:
        if account.name == name:
            return account
    known = ", ".join(account.name for account in accounts) or "none"
    raise BadAccounts(f"There is no mailbox {name!r}; mailboxes.toml has: {known}.")


def _account(name: str, table: Any) -> Account:
    if not NAME.fullmatch(name):
        raise BadAccounts(f"[{name}]: a mailbox's name is letters, digits, dots and hyphens.")
    if not isinstance(table, dict):
        raise BadAccounts(f"{name}: a mailbox is a table, [{name}].")
    values = dict(table)
    provider = values.get("provider", "")
    if provider and provider not in PROVIDERS and "token_url" not in values:
        raise BadAccounts(f"[{name}] provider: {', '.join(PROVIDERS)}, or give a `token_url`.")
    values = {**PROVIDERS.get(provider, {}), **values}
    known = {each.name: each for each in fields(Account) if each.name != "name"}
    for key, value in values.items():
        if key not in known:
            raise BadAccounts(f"[{name}] {key}: no such entry. There are {', '.join(known)}.")
        values[key] = _checked(name, key, value)
    for key in ("host", "username"):
        if not values.get(key):
            raise BadAccounts(f"[{name}] {key} is missing.")
    if values.get("token_url") and not values.get("client_id"):
        raise BadAccounts(f"[{name}] client_id is missing: the application's id at the provider.")
    return Account(name=name, **values)


def _checked(name: str, key: str, value: Any) -> Any:
    """Return a value of the right type; raises BadAccounts with the entry's place."""
    if key == "folders":
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise BadAccounts(f'[{name}] folders: a list of names, like ["INBOX", "Queues/*"].')
    if key in ("port", "days", "poll_seconds"):
        least, most = {"port": (1, 65535), "days": (0, 36_500), "poll_seconds": (1, 86_400)}[key]
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise BadAccounts(f"[{name}] {key}: a whole number from {least} to {most}.")
    if not isinstance(value, str):
        raise BadAccounts(f"[{name}] {key}: a text in quotes.")
    if key == "security" and value not in get_args(Security):
        raise BadAccounts(f"[{name}] security: {', '.join(get_args(Security))}.")
    if key in ("device_url", "token_url") and not _is_safe(value):
        raise BadAccounts(f"[{name}] {key}: an address that begins with https://.")
    return value


def _is_safe(url: str) -> bool:
    """Say whether secrets may go there: over TLS, or to this very machine."""
    return url.startswith(("https://", "http://127.0.0.1:", "http://localhost:"))
