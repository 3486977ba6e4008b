"""Forecasts and fraud in a real browser, with a real worker: from a table to a verdict."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ledger import Viewer
from tests.service.browsing import WAIT_MILLISECONDS, Site, check_on_a_phone
from tests.service.serving import environment, serving
from tests.workers.installation import Installation

pytestmark = pytest.mark.browser

DEMAND, FRAUD = "door-demand", "door-fraud"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server and a worker for long jobs, each a process of its own."""
    installation = Installation(tmp_path_factory.mktemp("series"))
    ledger = installation.ledger
    secret = ledger.tokens.issue(Viewer(), name="up", scopes={"read", "write", "admin"})[1]
    with serving(environment(installation.folder, installation.broker.url)) as server:
        installation.worker("series")
        yield Site(server.url, ledger, secret)
    installation.close()


@pytest.fixture(scope="module")
def fraud(browser: Browser, site: Site) -> str:
    """The address of the demonstration's payments, scored: begun with one click."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto(f"/sign-in?token={site.secret}")
    page.goto("/series")
    page.locator(f"section[aria-labelledby={FRAUD}]").get_by_role("button", name="Try").click()
    expect(page.get_by_role("heading", name="Alerts to work")).to_be_visible(
        timeout=WAIT_MILLISECONDS
    )
    expect(page.locator("[data-drawn=yes] svg")).to_have_count(1)  # where htmx brought it
    address = page.url
    context.close()
    return address


def sales(path: Path, *, bad: str | None = None) -> Path:
    """Write two shops' sales under names that nothing recognises; `bad` spoils the fifth row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["branch", "bought_on", "pieces", "action"])
        for shop in ("North", "South"):
            for i in range(70):
                pieces = 20 + i % 7 * 3 + (9 if i % 14 < 3 else 0) + i * 7 % 5
                day = date(2026, 1, 5) + timedelta(days=i)
                said = bad if bad is not None and shop == "North" and i == 4 else pieces
                writer.writerow([shop, day, said, int(i % 14 < 3)])
    return path


def hand_in(page: Page, door: str, path: Path) -> None:
    """Choose a file at a door and look at it."""
    page.goto("/series")
    section = page.locator(f"section[aria-labelledby={door}]")
    section.locator("input[type=file]").set_input_files(path)
    section.get_by_role("button", name="Look at it").click()


def say(page: Page, column: str, role: str) -> None:
    """Say what a column is."""
    page.get_by_role("combobox", name=f"{column} is").select_option(role)


def test_a_table_is_looked_at_confirmed_and_forecast(page: Page, tmp_path: Path) -> None:
    """What no name tells, a person says; then the fan, the backtest and the plan are there."""
    hand_in(page, DEMAND, sales(tmp_path / "sales.csv"))
    expect(page.get_by_role("row", name=re.compile("branch"))).to_contain_text("North, South")
    for column, role in (
        ("branch", "series"), ("bought_on", "time"), ("pieces", "target"), ("action", "")
    ):  # fmt: skip
        say(page, column, role)
    page.get_by_label("How far ahead").fill("7")
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", name="Forecast")).to_be_visible(timeout=WAIT_MILLISECONDS)
    expect(page.get_by_text("14 forecasts of 2 series")).to_be_visible()
    expect(page.locator("[data-drawn=yes] svg")).to_have_count(1)
    backtest = page.get_by_role("region", name="How each method did")
    expect(backtest.get_by_role("row", name=re.compile("^This answer")).first).to_be_visible()
    expect(backtest).to_contain_text(re.compile(r"the 80 % band held \d+\.\d %"))
    page.get_by_label("Series, the largest first").select_option("South")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("figcaption")).to_contain_text("South")

    plan = page.get_by_role("region", name="What a plan would have cost")
    plan.get_by_label("A unit missing costs").fill("19")
    plan.get_by_role("button", name="Work it out").click()
    expect(plan).to_contain_text("0.95")
    expect(page.locator("figcaption")).to_contain_text("South")  # still
    with page.expect_download() as download:
        page.get_by_role("link", name="Forecasts as CSV").click()
    download.value.save_as(tmp_path / "forecast.csv")
    with (tmp_path / "forecast.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14
    assert all(
        float(row["low_80"]) <= float(row["forecast"]) <= float(row["high_80"]) for row in rows
    )


def test_a_bad_row_is_named_and_the_person_may_leave(page: Page, tmp_path: Path) -> None:
    """What is wrong with a table is said with its row; erased, nothing of it is left."""
    hand_in(page, DEMAND, sales(tmp_path / "bad.csv", bad="-3"))
    for column, role in (("branch", "series"), ("bought_on", "time"), ("pieces", "target")):
        say(page, column, role)
    say(page, "action", "target")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("Two columns")

    say(page, "pieces", "target")
    say(page, "action", "")
    for column, role in (("branch", "series"), ("bought_on", "time")):
        say(page, column, role)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("row 5", timeout=WAIT_MILLISECONDS)
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("alert")).to_contain_text("erased")
    expect(page.locator("#jobs")).not_to_contain_text("bad.csv")


def test_alerts_are_worked_and_a_card_shows_its_weights(page: Page, fraud: str) -> None:
    """From the queue to a card's history and a verdict that stays."""
    page.goto(fraud)
    right = page.get_by_role("region", name="Right")
    expect(right).to_contain_text("%")
    queue = page.locator("#queue")
    expect(queue.locator(".reasons li").first).to_be_visible()
    number = queue.locator("tbody tr").first.locator("bdi").last.inner_text()
    queue.locator("tbody tr").first.get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Card")
    expect(page.locator("[data-drawn=yes] svg")).to_have_count(1)
    expect(
        page.get_by_role("region", name="What weighed in").locator("tbody tr").first
    ).to_be_visible()
    page.get_by_role("button", name="Fraud", exact=True).click()
    expect(page.get_by_role("region", name=re.compile(" at "))).to_contain_text("Confirmed fraud")
    expect(page.get_by_role("region", name=re.compile(" at "))).to_contain_text("What people said")

    page.goto(fraud)
    expect(page.get_by_role("region", name="Worked")).to_contain_text("1 confirmed")
    expect(page.locator("#queue tbody")).not_to_contain_text(number)
    page.get_by_role("link", name="Confirmed fraud 1").click()
    expect(page.locator("#queue tbody")).to_contain_text(number)


def test_a_smaller_budget_leaves_the_surest_alerts(page: Page, fraud: str) -> None:
    """The number of alerts follows what people can look at."""
    page.goto(fraud)
    alerts = page.get_by_role("region", name="Alerts", exact=True).locator("b")
    before = int(alerts.inner_text().replace(",", ""))
    page.get_by_label("Cards that people can look at a day").select_option("1")
    page.get_by_role("button", name="Show").click()
    assert int(alerts.inner_text().replace(",", "")) < before


def test_they_fit_a_phone_and_keep_contrast(phone: Page, site: Site, fraud: str) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    addresses = ["/series", "/series/alerts", fraud]
    phone.goto(fraud)
    addresses.append(phone.locator("#queue tbody a").first.get_attribute("href") or "")
    done = site.ledger.jobs.list(Viewer(), queue="series", task="demand", state="done").items
    addresses += [f"/series/jobs/{job.id}" for job in done[:1]]
    check_on_a_phone(phone, addresses)
