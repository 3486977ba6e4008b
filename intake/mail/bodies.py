"""A mail's own text: which parts it is made of, and how they read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from intake.charsets import clean, decode
from intake.html import decode_page
from intake.mail.attachments import attach, attach_bytes, is_body
from intake.mail.outlook import NoPackageError, unpack
from intake.mail.pages import Quoted, read_page
from intake.mail.signed import NotSignedError, signed_content
from intake.mail.structure import Part, parse_message
from intake.mail.transfer import find_uuencoded
from intake.parsed import Attachment

# What programs write into the plain half of a mail that is only meant to be seen as HTML
_PLACEHOLDER = re.compile(
    r"html[ -]?(?:e-?mail|message|mail|format|version|capable|compatible|enabled)"
    r"|(?:view|read|see|display)[^.\n]{0,60}(?:html|browser|web ?page|online)"
    r"|not support[^.\n]{0,20}html|supports? html|enable html|html[^.\n]{0,40}(?:view|enabled)"
    r"|kein html|html-(?:mail|format|fähig|ansicht)|format html|en html",
    re.IGNORECASE,
)
PLACEHOLDER_CHARACTERS = 400
TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
INNER_DEPTH = 8  # of parts within an envelope
ENCLOSED = 20  # mails within one that are read when it has no text itself


@dataclass
class Text:
    """One text of a body."""

    text: str
    html: bool = False
    quoted: Quoted | None = None  # of HTML: where its own marks put quotes and signatures
    hidden_characters: int = 0


@dataclass
class Body:
    """All texts of a mail in their order, and the files that came with it."""

    texts: list[Text] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # what could not be opened or checked

    @property
    def text(self) -> str:
        """The texts one after the other, as a person sees them."""
        return "\n".join(text.text.rstrip() for text in self.texts if text.text.strip()).strip("\n")

    @property
    def hidden_characters(self) -> int:
        """How many characters were hidden from people and left out."""
        return sum(text.hidden_characters for text in self.texts)


def read_body(root: Part, *, depth: int = 3) -> Body:
    """Return the body of a parsed mail; of one without a text, the text of mails within it.

    `depth` says how many mails within each other are looked into.
    """
    reader = _Reader(first=next((leaf for leaf in root.walk() if not leaf.children), None))
    texts = _without_repetition(reader.read(root))
    if not any(text.text.strip() for text in texts):
        texts = reader.packed or (_read_enclosed(root, depth) if depth > 0 else [])
    return Body(texts, reader.attachments, list(dict.fromkeys(reader.warnings)))


def _read_enclosed(root: Part, depth: int) -> list[Text]:
    """Return the texts of the mails that a mail consists of: one passed on without a word."""
    enclosed = [part for part in root.walk() if part.type == "message/rfc822"]
    bodies = (
        read_body(parse_message(part.decoded()[0], depth=depth), depth=depth - 1)
        for part in enclosed[:ENCLOSED]
    )
    return [text for body in bodies for text in body.texts]


@dataclass
class _Reader:
    """Walks the parts, gathers attachments, and returns texts."""

    first: Part | None
    attachments: list[Attachment] = field(default_factory=list)
    packed: list[Text] = field(default_factory=list)  # within winmail.dat: said elsewhere as a rule
    warnings: list[str] = field(default_factory=list)
    sealed: int = 3  # S/MIME envelopes within each other that are opened

    def read(self, part: Part) -> list[Text]:
        if part.type == "multipart/encrypted":
            self.warnings.append("its content is encrypted (PGP) and cannot be read here")
        if part.children:
            if part.type == "multipart/alternative":
                return self._choose(part)
            return [text for child in part.children for text in self.read(child)]
        if part.type.startswith("multipart/"):
            return self._read_undivided(part)
        if part.root and part.type.startswith("text/"):
            return self._read_leaf(part) if part.disposition != "attachment" else self._file(part)
        if is_body(part, first=part is self.first):
            return self._read_leaf(part)
        return self._file(part)

    def _file(self, part: Part) -> list[Text]:
        """Keep a file; of one that is a wrapping of Outlook's or S/MIME's, what is in it too."""
        file = attach(part)
        self.attachments.append(file)
        name = (file.name or "").lower()
        if part.type in TNEF or name == "winmail.dat":
            self._unpack(file.body)
        elif (part.type in SMIME and not name.endswith((".p7s", ".p7c"))) or name == "smime.p7m":
            return self._open(file.body, part.parameters.get("smime-type", "").lower())
        return []

    def _unpack(self, data: bytes) -> None:
        try:
            package = unpack(data)
        except NoPackageError:
            self.warnings.append("winmail.dat is damaged and could not be unpacked")
            return
        self.attachments += package.files
        if package.html:
            self.packed.append(_read_html(decode_page(package.html, package.html_charset)))
        elif package.text.strip():
            self.packed.append(Text(_tidy(package.text)))

    def _open(self, data: bytes, kind: str) -> list[Text]:
        """Return the texts within an S/MIME envelope; those of one that is encrypted stay there."""
        try:
            content = signed_content(data) if self.sealed > 0 else b""
        except NotSignedError:
            content = b""
        if not content:
            what = "signed" if kind == "signed-data" else "encrypted"
            self.warnings.append(
                f"its content is {what} (S/MIME) in one piece and cannot be read here"
            )
            return []
        self.warnings.append("its signature (S/MIME) was not checked")
        inner = parse_message(content, depth=INNER_DEPTH)
        self.sealed -= 1
        self.first = next((leaf for leaf in inner.walk() if not leaf.children), None)
        return self.read(inner)

    def _read_undivided(self, part: Part) -> list[Text]:
        """A multipart in which no part was found: its bytes are all there is."""
        data, _ = part.decoded()
        return [Text(_tidy(decode(data)))] if data.strip() else []

    def _choose(self, part: Part) -> list[Text]:
        """Return the plain version, or the HTML one where the plain one says nothing."""
        versions = [self.read(child) for child in part.children]
        versions = [version for version in versions if any(text.text.strip() for text in version)]
        plain = [version for version in versions if not any(text.html for text in version)]
        rich = [version for version in versions if any(text.html for text in version)]
        if not plain or not rich:
            return (plain or rich or [[]])[0 if plain else -1]
        if _is_placeholder(_joined(plain[0]), _joined(rich[-1])):
            return rich[-1]
        chosen = plain[0]
        if len(chosen) == 1 and chosen[0].quoted is None:
            chosen[0].quoted = rich[-1][-1].quoted if len(rich[-1]) == 1 else None
            chosen[0].hidden_characters = sum(text.hidden_characters for text in rich[-1])
        return chosen

    def _read_leaf(self, part: Part) -> list[Text]:
        data, footer = part.decoded()
        if part.type == "text/html" or (
            part.root and not part.headers.raw("content-type") and _is_page(data)
        ):
            texts = [_read_html(decode_page(data, part.charset))]
        else:
            texts = [self._read_plain(part, data)]
        if footer.strip():
            texts.append(Text(_tidy(decode(footer))))
        return texts

    def _read_plain(self, part: Part, data: bytes) -> Text:
        files = find_uuencoded(data) if b"begin" in data else []
        for start, end, name, body in reversed(files):
            data = data[:start] + data[end:]
            self.attachments.append(attach_bytes(name, body))
        text = _tidy(decode(data, part.charset))
        if part.parameters.get("format", "").lower() == "flowed":
            text = unflow(text, delete_space=part.parameters.get("delsp", "").lower() == "yes")
        if part.type in ("text/enriched", "text/richtext"):
            text = _strip_enriched(text)
        return Text(text)


def _read_html(html: str) -> Text:
    page, quoted = read_page(clean(html))
    return Text(
        _tidy(page.text), html=True, quoted=quoted, hidden_characters=page.hidden_characters
    )


def _is_page(data: bytes) -> bool:
    return data.lstrip()[:14].lower().startswith((b"<html", b"<!doctype html"))


def _tidy(text: str) -> str:
    return clean(text).removeprefix("\ufeff")


def _joined(texts: list[Text]) -> str:
    return "\n".join(text.text for text in texts)


def _is_placeholder(plain: str, rich: str) -> bool:
    plain = plain.strip()
    if not plain:
        return True
    if len(plain) > PLACEHOLDER_CHARACTERS:
        return False
    return _PLACEHOLDER.search(plain) is not None and " ".join(plain.split()) not in " ".join(
        rich.split()
    )


def _without_repetition(texts: list[Text]) -> list[Text]:
    """Drop the HTML that repeats a plain text beside it: an alternative sent as a mixture."""
    kept: list[Text] = []
    for text in texts:
        if kept and text.html and not kept[-1].html and _says_the_same(kept[-1].text, text.text):
            kept[-1].quoted = text.quoted
            continue
        kept.append(text)
    return kept


def _says_the_same(one: str, other: str) -> bool:
    words, others = one.split(), other.split()
    if not words or not 0.7 < len(words) / max(len(others), 1) < 1.4:
        return False
    shared = len(set(words) & set(others))
    return shared > 0.8 * min(len(set(words)), len(set(others)))


def unflow(text: str, *, delete_space: bool = False) -> str:
    """Return format=flowed text (RFC 3676) with its soft line ends undone."""
    paragraphs: list[list[str]] = []
    depth = -1  # of quotes in the paragraph being joined; -1 when none is open
    for raw in text.split("\n"):
        stripped = raw.lstrip(">")
        level = len(raw) - len(stripped)
        line = stripped.removeprefix(" ")  # the blank that stuffing put there
        soft = line.endswith(" ") and line not in ("-- ", "- ") and bool(line.strip())
        if depth == level and line != "-- ":
            paragraphs[-1].append(line)
        else:
            paragraphs.append([raw if level else line])
        if soft and delete_space:
            paragraphs[-1][-1] = paragraphs[-1][-1][:-1]
        depth = level if soft else -1
    return "\n".join(map("".join, paragraphs))


def _strip_enriched(text: str) -> str:
    """Return text/enriched (RFC 1896) without its marks; single line ends were only folds."""
    text = re.sub(r"<param>[^<]{0,1000}</param>", "", text, flags=re.IGNORECASE)
    text = re.sub(r"</?[A-Za-z][A-Za-z0-9-]{0,59}>", "", text).replace("<<", "<")
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    return re.sub(r"\n(\n+)", r"\1", text)
