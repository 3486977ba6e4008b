"""Write the sample files: `python -m service.samples.make`. A second run changes no byte."""

from __future__ import annotations

import io
import textwrap
import zipfile
from datetime import UTC, datetime
from email.message import EmailMessage

import docx

from service.samples import FOLDER, texts

LINE = 88  # characters of a PDF line
MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FONTS = {"title": ("F2", 16, 26), "head": ("F2", 11, 22), "text": ("F1", 10, 14)}


def main() -> None:
    """Write every sample."""
    FOLDER.mkdir(exist_ok=True)
    files = {
        "hotel-review.txt": texts.REVIEW.encode(),
        "refund-ticket.txt": texts.TICKET.encode(),
        "broken-chairs.eml": complaint(),
        "spring-offer.eml": offer(),
        "nda.docx": word(texts.NDA),
        "consulting-agreement.pdf": pdf(texts.CONSULTING),
    }
    for name, body in files.items():
        (FOLDER / name).write_bytes(body)


def complaint() -> bytes:
    """Return a mail with an attachment."""
    message = EmailMessage()
    message["From"] = "Amara Osei <amara@copper-kettle.example>"
    message["To"] = "service@ardea-furniture.example"
    message["Subject"] = "Urgent: five broken chairs in order 48-20713"
    message["Date"] = "Tue, 03 Mar 2026 10:12:44 +0000"
    message["Message-ID"] = "<20260303101244.48-20713@copper-kettle.example>"
    message.set_content(texts.COMPLAINT)
    message.add_attachment(texts.DELIVERY_NOTE, filename="delivery-note-90311.txt")
    message.set_boundary("=_mailroom_sample_1")
    return message.as_bytes()


def offer() -> bytes:
    """Return a mail that has HTML only."""
    message = EmailMessage()
    message["From"] = "Garden & Gather <news@shop.example>".replace(" & ", " and ")
    message["To"] = "service@ardea-furniture.example"
    message["Subject"] = "40 % off: spring is here!"
    message["Date"] = "Mon, 02 Mar 2026 06:00:00 +0000"
    message["Message-ID"] = "<spring-2026@shop.example>"
    message["List-Unsubscribe"] = "<https://shop.example/leave>"
    message.set_content(texts.OFFER_HTML, subtype="html")
    return message.as_bytes()


def word(blocks: list[tuple[str, str]]) -> bytes:
    """Return a Word document whose zip carries no date but our own."""
    document = docx.Document()
    properties = document.core_properties
    properties.author, properties.created, properties.modified = "Mailroom", MOMENT, MOMENT
    for style, text in blocks:
        if style == "title":
            document.add_heading(text, level=0)
        elif style == "head":
            document.add_heading(text, level=2)
        else:
            document.add_paragraph(text)
    written = io.BytesIO()
    document.save(written)
    fixed = io.BytesIO()
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(fixed, "w") as new:
        for name in sorted(old.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            entry = zipfile.ZipInfo(name, MOMENT.timetuple()[:6])
            new.writestr(entry, old.read(name), zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


def pdf(pages: list[list[tuple[str, str]]]) -> bytes:
    """Return a PDF 1.4 with one page for each list of blocks, in a font every reader has."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    objects += [f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>"
                for font in ("Helvetica", "Helvetica-Bold")]  # fmt: skip
    kids = []
    for blocks in pages:
        drawn = content(blocks)
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> "
            f"/Contents {len(objects)} 0 R >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    return assembled(objects)


def content(blocks: list[tuple[str, str]]) -> str:
    """Return the drawing commands of one page."""
    y = 780
    commands = ["BT"]
    for style, text in blocks:
        font, size, leading = FONTS[style]
        y -= leading - 14
        for line in textwrap.wrap(text, LINE):
            escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            commands.append(f"/{font} {size} Tf 1 0 0 1 60 {y} Tm ({escaped}) Tj")
            y -= 14
        y -= 6
    return "\n".join([*commands, "ET"])


def assembled(objects: list[str]) -> bytes:
    """Return numbered objects as a file with its table of places."""
    written = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = len(written)
    written += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    written += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    written += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    written += f"startxref\n{table}\n%%EOF\n".encode()
    return bytes(written)


if __name__ == "__main__":
    main()
