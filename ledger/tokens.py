"""API tokens: scoped, expiring, revocable; only a hash of each is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from ledger import audit
from ledger.columns import SECOND, clean, new_id, to_datetime, to_microseconds
from ledger.database import Database
from ledger.errors import InvalidToken, LedgerBusy, StorageFull
from ledger.quota import Quota
from ledger.schema import tokens
from ledger.shelf import Shelf
from ledger.viewer import SCOPES, Viewer, visible

SHELF = Shelf(tokens, "token")
PREFIX = "mr_"
SECRET_BYTES = 32
LIMITS = tuple(name for name, _ in Quota().items())
USED_SECONDS = 60  # `last_used_at` is as exact as this: a request is not a write
_HASHED = select(tokens).where(tokens.c.hash == bindparam("hashed"))
LONGEST = 200  # characters of what is worth hashing


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is known of a token; the secret is not."""

    id: str
    workspace: str
    name: str
    scopes: frozenset[str]
    actor: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    quota: Quota


class Tokens:
    """Issues, checks and revokes tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(
        self,
        viewer: Viewer,
        *,
        name: str,
        scopes: Iterable[str],
        expires_at: datetime | None = None,
        workspace: str | None = None,
        quota: Quota | None = None,
    ) -> tuple[Token, str]:
        """Return a new token and its secret, which cannot be seen again.

        Needs the scope `admin`; for another workspace than the viewer's own, the one of the
        default workspace. Raises ValueError for a scope there is not.
        """
        viewer.require("admin")
        workspace = viewer.workspace if workspace is None else clean(workspace)
        if workspace != viewer.workspace:
            viewer.require_operator()
        wanted = frozenset(scopes)
        if not wanted or not wanted <= SCOPES:
            raise ValueError(f"scopes are some of {', '.join(sorted(SCOPES))}")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = self._database.now()
        row: dict[str, Any] = {
            "id": new_id(),
            "workspace": workspace,
            "name": clean(name),
            "hash": _hash(secret),
            "scopes": sorted(wanted),
            "actor": clean(viewer.actor),
            "created_at": to_datetime(now),
            "expires_at": expires_at,
            "last_used_at": None,
            "revoked_at": None,
            **dict((quota or Quota()).items()),
        }
        with self._database.writing() as connection:
            connection.execute(insert(tokens), row)
            detail = {"token": row["id"], "workspace": workspace, "scopes": row["scopes"]}
            audit.record(connection, now, viewer, "token issued", detail=detail)
        return _token(row), secret

    def verify(self, secret: str) -> Viewer:
        """Return who the secret stands for; raises InvalidToken and does not say why."""
        if not isinstance(secret, str) or not secret.startswith(PREFIX) or len(secret) > LONGEST:
            raise InvalidToken("this token is not valid")
        hashed = _hash(secret)
        with self._database.reading() as connection:
            row = connection.execute(_HASHED, {"hashed": hashed}).one_or_none()
        now = self._database.now()
        if (
            row is None
            or not hmac.compare_digest(row.hash, hashed)
            or row.revoked_at is not None
            or (row.expires_at is not None and to_microseconds(row.expires_at) <= now)
        ):
            raise InvalidToken("this token is not valid")
        self._note_use(row, now)
        quota = Quota(**{name: getattr(row, name) for name in LIMITS}) or None
        return Viewer(row.workspace, f"token:{row.name}", frozenset(row.scopes), row.id, quota)

    def list(self, viewer: Viewer, *, workspace: str | None = None) -> list[Token]:
        """Return the workspace's tokens, newest first, the revoked and expired ones too."""
        viewer = self._of_workspace(viewer, workspace)
        query = select(tokens).where(visible(tokens, viewer)).order_by(tokens.c.id.desc())
        with self._database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query)]

    def revoke(self, token_id: str, viewer: Viewer, *, workspace: str | None = None) -> Token:
        """Make the token worthless from now on; twice is once. Raises NotFound."""
        viewer = self._of_workspace(viewer, workspace)
        now = self._database.now()
        mine = SHELF.one(token_id, viewer)
        with self._database.writing() as connection:
            revoked = connection.execute(
                update(tokens)
                .where(mine, tokens.c.revoked_at.is_(None))
                .values(revoked_at=to_datetime(now))
            )
            row = SHELF.find(connection, token_id, viewer)
            if revoked.rowcount:
                audit.record(connection, now, viewer, "token revoked", detail={"token": token_id})
        return _from_row(row)

    def limit(
        self, token_id: str, quota: Quota, viewer: Viewer, *, workspace: str | None = None
    ) -> Token:
        """Give a token another quota from now on; what it used already stays counted."""
        viewer = self._of_workspace(viewer, workspace)
        mine = SHELF.one(token_id, viewer)
        limits = dict(quota.items())
        with self._database.writing() as connection:
            connection.execute(update(tokens).where(mine).values(limits))
            row = SHELF.find(connection, token_id, viewer)
            detail = {"token": token_id, **limits}
            audit.record(connection, self._database.now(), viewer, "token limited", detail=detail)
        return _from_row(row)

    def _of_workspace(self, viewer: Viewer, workspace: str | None) -> Viewer:
        viewer.require("admin")
        if workspace is None or workspace == viewer.workspace:
            return viewer
        viewer.require_operator()
        return Viewer(workspace, viewer.actor, viewer.scopes)

    def _note_use(self, row: Row[Any], now: int) -> None:
        used = row.last_used_at
        if used is not None and now - to_microseconds(used) < USED_SECONDS * SECOND:
            return
        try:
            with self._database.writing() as connection:
                connection.execute(
                    update(tokens)
                    .where(tokens.c.id == row.id)
                    .values(last_used_at=to_datetime(now))
                )
        except (StorageFull, LedgerBusy):
            return  # a full disk must not lock people out of what they can still read


def _hash(secret: str) -> str:
    # 256 random bits: nothing to stretch, nothing to salt
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _from_row(row: Row[Any]) -> Token:
    return _token(dict(row._mapping))


def _token(values: dict[str, Any]) -> Token:
    quota = Quota(**{name: values[name] for name in LIMITS})
    kept = {name: value for name, value in values.items() if name not in (*LIMITS, "hash")}
    return Token(**kept | {"scopes": frozenset(values["scopes"]), "quota": quota})
