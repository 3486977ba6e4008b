"""The pages in a real browser, as a newcomer meets them: scripts on, keyboard, both colours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ledger import Cut, Viewer
from settings import Settings
from tests.service.browsing import TEXT, Site, check_on_a_phone
from tests.service.serving import environment, serving
from workers.client import open_ledger

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path, broker_url: str
) -> Iterator[Site]:
    """A server in its own process."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(empty_ledger, folder)
    ledger = open_ledger(Settings(data_dir=folder))
    scopes = {"read", "write", "admin"}
    secret = ledger.tokens.issue(Viewer(), name="up", scopes=scopes)[1]
    with serving(environment(folder, broker_url)) as server:
        yield Site(server.url, ledger, secret)
    ledger.close()


def test_the_link_leaves_no_token_behind(page: Page, site: Site) -> None:
    """What `mailroom up` prints opens the front page, and the token is not in the address."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.url == f"{site.url}/"


def test_paste_wait_and_see(page: Page, site: Site) -> None:
    """The newcomer's path: paste, read, and the result appears by itself, words marked."""
    page.get_by_label("Or paste a text").fill(TEXT)
    page.get_by_role("button", name="Read it").click()
    expect(page.get_by_text("waits for a reader")).to_be_visible()

    site.finish(site.newest())
    expect(page.get_by_text("97 % sure")).to_be_visible()  # without reloading
    expect(page.locator("mark.e5", has_text="lovely")).to_be_visible()
    reading = page.get_by_role("region", name="Text of the document")
    assert reading.inner_text() == TEXT  # emoji and tags as they were written
    expect(page.locator("#announce")).to_have_text("Read, Sentiment: Positive")


def test_one_chosen_file_leads_to_its_page(page: Page, site: Site) -> None:
    """Choosing a file is enough: no second button to find."""
    page.locator("#file").set_input_files(
        {"name": "one.txt", "mimeType": "text/plain", "buffer": TEXT.encode()}
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("one.txt")
    site.finish(site.newest())


def test_many_dropped_files_appear_and_finish(page: Page, site: Site) -> None:
    """Dropped together, each file gets its row, and the rows change as they are read."""
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            for (const name of ["a1.txt", "a2.txt", "a3.txt", "a4.txt"]) {
                transfer.items.add(new File(["Lovely " + name], name, { type: "text/plain" }));
            }
            transfer.items.add(new File([], "nothing.txt"));
            return transfer;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})

    expect(page.locator("#progress")).to_have_text("4 handed in, 1 not taken.")
    expect(page.locator("#refused")).to_contain_text("nothing.txt: The document has no bytes.")
    rows = page.locator("#documents tbody tr")
    expect(rows.filter(has_text="a4.txt")).to_contain_text("Waiting")
    for document in site.ledger.documents.list(Viewer(), state="waiting").items:
        site.finish(document.id, text="lovely, staff kind")
    expect(rows.filter(has_text="a1.txt")).to_contain_text("Positive 97 %")
    expect(rows.filter(has_text="a4.txt")).to_contain_text("Read")


def test_a_sample_is_one_click(page: Page, site: Site) -> None:
    """Somebody with nothing at hand sees a result too."""
    page.get_by_role("button", name="A hotel review").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("hotel-review.txt")
    site.finish(site.newest())
    expect(page.get_by_text("97 % sure")).to_be_visible()


def test_deleting_asks_first(page: Page, site: Site) -> None:
    """One click too many erases nothing."""
    document = site.ledger.documents.accept(b"Hello", viewer=Viewer(), source="api", name="x.txt")
    site.finish(document.id)
    page.goto(f"/documents/{document.id}")
    expect(page.get_by_role("button", name="Delete for good")).to_be_hidden()
    page.get_by_text("Delete …").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("alert")).to_contain_text("erased")


def test_evidence_is_reached_from_the_list_of_words(page: Page, site: Site) -> None:
    """Clicking a word that mattered shows it in the text, even far down."""
    text = "filler " * 8_000 + "here it is lovely, the staff kind"
    document = site.ledger.documents.accept(b"x", viewer=Viewer(), source="api", name="long.txt")
    site.finish(document.id, text=text)
    page.goto(f"/documents/{document.id}")
    page.get_by_role("link", name="lovely").click()
    expect(page.locator("mark:target")).to_have_text("lovely")
    expect(page.locator("mark:target")).to_be_in_viewport()


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    """The skip link comes first, and the choice of files and kinds can be focused."""
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"file", "text", "kind"} <= seen


def test_pages_fit_a_phone_and_keep_contrast(phone: Page, site: Site) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    document = site.ledger.documents.accept(b"x", viewer=Viewer(), source="api", name="m.txt")
    site.finish(document.id)
    pages = ["/", "/documents", "/status", "/tokens", "/api/v1/docs", f"/documents/{document.id}"]
    check_on_a_phone(phone, pages)


def test_without_scripts_it_works_too(browser: Browser, site: Site) -> None:
    """Handing in and reading the result need nothing but forms and links."""
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/sign-in?token={site.secret}")
    page.locator("#text").fill(TEXT)
    page.get_by_role("button", name="Read it").click()
    page.wait_for_url("**/documents/*")  # a reload on the way there would be refused
    site.finish(site.newest())
    page.reload()
    expect(page.get_by_text("97 % sure")).to_be_visible()
    context.close()


def test_another_site_s_page_changes_nothing(browser: Browser, site: Site, tmp_path: Path) -> None:
    """A form elsewhere that posts to us with the person's cookie is refused by us."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto(f"/sign-in?token={site.secret}")
    before = site.newest()
    forged = tmp_path / "forged.html"
    forged.write_text(
        f'<form method="post" action="{site.url}/documents" enctype="multipart/form-data">'
        '<input name="text" value="forged"><button>Win</button></form>'
    )
    page.goto(forged.as_uri())
    page.get_by_role("button").click()
    page.wait_for_load_state()
    assert site.newest() == before
    context.close()


def test_a_batch_is_handed_in_watched_and_paused(page: Page, site: Site) -> None:
    """A table from a form; its rows move by themselves; pausing is one button away."""
    page.goto("/batches")
    page.get_by_label("File").set_input_files(
        {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"id,text\n1,fine\n2,bad\n"}
    )
    page.get_by_label("Kind").select_option("ticket")
    page.get_by_role("button", name="Read it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("rows.csv")

    chunks, files = site.ledger.chunks, site.ledger.files
    split = chunks.claim(holder="browser", lease_seconds=60)
    assert split is not None
    cuts = [Cut(0, 1, files.put(b"one")), Cut(1, 1, files.put(b"two"))]
    chunks.begin(split, {}, holder="browser")
    chunks.cut(split, cuts, {"row": 2}, holder="browser", rows_total=2)
    read = chunks.claim(holder="browser", lease_seconds=60)
    assert read is not None
    chunks.finish(read, holder="browser", output=files.put(b"out"), rows_failed=0)
    expect(page.get_by_text("1 of 2").first).to_be_visible()  # without reloading

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
