"""An application of the tests' own, with a real ledger and a real broker."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, sync_playwright

from ledger import Ledger, Viewer
from service.app import create_app
from service.parts import Parts
from settings import Settings
from tests.service.browsing import (
    FLAGS,
    PHONE_HEIGHT,
    PHONE_WIDTH,
    WAIT_MILLISECONDS,
    Site,
    Watched,
)
from workers.client import open_ledger
from workers.embedded import EmbeddedServer

Issue = Callable[..., str]


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that ends with the tests."""
    server = EmbeddedServer(tmp_path_factory.mktemp("broker"), "broker")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated ledger without rows; copying it is quicker than migrating."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = open_ledger(Settings(data_dir=folder))
    ledger.migrate()
    ledger.close()
    return folder / "ledger.sqlite3"


@pytest.fixture
def settings(tmp_path: Path, broker_url: str, empty_ledger: Path) -> Settings:
    """Settings with everything in a folder of its own."""
    shutil.copy(empty_ledger, tmp_path)
    return Settings(data_dir=tmp_path, broker_url=broker_url, upload_bytes=200_000)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The application."""
    app = create_app(settings)
    parts: Parts = app.extensions["mailroom"]
    yield app
    parts.client.close()
    parts.ledger.close()


@pytest.fixture
def ledger(app: Flask) -> Ledger:
    """The application's ledger."""
    parts: Parts = app.extensions["mailroom"]
    return parts.ledger


@pytest.fixture
def issue(ledger: Ledger) -> Issue:
    """Return a function that makes a token and returns its secret."""

    def issued(*scopes: str, workspace: str = "default", name: str = "test") -> str:
        chosen = scopes or ("read", "write", "admin")
        return ledger.tokens.issue(Viewer(), name=name, scopes=chosen, workspace=workspace)[1]

    return issued


class Api:
    """A program that speaks to the API with a token."""

    def __init__(self, app: Flask, secret: str) -> None:
        self.client = app.test_client(use_cookies=False)
        self.headers = {"Authorization": f"Bearer {secret}"}

    def __call__(self, method: str, path: str, **request):  # type: ignore[no-untyped-def]
        """Ask, with the token."""
        headers = {**self.headers, **request.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **request)

    def submit(self, text: str = "Lovely room.", **fields: str) -> str:
        """Hand a text in and return the document's id."""
        answer = self("POST", "/api/v1/documents", json={"text": text, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])


@pytest.fixture
def api(app: Flask, issue: Issue) -> Api:
    """A program with every scope in the default workspace."""
    return Api(app, issue())


@pytest.fixture
def other_api(app: Flask, issue: Issue) -> Api:
    """A program with every scope in another workspace."""
    return Api(app, issue(workspace="elsewhere"))


class Person:
    """A person's browser without scripts: cookies, forms and their marks."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self.secret = ""

    def sign_in(self, secret: str) -> None:
        """Follow the link that `mailroom up` prints."""
        self.secret = secret
        answer = self.client.get(f"/sign-in?token={secret}")
        assert answer.status_code == 303, answer.text

    def mark(self, path: str = "/") -> str:
        """Return the mark that the page's forms carry."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(path).text)
        assert found
        return found[1]

    def post(self, path: str, **fields):  # type: ignore[no-untyped-def]
        """Send a form of our own page."""
        return self.client.post(path, data={"csrf_token": self.mark(), **fields})


@pytest.fixture
def person(app: Flask, issue: Issue) -> Person:
    """A person who is signed in with every scope."""
    person = Person(app)
    person.sign_in(issue())
    return person


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("no Chromium here; install one: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A signed-in page of the module's site, on which nothing may go wrong unseen."""
    context = browser.new_context(base_url=site.url)
    context.set_default_navigation_timeout(WAIT_MILLISECONDS)
    watched = Watched(context.new_page(), site.url)
    watched.page.goto(f"/sign-in?token={site.secret}")
    yield watched.page
    assert watched.wrong == []
    context.close()


@pytest.fixture(params=["light", "dark"])
def phone(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A signed-in page as small as a phone's, in both colours."""
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": PHONE_WIDTH, "height": PHONE_HEIGHT},
        color_scheme=request.param,
    )
    context.set_default_navigation_timeout(WAIT_MILLISECONDS)
    page = context.new_page()
    page.goto(f"/sign-in?token={site.secret}")
    yield page
    context.close()
