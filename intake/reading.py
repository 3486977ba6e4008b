"""From bytes to `Parsed`, by type: what the reading process runs."""

from __future__ import annotations

from intake.docx import read_docx
from intake.errors import CorruptFile, IntakeError, ParseMemory, TooLarge
from intake.html import read_html
from intake.limits import Limits
from intake.mail import read_mail
from intake.parsed import Parsed
from intake.pdf import read_pdf
from intake.plain import read_text


def read(kind: str, body: bytes, limits: Limits) -> Parsed:
    """Return what a file of a sniffed type says; raises only IntakeError."""
    try:
        parsed = _read(kind, body, limits)
    except IntakeError:
        raise
    except MemoryError as error:
        raise ParseMemory from error
    except RecursionError as error:
        raise CorruptFile(
            "This file is nested too deeply to be read. Save it in a simpler form."
        ) from error
    except Exception as error:  # a reader's own mistake: this document fails, the next does not
        raise CorruptFile from error
    if len(parsed.text) > limits.characters:
        raise TooLarge(
            f"This file holds {len(parsed.text):,} characters, more than the "
            f"{limits.characters:,} allowed. Split it and send the parts."
        )
    return parsed


def _read(kind: str, body: bytes, limits: Limits) -> Parsed:
    match kind:
        case "pdf":
            return read_pdf(body, limits)
        case "docx":
            return read_docx(body, limits)
        case "html":
            return read_html(body)
        case "eml":
            return read_mail(body, limits)
        case _:
            return read_text(body)
