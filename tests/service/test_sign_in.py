"""Signing in and staying safe: tokens, sessions, marks of our own pages, host names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from ledger import Ledger, Viewer
from service import access
from service.app import create_app
from service.parts import Parts
from settings import Settings
from tests.service.conftest import Api, Issue, Person

GUARDED = ["/", "/documents", "/documents/list", "/documents/x", "/status", "/tokens"]


def cookie_of(app: Flask, answer) -> str:  # type: ignore[no-untyped-def]
    """Return the Set-Cookie header of the session."""
    (cookie,) = [
        value for value in answer.headers.getlist("Set-Cookie") if value.startswith("mailroom")
    ]
    return str(cookie)


@pytest.mark.parametrize("path", GUARDED)
def test_pages_send_a_stranger_to_sign_in(app: Flask, path: str) -> None:
    """Nothing of anybody's documents is shown to who is not signed in."""
    answer = app.test_client().get(path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer é"])
def test_the_api_wants_a_token(app: Flask, method: str, header: str) -> None:
    """401 with the way in; a cookie is not one, so no other site's page can use it."""
    headers = {"Authorization": header} if header else {}
    answer = app.test_client().open("/api/v1/documents", method=method, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["code"] in ("missing_token", "invalid_token")


def test_a_session_does_not_open_the_api(person: Person) -> None:
    """Were a cookie enough, every form on the web could post documents."""
    assert person.client.get("/api/v1/documents").status_code == 401


def test_the_link_signs_in_and_leaves_no_token(app: Flask, issue: Issue) -> None:
    """The token is neither in the next address nor readable in the cookie."""
    client, secret = app.test_client(), issue()
    answer = client.get(f"/sign-in?token={secret}&next=/documents?state=failed")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/documents?state=failed")
    cookie = cookie_of(app, answer)
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert secret not in cookie
    with client.session_transaction() as session:
        assert secret not in str(dict(session))
    assert client.get("/").status_code == 200


def test_a_wrong_token_is_401_and_starts_nothing(app: Flask) -> None:
    """The form comes back and says so."""
    client = app.test_client()
    answer = client.get("/sign-in?token=mr_wrong")
    assert answer.status_code == 401
    assert "not valid" in answer.text
    assert "mr_wrong" not in answer.text
    assert client.get("/").status_code == 303


def test_the_form_signs_in(app: Flask, issue: Issue) -> None:
    """Who has the token only as words can type it."""
    person = Person(app)
    mark = person.mark("/sign-in")
    answer = person.client.post("/sign-in", data={"csrf_token": mark, "token": f" {issue()} "})
    assert answer.status_code == 303
    assert person.client.get("/").status_code == 200


def test_the_form_wants_its_mark(app: Flask, issue: Issue) -> None:
    """Another site must not be able to sign a person in as somebody else."""
    answer = app.test_client().post("/sign-in", data={"token": issue()})
    assert answer.status_code == 403


def test_a_link_on_another_site_asks_first(app: Flask, issue: Issue) -> None:
    """A followed link signs nobody in before they said so."""
    client = app.test_client()
    answer = client.get(f"/sign-in?token={issue()}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert client.get("/").status_code == 303


def test_a_session_that_was_prepared_is_not_taken_over(app: Flask, issue: Issue) -> None:
    """Session fixation: what somebody put into the cookie before is gone after signing in."""
    person = Person(app)
    before = person.mark("/sign-in")
    with person.client.session_transaction() as session:
        session["planted"] = "yes"
    person.sign_in(issue())
    with person.client.session_transaction() as session:
        assert "planted" not in session
        assert session["csrf"] != before


def test_revoking_a_token_ends_its_sessions(person: Person, ledger: Ledger) -> None:
    """A lost token is worth nothing from the moment it is revoked, in any browser."""
    (token,) = ledger.tokens.list(Viewer())
    ledger.tokens.revoke(token.id, Viewer())
    assert person.client.get("/").status_code == 303
    with person.client.session_transaction() as session:
        assert "token" not in session


def test_signing_out_ends_the_session(person: Person) -> None:
    """The cookie that stays behind opens nothing."""
    assert person.post("/sign-out").status_code == 303
    assert person.client.get("/").status_code == 303


def test_a_forged_cookie_opens_nothing(app: Flask, settings: Settings, tmp_path: Path) -> None:
    """A session signed with another key is no session."""
    forged = create_app(settings.model_copy(update={"data_dir": tmp_path / "other"}))
    client = forged.test_client()
    with client.session_transaction() as session:
        session["token"], session["csrf"] = "x", "y"
    cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie
    victim = app.test_client()
    victim.set_cookie(app.config["SESSION_COOKIE_NAME"], cookie.value)
    assert victim.get("/").status_code == 303
    forged.extensions["mailroom"].ledger.close()


CHANGES = [
    "/documents",
    "/samples/hotel-review.txt",
    "/documents/{id}/retry",
    "/documents/{id}/cancel",
    "/documents/{id}/delete",
    "/tokens",
    "/tokens/{id}/revoke",
    "/sign-out",
]


@pytest.mark.parametrize("path", CHANGES)
def test_nothing_changes_without_our_page_s_mark(person: Person, api: Api, path: str) -> None:
    """A form on another site, sent with the person's cookie, does nothing at all."""
    document_id = api.submit()
    known = {"csrf_token": person.mark()}  # even if it had leaked
    forgeries: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf_token": "guess"}, {}),
        (known, {"Origin": "https://evil.example"}),
        (known, {"Origin": "null"}),
        (known, {"Sec-Fetch-Site": "cross-site"}),
        (known, {"Sec-Fetch-Site": "same-site"}),
    ]
    for fields, headers in forgeries:
        answer = person.client.post(path.format(id=document_id), data=fields, headers=headers)
        assert answer.status_code == 403, (fields, headers)
        assert "cross_site" in answer.text
    assert api("GET", f"/api/v1/documents/{document_id}").json["state"] == "waiting"
    assert person.client.get("/").status_code == 200


def test_a_mark_of_another_session_is_none(person: Person, app: Flask, issue: Issue) -> None:
    """Knowing one's own mark does not help against somebody else."""
    other = Person(app)
    other.sign_in(issue())
    answer = person.client.post("/samples/nda.docx", data={"csrf_token": other.mark()})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/documents?state=done", "/documents?state=done"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("documents", "/"),
        ("/" + "x" * 3000, "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
    ],
)
def test_going_on_stays_here(target: str | None, place: str) -> None:
    """No link through our sign-in page leads to somebody else's."""
    assert access.safe_next(target) == place


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8025", 200),
        ("[::1]:8025", 200),
        ("192.168.1.7", 200),
        ("mail.example.org", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_only_our_names_are_answered(settings: Settings, host: str, status: int) -> None:
    """DNS rebinding: a page of another site cannot reach us under a name of its own."""
    app = create_app(settings.model_copy(update={"public_url": "http://mail.example.org:80/"}))
    answer = app.test_client().get("/sign-in", headers=Headers({"Host": host}))
    assert answer.status_code == status
    app.extensions["mailroom"].ledger.close()


def test_a_program_with_a_token_may_use_any_name(api: Api) -> None:
    """In a cluster the server has names that nobody set; a token is no browser's."""
    answer = api("GET", "/api/v1/documents", headers={"Host": "web.cluster.internal"})
    assert answer.status_code == 200


def behind_proxy(settings: Settings, trusted: bool) -> Flask:
    """Return an application that does or does not trust a proxy's headers."""
    return create_app(settings.model_copy(update={"behind_proxy": trusted}))


@pytest.mark.parametrize("trusted", [True, False])
def test_forwarded_headers_count_by_setting_only(settings: Settings, trusted: bool) -> None:
    """Anyone can send X-Forwarded-Host: without a proxy it must mean nothing."""
    app = behind_proxy(settings, trusted)
    answer = app.test_client().get("/sign-in", headers={"X-Forwarded-Host": "evil.example"})
    assert answer.status_code == (400 if trusted else 200)
    app.extensions["mailroom"].ledger.close()


def test_behind_a_proxy_the_cookie_is_secure(settings: Settings) -> None:
    """A cookie that went over plain HTTP once could be read on the way."""
    app = behind_proxy(settings, trusted=True)
    parts: Parts = app.extensions["mailroom"]
    secret = parts.ledger.tokens.issue(Viewer(), name="x", scopes={"read"})[1]
    answer = app.test_client().get(
        f"/sign-in?token={secret}", base_url="https://127.0.0.1", headers={}
    )
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-mailroom=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    parts.ledger.close()


def test_the_signing_key_is_made_once_for_its_owner_s_eyes(tmp_path: Path) -> None:
    """A key that changed would sign everybody out; one that others read would let them in."""
    first = access.secret_key(tmp_path)
    assert access.secret_key(tmp_path) == first
    assert len(first) >= 43
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret.key"]


def test_a_reader_sees_no_way_to_change(app: Flask, issue: Issue, api: Api) -> None:
    """Buttons that would be refused are not shown, and refused all the same."""
    document_id = api.submit()
    reader = Person(app)
    reader.sign_in(issue("read"))
    page = reader.client.get(f"/documents/{document_id}").text
    assert "Cancel" not in page
    assert "Tokens" not in page
    assert reader.post(f"/documents/{document_id}/cancel").status_code == 403
    assert reader.client.get("/tokens").status_code == 403
