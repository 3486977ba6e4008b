"""A mail as its sender formatted it, made safe to show: no script, no link, nothing loaded.

Tags and attributes are an allow-list; pictures are those that came with the mail, as data. What
lies elsewhere is counted and left out: loading it would tell the sender that, when and where the
mail was read. Whoever shows it adds a sandbox and a policy that loads nothing.
"""

from __future__ import annotations

import base64
import json
import re
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass

import nh3

from intake.charsets import clean
from intake.errors import ParseCrashed, ParseTimeout
from intake.html import decode_page
from intake.mail.structure import Part, parse_message
from intake.vocabulary import words

HTML_BYTES = 2_000_000  # of one page; the rest is left out
PICTURE_BYTES = 5_000_000  # of all pictures of a mail together
SECONDS = 5
MEMORY_BYTES = 1_000_000_000
_PROGRAM = "from intake.mail.view import main; main()"
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*\Z")
_TAGS = words(
    """
    a abbr b big blockquote br caption center code col colgroup dd del div dl dt em font
    h1 h2 h3 h4 h5 h6 hr i img ins li ol p pre q s small span strike strong sub sup
    table tbody td tfoot th thead tr tt u ul
    """
)
_DROPPED_WHOLE = words("script style title noscript template iframe object embed svg math select")
_SIZES = {"width", "height"}
_LOOKS = {"align", "valign", "bgcolor", "style", "dir", "lang"}
_ATTRIBUTES: dict[str, set[str]] = {
    "*": _LOOKS,
    "img": {"src", "alt", *_SIZES},
    "table": {"border", "cellpadding", "cellspacing", "background", *_SIZES},
    "td": {"colspan", "rowspan", "background", *_SIZES},
    "th": {"colspan", "rowspan", "background", *_SIZES},
    "font": {"color", "size", "face"},
    "ol": {"start", "type"},
    "ul": {"type"},
}
_STYLES = words(
    """
    background-color border border-bottom border-collapse border-color border-left border-right
    border-spacing border-style border-top border-width color font-family font-size font-style
    font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left
    margin-right margin-top max-width padding padding-bottom padding-left padding-right padding-top
    text-align text-decoration text-indent text-transform vertical-align white-space width
    """
)


@dataclass(frozen=True)
class View:
    """HTML of the body's inside; `remote` pictures were not loaded, `is_cut` says it was longer."""

    html: str
    remote: int
    is_cut: bool


def formatted(raw: bytes, *, depth: int = 8) -> View | None:
    """Return the formatted version of a mail, or None for one that has only plain text."""
    root = parse_message(raw, depth=depth)
    page = next((part for part in root.walk() if _is_page(part)), None)
    if page is None:
        return None
    body, _ = page.decoded()
    cleaner = _Cleaner(_enclosed(root))
    html = cleaner.clean(clean(decode_page(body[:HTML_BYTES], page.charset)))
    return View(html, cleaner.remote, len(body) > HTML_BYTES)


def formatted_apart(raw: bytes, *, seconds: int = SECONDS) -> View | None:
    """Return what `formatted` returns, worked out in a process with limits.

    A hundred thousand boxes in each other take an HTML parser minutes. Raises ParseTimeout,
    ParseCrashed.
    """
    try:
        finished = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(seconds)],
            input=raw,
            capture_output=True,
            timeout=3 * seconds,
            check=False,
            env={},
        )
    except subprocess.TimeoutExpired as error:
        raise ParseTimeout("Showing this mail formatted takes too long.") from error
    if finished.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ParseTimeout("Showing this mail formatted takes too long.")
    if finished.returncode:
        raise ParseCrashed("This mail cannot be shown formatted.")
    said = json.loads(finished.stdout)
    return View(**said) if said is not None else None


def main() -> None:
    """Read a mail from standard input and write its view as JSON."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    view = formatted(sys.stdin.buffer.read())
    json.dump(asdict(view) if view is not None else None, sys.stdout)


def _is_page(part: Part) -> bool:
    return not part.children and part.type == "text/html" and part.disposition != "attachment"


def _enclosed(root: Part) -> dict[str, Part]:
    """Return the pictures that came with the mail by their Content-ID."""
    found: dict[str, Part] = {}
    for part in root.walk():
        content_id = part.headers.raw("content-id").decode("ascii", "ignore").strip(" \t<>")
        if content_id and part.type in _PICTURES:
            found.setdefault(content_id, part)
    return found


class _Cleaner:
    """Cleans one page and counts what it did not let load."""

    def __init__(self, enclosed: dict[str, Part]) -> None:
        self.remote = 0
        self._enclosed = enclosed
        self._left = PICTURE_BYTES

    def clean(self, html: str) -> str:
        """Return the page's body with nothing in it that runs, loads or leads anywhere."""
        return nh3.clean(
            html,
            tags=set(_TAGS),
            clean_content_tags=set(_DROPPED_WHOLE),
            attributes=_ATTRIBUTES,
            attribute_filter=self._filter,
            filter_style_properties=set(_STYLES),
            url_schemes={"data", "cid", "http", "https"},
            url_relative="deny",
            link_rel=None,
        )

    def _filter(self, tag: str, name: str, value: str) -> str | None:
        if name in ("src", "background"):
            return self._picture(value.strip())
        if name == "style" and ("url(" in value.lower() or "\\" in value):
            self.remote += value.lower().count("url(")
            return None
        return value

    def _picture(self, source: str) -> str | None:
        """Return a picture as data where it came with the mail; count it where it did not."""
        if source.lower().startswith("cid:"):
            part = self._enclosed.get(source[4:])
            body = part.decoded()[0] if part is not None else b""
            if part is None or not body or len(body) > self._left:
                return None
            self._left -= len(body)
            return f"data:{part.type};base64,{base64.b64encode(body).decode()}"
        if source.lower().startswith(("http:", "https:", "//")):
            self.remote += 1
            return None
        if _DATA.match(source) and len(source) <= self._left:
            self._left -= len(source)
            return source
        return None
