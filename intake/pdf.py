"""PDF to text: what its text layer says, page after page."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium

from intake.charsets import clean
from intake.errors import CorruptFile, EncryptedFile, NoText, TooLarge
from intake.limits import Limits
from intake.parsed import Parsed

PAGE_BREAK = "\n\n"


def read_pdf(body: bytes, limits: Limits) -> Parsed:
    """Return the text of every page in order, an empty line between pages.

    Raises EncryptedFile, NoText (pages without a text layer), TooLarge and CorruptFile.
    """
    document = _open(body)
    try:
        count = len(document)
        if count > limits.pages:
            raise TooLarge(
                f"This PDF has {count:,} pages, more than the {limits.pages:,} allowed. "
                "Split it and send the parts."
            )
        if count == 0:
            raise CorruptFile
        texts, damaged, pictures = _read_pages(document, count, limits)
    finally:
        document.close()
    if damaged == count:
        raise CorruptFile
    text = clean(PAGE_BREAK.join(texts))
    if not text.strip():
        raise NoText
    warnings = []
    if damaged:
        warnings.append(f"{damaged} of {count} pages are damaged and were left out")
    if pictures:
        warnings.append(f"{pictures} of {count} pages hold no text: they may be pictures")
    return Parsed(type="pdf", text=text.rstrip(), pages=count, warnings=tuple(warnings))


def _open(body: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise EncryptedFile from error
        raise CorruptFile from error


def _read_pages(
    document: pypdfium2.PdfDocument, count: int, limits: Limits
) -> tuple[list[str], int, int]:
    """Return the pages' texts, how many were damaged, and how many held none."""
    texts: list[str] = []
    damaged = pictures = characters = 0
    for number in range(count):
        try:
            text = _read_page(document, number)
        except pypdfium2.PdfiumError:
            damaged += 1
            continue
        characters += len(text)
        if characters > limits.characters:
            raise TooLarge(
                f"This PDF holds more than the {limits.characters:,} characters allowed. "
                "Split it and send the parts."
            )
        if text.strip():
            texts.append(text)
        else:
            pictures += 1
    return texts, damaged, pictures


def _read_page(document: pypdfium2.PdfDocument, number: int) -> str:
    page = document[number]
    try:
        layer = page.get_textpage()
        try:
            text: str = layer.get_text_range()
        finally:
            layer.close()
    finally:
        page.close()
    # PDFium writes U+FFFE where a word was divided at the end of a line
    return clean(text.replace("\ufffe\r\n", "").replace("\ufffe", "")).strip("\n")
