"""Tokens: known by their hash, good for what they say, until they are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from ledger import Ledger, Viewer
from ledger.errors import Forbidden, InvalidToken, NotFound
from ledger.schema import metadata, tokens
from tests.ledger.conftest import Clock


def test_a_token_stands_for_its_viewer(ledger: Ledger, viewer: Viewer) -> None:
    """Who shows the secret gets the token's workspace and scopes, no more."""
    token, secret = ledger.tokens.issue(viewer, name="laptop", scopes=["read", "write"])

    assert ledger.tokens.verify(secret) == Viewer(
        "ours", "token:laptop", frozenset({"read", "write"})
    )
    assert token in [
        known.__class__(**vars(known) | {"last_used_at": None})
        for known in ledger.tokens.list(viewer)
    ]


def test_only_a_hash_is_kept(ledger: Ledger, viewer: Viewer) -> None:
    """Who reads the database cannot act with what they find in it."""
    _, secret = ledger.tokens.issue(viewer, name="laptop", scopes=["read"])
    assert secret.startswith("mr_")
    assert len(secret) >= 3 + 128 / 6
    with ledger.database.reading() as connection:
        for table in metadata.tables.values():
            assert secret[3:] not in repr(connection.execute(select(table)).all())
        kept = connection.execute(select(tokens.c.hash)).scalar_one()
    with pytest.raises(InvalidToken):
        ledger.tokens.verify(kept)
    assert secret not in repr(ledger.audit.list(viewer))


def test_secrets_differ(ledger: Ledger, viewer: Viewer) -> None:
    """No two tokens share a secret."""
    secrets = {ledger.tokens.issue(viewer, name="x", scopes=["read"])[1] for _ in range(20)}
    assert len(secrets) == 20


@pytest.mark.parametrize(
    "secret", ["", "mr_", "x", "mr_" + "a" * 43, "mr_\x00", "mr_\ud800", "mr_" + "a" * 10**6, None]
)
def test_what_is_no_token(ledger: Ledger, secret: str) -> None:
    """Anything at all in a header is refused, and never a fault of ours."""
    with pytest.raises(InvalidToken):
        ledger.tokens.verify(secret)


def test_expiry_is_enforced(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """A token is good until its last second and not in it."""
    expires_at = datetime.fromtimestamp(clock.seconds, UTC) + timedelta(hours=1)
    _, secret = ledger.tokens.issue(viewer, name="x", scopes=["read"], expires_at=expires_at)
    clock.seconds += 3599
    ledger.tokens.verify(secret)
    clock.seconds += 1
    with pytest.raises(InvalidToken):
        ledger.tokens.verify(secret)


def test_revoking_is_at_once(ledger: Ledger, viewer: Viewer) -> None:
    """The next request with a revoked token fails."""
    token, secret = ledger.tokens.issue(viewer, name="x", scopes=["read"])
    ledger.tokens.verify(secret)
    assert ledger.tokens.revoke(token.id, viewer).revoked_at is not None
    with pytest.raises(InvalidToken):
        ledger.tokens.verify(secret)
    first = ledger.tokens.revoke(token.id, viewer).revoked_at
    assert ledger.tokens.revoke(token.id, viewer).revoked_at == first
    for unknown in ("x", "\x00", "01a20510-9968-70ef-8ecd-c970a3a552f6"):
        with pytest.raises(NotFound):
            ledger.tokens.revoke(unknown, viewer)


def test_last_use_is_noted_but_not_each(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """One sees which tokens are in use; a read request is not a write to the database."""

    def last_used() -> datetime | None:
        return ledger.tokens.list(viewer)[0].last_used_at

    _, secret = ledger.tokens.issue(viewer, name="x", scopes=["read"])
    assert last_used() is None
    ledger.tokens.verify(secret)
    first = last_used()
    clock.seconds += 30
    ledger.tokens.verify(secret)
    assert last_used() == first
    clock.seconds += 31
    ledger.tokens.verify(secret)
    assert last_used() == datetime.fromtimestamp(clock.seconds, UTC)


def test_who_may_issue(ledger: Ledger) -> None:
    """Admins for their workspace; for another's, the default workspace's admin alone."""
    user = Viewer("ours", "u", frozenset({"read", "write"}))
    admin = Viewer("ours", "a", frozenset({"admin"}))
    with pytest.raises(Forbidden):
        ledger.tokens.issue(user, name="x", scopes=["read"])
    with pytest.raises(Forbidden):
        ledger.tokens.issue(admin, name="x", scopes=["read"], workspace="theirs")
    with pytest.raises(Forbidden):
        ledger.tokens.list(admin, workspace="theirs")
    for scopes in ([], ["everything"], ["read", "Admin"]):
        with pytest.raises(ValueError, match="scopes"):
            ledger.tokens.issue(admin, name="x", scopes=scopes)

    _, secret = ledger.tokens.issue(Viewer(), name="x", scopes=["read"], workspace="theirs")
    assert ledger.tokens.verify(secret).workspace == "theirs"
    assert ledger.audit.list(Viewer())[0].action == "token issued"
