"""Plots: drawn by a browser under our own Content-Security-Policy, told by a table without it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import date

import pytest
from flask import Flask, render_template_string
from playwright.sync_api import expect, sync_playwright
from werkzeug.serving import make_server

from service import plots

HOSTILE = "<img src=x onerror=alert(1)>\"'}</script>"
SPEC = {
    "mark": {"type": "line", "point": True, "tooltip": True},
    "encoding": {
        "x": {"field": "day", "type": "temporal"},
        "y": {"field": "sold", "type": "quantitative"},
        "color": {"field": "store", "type": "nominal"},
    },
    "transform": [{"filter": "datum.sold > 0"}],  # an expression: read, never evaluated
}
ROWS = [
    {"day": date(2026, 1, day), "sold": 10.0 * day, "store": store}
    for store in ("north", HOSTILE)
    for day in range(1, 9)
]
PAGE = """<!doctype html><title>p</title><link rel="icon" href="data:,">
{% include "plot_scripts.html" %}{{ plot }}"""


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """A page with one plot, served with every header that our pages have."""

    @app.get("/a-plot")
    def page() -> str:
        return render_template_string(PAGE, plot=plots.figure(SPEC, ROWS, "Sold by day"))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/a-plot"
    server.shutdown()
    thread.join()


@pytest.mark.browser
def test_a_browser_draws_it_under_our_policy(address: str) -> None:
    """An interpreter that evaluated code would be refused by the policy and draw nothing."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("no Chromium here; install one: apt-get install chromium")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append("a dialog opened"))
        page.goto(address)
        expect(page.locator("[data-drawn=yes] svg")).to_be_visible()
        expect(page.locator("svg .mark-line path")).to_have_count(2)
        browser.close()
    assert not said


def test_the_table_says_the_same_and_escapes_it(app: Flask) -> None:
    """Without scripts the table is all there is; a cell of a stranger's file stays text."""
    with app.test_request_context("/"):
        html = plots.figure(SPEC, ROWS, HOSTILE)
    assert "<img" not in html
    assert "</script>" not in html
    assert html.count("<tr>") == 1 + len(ROWS)
    assert "2026-01-08" in html


def test_what_is_no_number_is_an_empty_cell(app: Flask) -> None:
    """NaN is not JSON: one such value would lose the whole plot."""
    with app.test_request_context("/"):
        html = plots.figure(SPEC, [{"sold": float("nan")}, {"sold": float("inf")}], "Sold")
    assert "NaN" not in html
    assert "Infinity" not in html


def test_more_rows_than_a_browser_draws_are_refused(app: Flask) -> None:
    """A million points freeze the tab of whoever looks."""
    with app.test_request_context("/"), pytest.raises(ValueError, match="too many"):
        plots.figure(SPEC, [{"sold": 1.0}] * (plots.MOST_ROWS + 1), "Sold")
