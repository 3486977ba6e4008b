"""Training in a real browser, with a real worker: from a table to a model at work, and back."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger import Viewer
from tests.service.browsing import WAIT_MILLISECONDS, Site, check_on_a_phone
from tests.service.serving import environment, serving
from tests.workers.installation import Installation

pytestmark = pytest.mark.browser

WISHES = {
    "refund": ("I want my money back", "please refund the payment", "return what I paid"),
    "delivery": ("where is my parcel", "the package did not arrive", "when will it be here"),
    "password": ("I forgot my password", "cannot log in any more", "reset my login please"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server and a worker that trains and reads, each a process of its own."""
    installation = Installation(tmp_path_factory.mktemp("training"), threads=1)
    ledger = installation.ledger
    secret = ledger.tokens.issue(Viewer(), name="up", scopes={"read", "write", "admin"})[1]
    with serving(environment(installation.folder, installation.broker.url)) as server:
        installation.worker("training", "interactive")
        yield Site(server.url, ledger, secret)
    installation.close()


def labelled(path: Path, rows: int) -> Path:
    """Write a table whose columns are called what nobody guesses; a tenth is labelled wrong."""
    names = list(WISHES)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["came", "said", "meant"])
        for i in range(rows):
            name = names[i % 3]
            text = f"{WISHES[name][i // 3 % 3]}, it is about order {i * 7919 % 1000}"
            writer.writerow([f"2026-{i % 12 + 1:02}-01", text, names[0] if i % 10 == 0 else name])
    return path


def train(page: Page, path: Path) -> None:
    """Hand a table in, confirm its columns, and begin."""
    page.goto("/training")
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Look at it").click()
    page.get_by_label("The model’s name").fill("wishes")
    page.get_by_label("Teacher").select_option("none")
    page.get_by_role("button", name="Train it").click()


def done(page: Page, version: int) -> None:
    """Wait until the page that is open says so by itself."""
    expect(page.locator("#training")).to_contain_text("Trained", timeout=WAIT_MILLISECONDS)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"wishes {version}")


@pytest.mark.timeout(420)  # two trainings and three processes that load models
def test_from_a_table_to_a_model_at_work_and_back(page: Page, site: Site, tmp_path: Path) -> None:
    """A person who never saw a command trains, looks at what is wrong, decides, and undoes it."""
    page.goto("/training")
    page.get_by_label("File").set_input_files(labelled(tmp_path / "wishes.csv", 1500))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_label("The text")).to_have_value("said")
    expect(page.get_by_label("Its label")).to_have_value("meant")
    expect(page.get_by_role("heading", name="3 labels")).to_be_visible()
    page.get_by_label("Its label").select_option("came")  # by mistake
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("heading", name="12 labels")).to_be_visible()
    page.get_by_label("Its label").select_option("meant")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("heading", name="3 labels")).to_be_visible()

    page.get_by_label("The model’s name").fill("wishes")
    page.get_by_label("Teacher").select_option("none")
    page.get_by_role("button", name="Train it").click()
    progress = page.get_by_role("region", name="Progress")
    running = re.compile(r"epoch \d+ of at most \d+, loss \d")
    expect(progress).to_contain_text(running, timeout=WAIT_MILLISECONDS)  # without reloading
    done(page, 1)
    expect(page.locator("[data-drawn=yes] svg")).to_have_count(2)  # loss and dev's accuracy
    expect(progress).to_contain_text("nearest examples")

    with page.expect_popup() as opened:
        page.get_by_role("link", name="the report").click()
    expect(opened.value.get_by_role("heading", name="Worst mistakes")).to_be_visible()
    opened.value.close()

    page.get_by_role("button", name="Put it to work").click()
    expect(page.get_by_role("alert")).to_contain_text("wishes reads with version 1 now")
    assert site.ledger.models.active("wishes") == "1"

    page.goto("/")
    page.locator("#text").fill("please refund the payment of last week")
    page.get_by_role("radio", name="wishes").check()
    page.get_by_role("button", name="Read it").click()
    expect(page.locator(".head .value")).to_have_text("Refund", timeout=WAIT_MILLISECONDS)
    similar = page.get_by_role("region", name="Similar labelled examples")
    expect(similar.get_by_role("listitem")).to_have_count(5)
    expect(similar).to_contain_text("please refund the payment, it is about order")

    train(page, labelled(tmp_path / "more.csv", 45))
    done(page, 2)
    page.get_by_role("button", name="Put it to work").click()
    models = page.get_by_role("region", name="Your models")
    row = models.get_by_role("row", name=re.compile("^wishes 2"))
    expect(row).to_contain_text("yes")
    row.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("alert")).to_contain_text("wishes reads with version 1 again")
    expect(models.get_by_role("row", name=re.compile("^wishes 1"))).to_contain_text("yes")
    assert site.ledger.models.active("wishes") == "1"


def test_a_table_that_teaches_nothing_is_said_at_once(page: Page, tmp_path: Path) -> None:
    """Nobody waits for a training that could never have worked."""
    page.goto("/training")
    page.get_by_label("File").set_input_files(labelled(tmp_path / "few.csv", 9))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("Not enough data")
    expect(page.get_by_role("button", name="Train it")).to_have_count(0)


@pytest.mark.timeout(420)
def test_it_fits_a_phone_and_keeps_contrast(phone: Page, site: Site, tmp_path: Path) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    phone.goto("/training")
    phone.get_by_label("File").set_input_files(labelled(tmp_path / "wishes.csv", 60))
    phone.get_by_role("button", name="Look at it").click()
    expect(phone.get_by_role("button", name="Train it")).to_be_visible()
    addresses = [phone.url, "/training"]
    jobs = site.ledger.jobs.list(Viewer(), task="train").items
    addresses += [f"/training/jobs/{job.id}" for job in jobs]
    addresses += [f"/documents/{one.id}" for one in site.ledger.documents.list(Viewer()).items]
    assert len(addresses) >= 5
    check_on_a_phone(phone, addresses)
