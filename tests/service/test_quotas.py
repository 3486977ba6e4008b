"""Quotas at the doors: a clear 429 with the time to wait, seen and set where people look."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ledger import Ledger, Quota, Token, Viewer
from tests.service.conftest import Person

TEXT = {"text": "Where is my order?", "kind": "ticket"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client without a token of its own."""
    return app.test_client()


def bearer(
    ledger: Ledger, scopes: tuple[str, ...] = ("read", "write"), **limits: int
) -> tuple[Token, dict[str, str]]:
    """Return a new token and the header that shows it."""
    token, secret = ledger.tokens.issue(Viewer(), name="shop", scopes=scopes, quota=Quota(**limits))
    return token, {"Authorization": f"Bearer {secret}"}


def test_every_door_of_the_api_keeps_to_the_quota(client: FlaskClient, ledger: Ledger) -> None:
    """Documents, batches and raw mail are counted together."""
    _, headers = bearer(ledger, documents_a_day=1)
    assert client.post("/api/v1/documents", json=TEXT, headers=headers).status_code == 202

    form = {"kind": "ticket", "file": (io.BytesIO(b"text\nhello\n"), "rows.csv")}
    refused = [
        client.post("/api/v1/documents", json=TEXT, headers=headers),
        client.post("/api/v1/batches", data=form, headers=headers),
        client.post("/api/v1/inbound/raw", data=b"Subject: a\n\nb", headers=headers),
    ]

    assert [answer.status_code for answer in refused] == [429] * 3
    assert {answer.json["code"] for answer in refused} == {"quota_exceeded"}  # type: ignore[index]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    seen = client.get("/api/v1/quota", headers=headers).json
    assert seen is not None
    assert seen["documents_a_day"] == 1
    assert [(use["period"], use["documents"]) for use in seen["uses"]] == [("day", 1)]


def test_an_admin_sets_a_quota_over_the_api(client: FlaskClient, ledger: Ledger) -> None:
    """Others cannot raise their own."""
    token, own = bearer(ledger, documents_a_minute=0)
    path = f"/api/v1/tokens/{token.id}/quota"
    assert client.put(path, json={}, headers=own).status_code == 403
    _, admin = bearer(ledger, ("admin",))
    assert client.put(path, json={"documents_a_day": -1}, headers=admin).status_code == 422
    answer = client.put(path, json={"bytes_a_day": 1000}, headers=admin)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert answer.json["bytes_a_day"] == 1000
    assert answer.json["documents_a_minute"] is None
    assert client.post("/api/v1/documents", json=TEXT, headers=own).status_code == 202
    assert client.put("/api/v1/tokens/x/quota", json={}, headers=admin).status_code == 404


def test_the_page_sets_limits_and_shows_what_was_used(person: Person, ledger: Ledger) -> None:
    """An administrator sees at a glance whose quota is used up, and changes it there."""
    answer = person.post(
        "/tokens", name="shop", scopes="write", days="30", documents_a_day="3", bytes_a_day=""
    )
    assert answer.status_code == 201
    (token,) = [each for each in ledger.tokens.list(Viewer()) if each.name == "shop"]
    assert token.quota == Quota(documents_a_day=3)
    assert "0 of 3 documents this day" in person.client.get("/tokens").text

    changed = person.post(f"/tokens/{token.id}/quota", bytes_a_minute="1000")
    assert changed.status_code == 303
    assert "0 of 1,000 bytes this minute" in person.client.get("/tokens").text
    assert person.post(f"/tokens/{token.id}/quota", bytes_a_minute="many").status_code == 422
