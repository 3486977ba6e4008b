"""DOCX to text: paragraphs, tables, headers and notes in the order of the page.

Read straight from the XML with a parser that knows no DTD, no entities and no network; only the
parts that hold text are inflated. Deleted text of tracked changes and hidden text are left out.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping

from lxml import etree

from intake.archives import open_archive, read_entry
from intake.charsets import clean
from intake.errors import CorruptFile, NoText, ParseMemory, TooLarge, UnknownType
from intake.limits import Limits
from intake.parsed import Parsed

MAIN = "word/document.xml"
CONTENT_TYPES = "[Content_Types].xml"
OTHER_OFFICE = {"xl/workbook.xml": "an Excel workbook", "ppt/presentation.xml": "a presentation"}

XML_BYTES = 60_000_000  # of one inflated part; a 1,000-page contract's is below 20 MB
ARCHIVE_BYTES = 1_000_000_000  # of all parts together, pictures too, which are never inflated

_CLARK = re.compile(r"\{[^}]*\}")


def read_docx(body: bytes, limits: Limits) -> Parsed:
    """Return the text of a Word document; raises UnknownType for other ZIP files."""
    with open_archive(body, total_bytes=ARCHIVE_BYTES) as archive:
        names = set(archive.namelist())
        main = _main_part(archive, names)
        budget = _Budget(limits.characters)
        notes = _read_notes(archive, names, budget)
        headers = [_read(archive, name, budget).text() for name in _numbered(names, "header")]
        document = _read(archive, main, budget, notes)
        footers = [_read(archive, name, budget).text() for name in _numbered(names, "footer")]
    pieces = [*headers, document.text(), *document.unplaced_notes(), *footers]
    text = clean("\n\n".join(piece for piece in pieces if piece.strip()))
    if not text.strip():
        raise NoText
    return Parsed(type="docx", text=text, hidden_characters=document.hidden_characters)


class _Budget:
    """Counts characters as they come, so that a large document ends early."""

    def __init__(self, characters: int) -> None:
        self.left = characters

    def spend(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            raise TooLarge("This document holds more text than allowed. Split it.")
        return text


def _main_part(archive: zipfile.ZipFile, names: set[str]) -> str:
    if MAIN in names:
        return MAIN
    for name, description in OTHER_OFFICE.items():
        if name in names:
            raise UnknownType(
                f"This is {description}, which cannot be read. Save it as PDF or text and send it."
            )
    if CONTENT_TYPES not in names:
        raise UnknownType(
            "This is a ZIP archive or another packed file, which cannot be read. "
            "Unpack it and send the documents in it."
        )
    # Some writers name the main part otherwise and say so in the relations
    if "_rels/.rels" in names:
        relations = _Relations()
        _feed(archive, "_rels/.rels", relations)
        for target in relations.documents:
            name = posixpath.normpath(target.lstrip("/"))
            if name in names and name.endswith(".xml"):
                return name
    raise UnknownType


class _Target:
    """What the XML parser calls; no tree is built, so that a large part costs no memory."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None: ...

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...

    def doctype(self, *_: object) -> None:
        raise CorruptFile("This document carries XML declarations that Word never writes.")

    def close(self) -> None: ...


class _Relations(_Target):
    """Finds the main document among a package's relations."""

    def __init__(self) -> None:
        self.documents: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if attributes.get("Type", "").endswith("/officeDocument"):
            self.documents.append(attributes.get("Target", ""))


def _feed(archive: zipfile.ZipFile, name: str, target: _Target) -> None:
    """Send one part through the parser, which knows no DTD, no entities and no network."""
    xml = read_entry(archive, name, most_bytes=XML_BYTES)
    if b"<!DOCTYPE" in xml:
        target.doctype()
    parser = etree.XMLParser(
        target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise ParseMemory from error
        raise CorruptFile from error
    except ValueError as error:
        raise CorruptFile from error


def _numbered(names: set[str], kind: str) -> list[str]:
    pattern = re.compile(rf"word/{kind}(\d{{0,4}})\.xml\Z")
    found = [(int(match[1] or 0), name) for name in names if (match := pattern.match(name))]
    return [name for _, name in sorted(found)]


def _read(
    archive: zipfile.ZipFile, name: str, budget: _Budget, notes: _NoteTexts | None = None
) -> _Document:
    document = _Document(budget, notes or {})
    _feed(archive, name, document)
    return document


_NoteTexts = dict[tuple[str, str], str]  # by kind and number


def _read_notes(archive: zipfile.ZipFile, names: set[str], budget: _Budget) -> _NoteTexts:
    """Return footnotes and endnotes by kind and number."""
    notes: _NoteTexts = {}
    for kind in ("footnote", "endnote"):
        name = f"word/{kind}s.xml"
        if name in names:
            notes.update(_read(archive, name, budget).inner_notes)
    return notes


class _Document(_Target):
    """One XML part being read."""

    def __init__(self, budget: _Budget, notes: _NoteTexts) -> None:
        self.budget = budget
        self.notes = notes
        self.placed: set[tuple[str, str]] = set()
        self.inner_notes: _NoteTexts = {}  # of a part that holds the notes themselves
        self.pieces: list[str] = []
        self.hidden_characters = 0
        self._skipped = 0  # depth within an element that is left out
        self._in_text = self._hidden_run = self._in_run = False
        self._note: tuple[str, str] | None = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take note of an element that begins."""
        name = _CLARK.sub("", tag)
        if self._skipped or name in SKIPPED:
            self._skipped += 1
        elif name == "t":
            self._in_text = True
        elif name == "r":
            self._in_run, self._hidden_run = True, False
        elif name in ("vanish", "webHidden"):
            self._hidden_run = self._in_run and _attribute(attributes, "val") not in FALSE
        elif name in ("footnote", "endnote"):
            self._begin_note(name, attributes)
        elif name in ("footnoteReference", "endnoteReference"):
            self._place_note(name.removesuffix("Reference"), attributes)
        elif name in SIGNS and (self._in_run or name != "tab"):
            self._write(SIGNS[name])

    def data(self, text: str) -> None:
        """Take the characters between tags: text only within `t`."""
        if not self._in_text or self._skipped:
            return
        if self._hidden_run:
            self.hidden_characters += len(text)
        else:
            self._write(text)

    def end(self, tag: str) -> None:
        """Take note of an element that ends."""
        if self._skipped:
            self._skipped -= 1
            return
        match _CLARK.sub("", tag):
            case "t":
                self._in_text = False
            case "r":
                self._in_run = self._hidden_run = False
            case "p":
                self._write("\n")
            case "tc":
                self._drop_last("\n")
                self._write("\t")
            case "tr":
                self._drop_last("\t")
                self._write("\n")
            case "footnote" | "endnote":
                self._end_note()

    def text(self) -> str:
        """Return what was read."""
        text = re.sub(r"[ \t]+\n", "\n", "".join(self.pieces))
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def unplaced_notes(self) -> Iterator[str]:
        """Yield the notes that nothing in the text pointed to."""
        return (text for key, text in self.notes.items() if key not in self.placed and text)

    def _write(self, text: str) -> None:
        self.pieces.append(self.budget.spend(text))

    def _drop_last(self, piece: str) -> None:
        while self.pieces and self.pieces[-1] == piece:
            self.pieces.pop()

    def _begin_note(self, kind: str, attributes: Mapping[str, str]) -> None:
        if _attribute(attributes, "type") is None:  # the others are the separator lines
            self._note = (kind, _attribute(attributes, "id") or "")
        self.pieces.clear()

    def _end_note(self) -> None:
        if self._note is not None:
            self.inner_notes[self._note] = self.text().strip()
        self._note = None

    def _place_note(self, kind: str, attributes: Mapping[str, str]) -> None:
        key = (kind, _attribute(attributes, "id") or "")
        if self.notes.get(key) and key not in self.placed:
            self.placed.add(key)
            self._write(f" [{self.notes[key]}]")


SKIPPED = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "pPrChange"))
SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
FALSE = ("0", "false", "off")


def _attribute(attributes: Mapping[str, str], name: str) -> str | None:
    for key, value in attributes.items():
        if _CLARK.sub("", key) == name:
            return value
    return None
