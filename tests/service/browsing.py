"""A real browser: a site to visit, a page watched for what goes wrong, and what a phone asks of it.

The fixtures `browser`, `page` and `phone` stand in conftest.py; whoever uses them has a `site`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from playwright.sync_api import Page

from ledger import Ledger, Viewer
from tests.service import outcomes

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]
TEXT = "The 🛏 room was lovely, the staff kind. <b>Great</b> value!"
WAIT_MILLISECONDS = 150_000  # for a page, or for a job to end, on a busy machine
PHONE_WIDTH, PHONE_HEIGHT = 360, 740


@dataclass
class Site:
    """A running server, its ledger and a token."""

    url: str
    ledger: Ledger
    secret: str

    def finish(self, document_id: str, text: str = TEXT) -> None:
        """Do what a worker does with a review."""
        outcome = outcomes.review(text, {"lovely": 1.0, "staff kind": 0.5})
        outcomes.finish(
            self.ledger, document_id, outcome=outcome, text=text, type="text", kind="review"
        )

    def newest(self) -> str:
        """Return the id of the document that came last."""
        return self.ledger.documents.list(Viewer()).items[0].id


class Watched:
    """A page with what went wrong on it: errors, refused policies, requests elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((url, "data:")) else self.wrong.append(request.url)
            ),
        )


def check_on_a_phone(phone: Page, addresses: Iterable[str]) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    for address in addresses:
        phone.goto(address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH, address
        assert phone.evaluate(FAINT_TEXT) == [], address


# WCAG 2.2, 1.4.3: text of usual size needs a contrast of 4.5 to what is behind it
FAINT_TEXT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const layer = rgba(getComputedStyle(e).backgroundColor);
      layers.push(layer);
      if (layer[3] === 255) break;
    }
    return layers.reverse().reduce((under, [r, g, b, a]) =>
      [r, g, b].map((v, i) => v * a / 255 + under[i] * (1 - a / 255)), [255, 255, 255]);
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(".unseen, .skip")) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${element.outerHTML.slice(0, 80)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
