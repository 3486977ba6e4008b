"""HTML to the text that a person would see, with what was hidden left out and counted.

Hidden are elements with `display: none`, the `hidden` attribute, no height and no overflow, and
text of no size, no visibility, no opacity, or in the colour of what is behind it. Such text is
how a page says one thing to a reader and another to a program that reads along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from intake.charsets import BYTE_ORDER_MARKS, clean, decode
from intake.errors import NoText
from intake.parsed import Parsed
from intake.stylesheets import Look, hidden_selectors, inherit, look_of
from intake.vocabulary import words

UNSEEN = words(
    """
    head title script style template iframe object embed applet noframes svg math datalist
    audio video canvas map select textarea
    """
)
PARAGRAPHS = words(
    """
    p h1 h2 h3 h4 h5 h6 ul ol dl blockquote pre table hr figure
    """
)
BLOCKS = words(
    """
    div section article aside header footer main nav address center form fieldset legend li
    dt dd tr caption thead tbody tfoot body html figcaption details summary dir menu
    """
)
CELLS = frozenset(("td", "th"))

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_ZERO_WIDTH = re.compile("[\u200b\u2060\ufeff\u00ad\u034f]")
_META_CHARSET = re.compile(rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)


@dataclass(frozen=True)
class Page:
    """The visible text of a page."""

    text: str
    hidden_characters: int
    marks: tuple[tuple[int, int, str], ...] = ()  # start, end and name of what `mark` named


@dataclass
class _Writer:
    """Text being written: blanks collapse, blocks begin lines, nothing is rewritten later."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    newlines: int = 0  # owed before the next character
    space: bool = False  # owed before the next character
    waiting: list[list[int]] = field(default_factory=list)  # marks that begin with the next one

    def write(self, text: str) -> None:
        text = _BLANKS.sub(" ", text)
        if text.startswith(" "):
            self.space = True
        core = text.strip(" ")
        if not core:
            return
        self._settle()
        self._append(core.replace("\xa0", " "))
        self.space = text.endswith(" ")

    def write_preformatted(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number, line in enumerate(lines):
            if number:
                self.break_line()
            if line.strip():
                self._settle()
                self._append(line.replace("\xa0", " "))

    def break_line(self) -> None:
        self.newlines = min(self.newlines + 1, 3)
        self.space = False

    def begin_block(self, newlines: int) -> None:
        self.newlines = max(self.newlines, newlines)
        self.space = False

    def mark(self) -> list[int]:
        mark: list[int] = []
        self.waiting.append(mark)
        return mark

    def _settle(self) -> None:
        if self.length:
            if self.newlines:
                self._append("\n" * self.newlines)
            elif self.space:
                self._append(" ")
        self.newlines, self.space = 0, False
        for mark in self.waiting:
            mark.append(self.length)
        self.waiting.clear()

    def _append(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)


def render(html: str, mark: Callable[[LexborNode], str | None] | None = None) -> Page:
    """Return the visible text; `mark` may name elements whose place in the text is wanted."""
    if _is_too_deep(html):
        return Page(_strip_tags(html), 0)
    tree = LexborHTMLParser(html)
    sheet = "\n".join(node.text() for node in tree.css("style"))
    hidden = hidden_selectors(sheet)
    writer = _Writer()
    marks: list[tuple[list[int], list[int], str]] = []
    hidden_characters = 0
    if tree.root is None:
        return Page("", 0)
    for step in _walk(tree.root, hidden):
        if step.text is not None:
            text = _ZERO_WIDTH.sub("", step.text)
            if not step.look.visible:
                hidden_characters += len(_BLANKS.sub(" ", text).strip())
            elif step.look.preformatted:
                writer.write_preformatted(text)
            else:
                writer.write(text)
            continue
        _write_edge(writer, step.tag, opening=step.opening)
        if mark is not None and step.opening and step.node is not None:
            name = mark(step.node)
            if name:
                end: list[int] = []
                marks.append((writer.mark(), end, name))
                step.ends.append(end)
        if not step.opening:
            for end in step.ends:
                end.append(writer.length)
    if not writer.length:
        return Page("\n".join(_alternatives(tree)), hidden_characters)
    found = (
        (start[0], end[0] if end else writer.length, name) for start, end, name in marks if start
    )
    return Page("".join(writer.pieces), hidden_characters, tuple(sorted(found)))


def _alternatives(tree: LexborHTMLParser) -> list[str]:
    """Return what stands for the pictures of a page that is nothing but pictures."""
    texts = (_BLANKS.sub(" ", image.attributes.get("alt") or "") for image in tree.css("img[alt]"))
    return [text.strip() for text in texts if text.strip() and not text.startswith("http")]


# Elements that need no end tag, or have none
_OPENED = re.compile(
    r"<(?!(?:br|img|meta|input|hr|link|col|area|base|wbr|source|embed|param|p|li|td|th|tr|dd|dt"
    r"|option|thead|tbody|tfoot)\b)[a-z][^\s>/]*",
    re.IGNORECASE,
)
UNCLOSED = 5_000  # elements left open, past which building the tree takes quadratic time
_UNREAD = re.compile(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>?")


def _is_too_deep(html: str) -> bool:
    opened = sum(1 for _ in _OPENED.finditer(html)) if html.count("<") > UNCLOSED else 0
    return opened - html.count("</") > UNCLOSED


def _strip_tags(html: str) -> str:
    """Return the text of a page that no browser could show, by its tags alone."""
    text = unescape(_TAG.sub(" ", _UNREAD.sub(" ", html)))
    return "\n".join(filter(None, (_BLANKS.sub(" ", line).strip() for line in text.split("\n"))))


@dataclass
class _Step:
    """One move of the walk: into an element, out of it, or over a text."""

    look: Look
    tag: str = ""
    text: str | None = None
    opening: bool = False
    node: LexborNode | None = None
    ends: list[list[int]] = field(default_factory=list)


def _walk(root: LexborNode, hidden: frozenset[str]) -> Iterator[_Step]:
    """Yield the steps of a depth-first walk that needs no recursion, however deep the tree."""
    opened: list[tuple[LexborNode, Look, _Step]] = []
    look = Look()
    node: LexborNode | None = root
    while node is not None:
        descend = False
        if node.is_text_node:
            yield _Step(look, text=node.text_content or "")
        elif node.is_element_node and (tag := node.tag or "") not in UNSEEN:
            inner = inherit(look, look_of(node, hidden))
            if tag in ("pre", "listing", "xmp", "plaintext"):
                inner = replace(inner, preformatted=True)
            step = _Step(inner, tag=tag, opening=True, node=node)
            yield step
            if node.child is not None:
                opened.append((node, look, step))
                look, descend = inner, True
            else:
                yield replace(step, opening=False, node=None)
        if descend:
            node = node.child
            continue
        while node is not None and node.next is None:
            if not opened:
                return
            node, look, step = opened.pop()
            yield replace(step, opening=False, node=None)
        node = node.next if node is not None else None


def _write_edge(writer: _Writer, tag: str, *, opening: bool) -> None:
    if tag == "br":
        if opening:
            writer.break_line()
    elif tag in PARAGRAPHS:
        writer.begin_block(2)
    elif tag in BLOCKS:
        writer.begin_block(1)
    elif tag in CELLS and opening:
        writer.space = True


def decode_page(body: bytes, declared: str | None = None) -> str:
    """Return a page's characters: byte-order mark, then what was declared, then its own word."""
    if any(body.startswith(mark) for mark, _ in BYTE_ORDER_MARKS):
        return decode(body)
    if declared is None:
        meta = _META_CHARSET.search(body[:4096])
        # a page that calls itself UTF-16 in ASCII letters is not
        if meta and not meta[1].lower().startswith(b"utf-16"):
            declared = meta[1].decode("ascii")
    return decode(body, declared)


def read_html(body: bytes) -> Parsed:
    """Return the visible text of an HTML file; raises NoText when there is none."""
    page = render(clean(decode_page(body)))
    if not page.text.strip():
        raise NoText(
            "This page shows no text: it may be made of pictures or need a browser's scripts. "
            "Save what you see as PDF or text and send that."
        )
    return Parsed(type="html", text=clean(page.text), hidden_characters=page.hidden_characters)
