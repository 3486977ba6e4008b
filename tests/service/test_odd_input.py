"""Values that databases, paths and headers choke on: refused or taken, and never a 500."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from pydantic import SecretStr

from ledger import Ledger, Viewer
from service.app import create_app
from settings import Settings

ODD = [
    "\x00",
    "a\x00b",
    "\ud800",
    "%00",
    "' OR 1=1--",
    '"',
    "\\",
    "%_",
    "🛏",
    "x" * 240,
    "\u202e",
    "../..",
    "\r\nX: y",
    "NaN",
]
FILTERS = ("kind", "name", "source", "parent_id", "after", "state", "limit", "needs_review")
PAGE_FILTERS = ("kind", "name", "source", "after", "state", "needs_review", "seen")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def app(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Flask]:
    """The application on each database."""
    if request.param == "postgresql":
        new_database: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
        settings = settings.model_copy(update={"database_url": SecretStr(new_database())})
    app = create_app(settings)
    ledger: Ledger = app.extensions["mailroom"].ledger
    ledger.migrate()
    yield app
    ledger.close()


def test_odd_values_are_no_fault_of_ours(app: Flask) -> None:
    """Whatever stands in an address, a form or a body, the answer is not a 500."""
    ledger: Ledger = app.extensions["mailroom"].ledger
    secret = ledger.tokens.issue(Viewer(), name="x", scopes={"admin"})[1]
    headers = {"Authorization": f"Bearer {secret}"}
    program, person = app.test_client(use_cookies=False), app.test_client()
    assert person.get(f"/sign-in?token={secret}").status_code == 303
    faults: list[tuple[str, str, int]] = []

    def ask(client, path: str, value: str, **request) -> None:  # type: ignore[no-untyped-def]
        method = "POST" if request else "GET"
        kept = headers if client is program else {}
        status = client.open(path, method=method, headers=kept, **request).status_code
        if status >= 500:
            faults.append((path, value, status))

    for value in ODD:
        word = quote(value.encode("utf-8", "surrogatepass"), safe="")
        for name in FILTERS:
            ask(program, f"/api/v1/documents?{name}={word}", value)
        for name in PAGE_FILTERS:
            ask(person, f"/documents?{name}={word}", value)
            ask(person, f"/documents/list?{name}={word}", value)
        for path in ("", "/text", "/original"):
            ask(program, f"/api/v1/documents/{word}{path}", value)
            ask(person, f"/documents/{word}{path}", value)
        for body in ({"text": value, "name": value}, {"text": "x", "kind": value}):
            ask(program, "/api/v1/documents", value, json=body)
        ask(program, f"/api/v1/inbound/raw?name={word}", value, data=b"x")
        ask(person, f"/sign-in?token={word}&next={word}", value)
        ask(person, f"/{word}", value)
        ask(person, f"/static/{word}", value)
    assert faults == []
