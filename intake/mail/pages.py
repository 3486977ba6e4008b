"""HTML bodies: their visible text, and where the mail program itself marked quote and signature."""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from intake.html import Page, render
from intake.vocabulary import words

QUOTE_CLASSES = words(
    """
    gmail_quote gmail_quote_container gmail_extra_quote yahoo_quoted moz-cite-prefix
    protonmail_quote zmail_extra tutanota_quote mailbox_quote freebirdquotedmessage
    outlookmessageheader wordsection_quote front-blockquote hcsmtp_quote
    ms-outlook-mobile-reference-message gmail_attr quoted-text
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
    """The text of a page without what its marks call quote or signature."""

    kept: str
    quotes: tuple[str, ...]


def read_page(html: str) -> tuple[Page, Quoted | None]:
    """Return a page, and what is left of it without marked quotes; None when nothing is marked."""
    page = render(html, _mark)
    if not page.marks:
        return page, None
    kept: list[str] = []
    quotes: list[str] = []
    place = 0
    for start, end, name in page.marks:
        if start < place:
            continue
        kept.append(page.text[place:start])
        if name == "rest":
            end = len(page.text)
        if name != "signature":
            quotes.append(page.text[start:end])
        place = end
    kept.append(page.text[place:])
    return page, Quoted("".join(kept), tuple(quotes))


def _mark(node: LexborNode) -> str | None:
    attributes = node.attributes
    tag = node.tag
    if tag == "blockquote":
        if (attributes.get("type") or "").lower() == "cite" or "cite" in attributes:
            return "quote"
        if "gmail_quote" in (attributes.get("class") or ""):
            return "quote"
        return None
    if not attributes:
        return None
    classes = {name.lower() for name in (attributes.get("class") or "").split()[:20]}
    identity = (attributes.get("id") or "").lower().removeprefix("x_")
    classes = {name.removeprefix("x_") for name in classes}
    if identity in REST_IDS:
        return "rest"
    if classes & QUOTE_CLASSES or identity in QUOTE_IDS:
        return "quote"
    if classes & SIGNATURE_CLASSES or identity in SIGNATURE_IDS:
        return "signature"
    return None
