"""DOCX to text: paragraphs, tables, headers and notes in the order of the page.

Read straight from the XML with a parser that knows no DTD, no entities and no network; only the
parts that hold text are inflated. Deleted text of tracked changes and hidden text are left out.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator

from lxml import etree

from intake.archives import open_archive, read_entry
from intake.charsets import clean
from intake.errors import CorruptFile, NoText, TooLarge, UnknownType
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
    archive = open_archive(body, total_bytes=ARCHIVE_BYTES)
    with archive:
        names = set(archive.namelist())
        main = _main_part(archive, names)
        budget = _Budget(limits.characters)
        notes = _read_notes(archive, names, budget)
        pieces = [_read_part(archive, name, budget) for name in _numbered(names, "header")]
        document = _Document(budget, notes)
        pieces.append(document.read(_part(archive, main)))
        pieces += document.unplaced_notes()
        pieces += [_read_part(archive, name, budget) for name in _numbered(names, "footer")]
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
        for relation in _part(archive, "_rels/.rels").iter("{*}Relationship"):
            if relation.get("Type", "").endswith("/officeDocument"):
                target = posixpath.normpath(relation.get("Target", "").lstrip("/"))
                if target in names and target.endswith(".xml"):
                    return target
    raise UnknownType


def _part(archive: zipfile.ZipFile, name: str) -> etree._Element:
    xml = read_entry(archive, name, most_bytes=XML_BYTES)
    if b"<!DOCTYPE" in xml[:4096] or b"<!ENTITY" in xml[:65_536]:
        raise CorruptFile("This document carries XML declarations that Word never writes.")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
    )
    try:
        return etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise CorruptFile from error


def _numbered(names: set[str], kind: str) -> list[str]:
    pattern = re.compile(rf"word/{kind}(\d{{0,4}})\.xml\Z")
    found = [(int(match[1] or 0), name) for name in names if (match := pattern.match(name))]
    return [name for _, name in sorted(found)]


def _read_part(archive: zipfile.ZipFile, name: str, budget: _Budget) -> str:
    return _Document(budget, {}).read(_part(archive, name))


def _read_notes(
    archive: zipfile.ZipFile, names: set[str], budget: _Budget
) -> dict[tuple[str, str], str]:
    """Return footnotes and endnotes by kind and number."""
    notes: dict[tuple[str, str], str] = {}
    for kind in ("footnote", "endnote"):
        name = f"word/{kind}s.xml"
        if name not in names:
            continue
        for note in _part(archive, name).iter(f"{{*}}{kind}"):
            if _attribute(note, "type") is None:  # the others are the separator lines
                text = _Document(budget, {}).read(note).strip()
                notes[kind, _attribute(note, "id") or ""] = text
    return notes


def _attribute(element: etree._Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if _CLARK.sub("", str(key)) == name:
            return str(value)
    return None


class _Document:
    """One XML part being read; the walk is a loop, so that depth costs no stack."""

    SKIPPED = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "pPrChange"))

    def __init__(self, budget: _Budget, notes: dict[tuple[str, str], str]) -> None:
        self.budget = budget
        self.notes = notes
        self.placed: set[tuple[str, str]] = set()
        self.pieces: list[str] = []
        self.hidden_characters = 0

    def read(self, root: etree._Element) -> str:
        """Return the text of this part."""
        skipping: etree._Element | None = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if not isinstance(element.tag, str):
                continue
            name = _CLARK.sub("", element.tag)
            if skipping is not None:
                if event == "end" and element is skipping:
                    skipping = None
            elif event == "start":
                if name in self.SKIPPED or (name == "r" and self._is_hidden(element)):
                    skipping = element
                else:
                    self._start(name, element)
            else:
                self._end(name, element)
        text = re.sub(r"[ \t]+\n", "\n", "".join(self.pieces))
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def _write(self, text: str) -> None:
        self.pieces.append(self.budget.spend(text))

    def _start(self, name: str, element: etree._Element) -> None:
        if name == "t":
            self._write(element.text or "")
        elif name in ("tab", "ptab") and _is_in_run(element):
            self._write("\t")
        elif name in ("br", "cr"):
            self._write("\n")
        elif name == "noBreakHyphen":
            self._write("-")
        elif name in ("footnoteReference", "endnoteReference"):
            self._place_note(name.removesuffix("Reference"), element)

    def _end(self, name: str, element: etree._Element) -> None:
        if name == "p":
            self._write("\n")
        elif name == "tc":
            while self.pieces and self.pieces[-1] == "\n":
                self.pieces.pop()
            self._write("\t")
        elif name == "tr":
            if self.pieces and self.pieces[-1] == "\t":
                self.pieces.pop()
            self._write("\n")

    def _place_note(self, kind: str, element: etree._Element) -> None:
        key = (kind, _attribute(element, "id") or "")
        if self.notes.get(key) and key not in self.placed:
            self.placed.add(key)
            self._write(f" [{self.notes[key]}]")

    def unplaced_notes(self) -> Iterator[str]:
        """Yield the notes that nothing in the text pointed to."""
        return (text for key, text in self.notes.items() if key not in self.placed and text)

    def _is_hidden(self, run: etree._Element) -> bool:
        for child in run:
            if isinstance(child.tag, str) and _CLARK.sub("", child.tag) == "rPr":
                for prop in child:
                    if (
                        isinstance(prop.tag, str)
                        and _CLARK.sub("", prop.tag) in ("vanish", "webHidden")
                        and _attribute(prop, "val") not in ("0", "false", "off")
                    ):
                        self.hidden_characters += len("".join(run.itertext()))
                        return True
        return False


def _is_in_run(element: etree._Element) -> bool:
    parent = element.getparent()
    return parent is not None and _CLARK.sub("", str(parent.tag)) == "r"
