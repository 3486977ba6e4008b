"""HTML bodies: their visible text, and where the mail program itself marked quote and signature."""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from intake.html import Page, render
from intake.vocabulary import words

QUOTE_CLASSES = words(
    """
    yahoo_quoted moz-cite-prefix
    protonmail_quote zmail_extra tutanota_quote mailbox_quote freebirdquotedmessage
    outlookmessageheader wordsection_quote front-blockquote hcsmtp_quote
    ms-outlook-mobile-reference-message quoted-text
    """
)
QUOTE_IDS = words(
    """
    divrplyfwdmsg olk_src_body_section appendonsend mail-editor-reference-message-container
    yahoo_quoted replysplit reply-intro origbody isforwardcontent outlookmessageheader
    ms-outlook-mobile-reference-message
    """
)
SIGNATURE_CLASSES = words(
    """
    gmail_signature moz-signature protonmail_signature_block yahoo-signature
    tutanota_signature zimbra-signature
    """
)
SIGNATURE_IDS = words(
    """
    signature mobile-signature composer_signature ms-outlook-mobile-signature
    applemailsignature ymail_android_signature
    """
)
# What stands after these belongs to the quote too, outside of their element
REST_IDS = frozenset(
    (
        "divrplyfwdmsg",
        "appendonsend",
        "olk_src_body_section",
        "mail-editor-reference-message-container",
    )
)


@dataclass(frozen=True)
class Quoted:
    """The text of a page in the manner of a plain mail: `> ` before what its marks call quoted."""

    text: str
    quotes: bool


def read_page(html: str) -> tuple[Page, Quoted | None]:
    """Return a page, and its text with quotes marked; None when its marks show none."""
    page = render(html, _mark)
    if not page.marks:
        return page, None
    pieces: list[str] = []
    quotes = False
    place = 0
    for start, end, name in page.marks:
        if start < place:
            continue
        pieces.append(page.text[place:start])
        if name == "rest":
            end = len(page.text)
        if name != "signature":
            quotes = True
            quoted = page.text[start:end].replace("\n", "\n> ")
            pieces.append(f"\n> {quoted}\n")
        place = end
    pieces.append(page.text[place:])
    return page, Quoted("".join(pieces), quotes)


def _mark(node: LexborNode) -> str | None:
    attributes = node.attributes
    if node.tag == "blockquote":
        style = (attributes.get("style") or "").lower().replace(" ", "")
        indented = "border:none" in style or "indent" in (attributes.get("class") or "")
        return None if indented else "quote"
    if not attributes:
        return None
    classes = {
        name.lower().removeprefix("x_") for name in (attributes.get("class") or "").split()[:20]
    }
    identity = (attributes.get("id") or "").lower().removeprefix("x_")
    if (attributes.get("name") or "").lower() == "messagereplysection":
        return "quote"
    if identity in REST_IDS:
        return "rest"
    if classes & QUOTE_CLASSES or identity in QUOTE_IDS:
        return "quote"
    if classes & SIGNATURE_CLASSES or identity in SIGNATURE_IDS:
        return "signature"
    return None
