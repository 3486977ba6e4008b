"""What an administrator does with mail in a real browser: watch, try, switch on, correct, send."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from ledger import Viewer
from settings import Settings
from tests.connectors.conftest import Receiver
from tests.service.browsing import Site, check_on_a_phone
from tests.service.mails import RULES, mail
from tests.service.serving import environment, serving
from workers.app import make_app
from workers.client import open_ledger
from workers.context import Context
from workers.delivery import Courier

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path) -> Path:
    """A data folder with rules that watch, and no mail yet."""
    folder = tmp_path_factory.mktemp("mail")
    shutil.copy(empty_ledger, folder)
    (folder / "rules.toml").write_text(RULES + "\n[shadow]\non = true\n")
    return folder


@pytest.fixture(scope="module")
def site(folder: Path, broker_url: str) -> Iterator[Site]:
    """A server in its own process, and forty mails that people sorted."""
    ledger = open_ledger(Settings(data_dir=folder))
    secret = ledger.tokens.issue(Viewer(), name="up", scopes={"read", "write", "admin"})[1]
    for i in range(40):
        people = "Sales" if i < 2 else "Billing"
        confidence = 0.8 if i < 2 else 0.9 + i / 1000
        mail(ledger, folder, confidence=confidence, people=people, uid=i + 1)
    with serving(environment(folder, broker_url)) as server:
        yield Site(server.url, ledger, secret)
    ledger.close()


def edit(page: Page, old: str, new: str) -> None:
    """Change the rules in the editor."""
    editor = page.get_by_label("Rules, in TOML")
    editor.fill(editor.input_value().replace(old, new))


def test_a_rule_is_edited_tried_and_put_in_force(page: Page, folder: Path) -> None:
    """The way an administrator goes: change, look what it would do, then save."""
    page.goto("/routing")
    edit(page, "confidence = 0.7", "confidence = 0.85")
    page.get_by_role("button", name="Try on past mail").click()
    tried = page.get_by_role("region", name="What would change")
    expect(tried).to_contain_text("40 documents looked at")
    expect(tried).to_contain_text("2 would be treated otherwise")
    expect(tried.locator("table.changes tbody tr")).to_have_count(2)
    assert "confidence = 0.7" in (folder / "rules.toml").read_text()

    tried.get_by_role("button", name="Save and put in force").click()
    expect(page.get_by_role("alert")).to_contain_text("in force now")
    assert "confidence = 0.85" in (folder / "rules.toml").read_text()
    versions = page.get_by_role("region", name="Versions")
    expect(versions.locator("tbody tr")).to_have_count(2)
    versions.get_by_role("link").last.click()
    page.get_by_role("button", name="Go back to this version").click()
    expect(page.get_by_role("alert")).to_contain_text("is in force again")
    assert "confidence = 0.7" in (folder / "rules.toml").read_text()


def test_a_mistake_is_shown_with_its_line(browser: Browser, site: Site) -> None:
    """Without scripts too; the browser's own log notes the refusal, so it is not watched."""
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/sign-in?token={site.secret}")
    page.goto("/routing")
    edit(page, "then.queue", "then.queu")
    page.get_by_role("button", name="Save and put in force").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 10")
    expect(page.get_by_role("alert")).to_contain_text("There is no action 'queu'")
    assert "then.queu =" in page.get_by_label("Rules, in TOML").input_value()
    context.close()


def test_a_person_corrects_a_mail_and_the_report_counts_it(page: Page, site: Site) -> None:
    """What people say is one click away from where they read, and comes back as a figure."""
    page.goto("/shadow?minutes=6")
    expect(page.get_by_role("region", name="Agreement")).to_contain_text("38 of 40")
    expect(page.locator("[data-drawn=yes] svg")).to_have_count(3)
    page.locator("table.differ a").first.click()
    page.get_by_text("Correct …").click()
    form = page.locator("form.correct", has_text="Queue")
    form.get_by_role("combobox").select_option("billing")
    form.get_by_role("button", name="This is right").click()
    expect(page.get_by_role("alert")).to_contain_text("queue is billing")
    expect(page.get_by_role("region", name="Decision")).to_contain_text("What people said")
    page.goto("/shadow?minutes=6")
    expect(page.get_by_role("region", name="Agreement")).to_contain_text("39 of 40")
    expect(page.get_by_role("region", name="Agreement")).to_contain_text("1 by correction")


def test_the_report_s_file_opens_without_us(browser: Browser, page: Page, tmp_path: Path) -> None:
    """Handed on, it draws itself where there is neither server nor network nor script."""
    page.goto("/shadow")
    with page.expect_download() as download:
        page.get_by_role("link", name="As a file").click()
    target = tmp_path / "report.html"
    download.value.save_as(target)
    context = browser.new_context(offline=True, java_script_enabled=False)
    alone = context.new_page()
    requests: list[str] = []
    alone.on("request", lambda request: requests.append(request.url))
    alone.goto(target.as_uri())
    expect(alone.get_by_role("heading", level=1)).to_have_text("Shadow report")
    expect(alone.locator("figure.plot svg")).to_have_count(3)
    expect(alone.locator("polyline").first).to_be_visible()
    assert requests == [target.as_uri()]
    context.close()


def test_a_delivery_fails_on_purpose_and_is_sent_again_from_the_page(
    page: Page, site: Site, folder: Path, broker_url: str
) -> None:
    """Switch one queue on, see the receiver refuse, mend it, click, and it is there."""
    receiver = Receiver()
    receiver.answer = lambda _: (404, {}, b"")
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    path = folder / "connectors.toml"
    path.write_text(
        f'[hook]\nconnector = "webhook"\nurl = "{receiver.url}/hook"\n'
        f'secrets = ["{secret}"]\nallow = ["127.0.0.0/8"]\n'
    )
    path.chmod(0o600)
    settings = Settings(data_dir=folder, broker_url=SecretStr(broker_url))
    context = Context(settings, name="test")
    courier = Courier(make_app(settings, context), context)
    try:
        assert site.ledger.deliveries.list(Viewer()) == []  # watched so far
        page.goto("/routing")
        page.get_by_role("row", name="billing").get_by_role("button", name="Deliver").click()
        expect(page.get_by_role("alert")).to_contain_text("billing delivers")
        document_id = mail(site.ledger, folder, uid=41)
        courier.work()

        page.goto("/deliveries")
        expect(page.get_by_role("status").first).to_contain_text("1 could not be made")
        expect(page.locator("table.documents")).to_contain_text("404")
        receiver.answer = lambda _: (200, {}, b"")
        page.get_by_role("button", name="Send again").click()
        expect(page.locator("table.documents")).to_contain_text("Waiting")
        courier.work()
        expect(page.locator("table.documents")).to_contain_text("Delivered")  # by itself
        page.goto(f"/documents/{document_id}")
        expect(page.get_by_role("region", name="Decision")).to_contain_text("Delivered")
        assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    finally:
        context.close()
        receiver.close()


def test_they_fit_a_phone_and_keep_contrast(phone: Page, site: Site) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    document = site.newest()
    check_on_a_phone(phone, ("/routing", "/shadow", "/deliveries", f"/documents/{document}"))
