"""Documents made for the tests: small ones, damaged ones, and ones that ask for too much."""

from __future__ import annotations

import io
import zipfile
import zlib

import docx

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>'
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def make_pdf(*pages: str, encrypted: bool = False, stream: bytes | None = None) -> bytes:
    """Return a PDF with one line of text a page; or with `stream` as the only page's content."""
    contents = [b"BT /F1 12 Tf 20 100 Td (%s) Tj ET" % page.encode("latin-1") for page in pages]
    filters = b""
    if stream is not None:
        contents, filters = [stream], b" /Filter /FlateDecode"
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number)
        )
        objects.append(
            b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(content), filters, content)
        )
    trailer = b""
    if encrypted:
        key = b"<" + b"00" * 32 + b">"
        objects.append(b"<< /Filter /Standard /V 1 /R 2 /O %s /U %s /P -4 >>" % (key, key))
        trailer = b" /Encrypt %d 0 R /ID [<00> <00>]" % len(objects)
    return _assemble(objects, trailer)


def _assemble(objects: list[bytes], trailer: bytes) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R%s >>\n" % (len(objects) + 1, trailer)
    out += b"startxref\n%d\n%%%%EOF" % table
    return bytes(out)


def make_docx() -> bytes:
    """Return a document with a heading, a table, a header and a footer, as Word writes it."""
    document = docx.Document()
    document.add_heading("Lease agreement", 1)
    document.add_paragraph("Between Ada Lovelace and Charles Babbage.")
    table = document.add_table(2, 2)
    for row in range(2):
        for column in range(2):
            table.cell(row, column).text = f"r{row}c{column}"
    document.add_paragraph("Signed in London.")
    document.sections[0].header.paragraphs[0].text = "Draft 3"
    document.sections[0].footer.paragraphs[0].text = "Page footer"
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def make_raw_docx(document: bytes, extra: dict[str, bytes] | None = None) -> bytes:
    """Return a DOCX around any bytes as its main part."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("word/document.xml", document)
        for name, body in (extra or {}).items():
            archive.writestr(name, body)
    return stream.getvalue()


def paragraphs(inner: str) -> bytes:
    """Return a main part around some WordprocessingML."""
    return f'<w:document xmlns:w="{WORD}"><w:body>{inner}</w:body></w:document>'.encode()


def make_element_bomb(elements: int) -> bytes:
    """Return a small DOCX that becomes a very large tree."""
    return make_raw_docx(paragraphs("<w:p/>" * elements))


def make_zip_bomb(size: int) -> bytes:
    """Return a DOCX whose main part is `size` bytes of blanks."""
    return make_raw_docx(b" " * size)


def make_lying_zip(size: int) -> bytes:
    """Return a DOCX whose table of contents says that its main part is tiny."""
    body = bytearray(make_raw_docx(paragraphs("<w:p/>" + " " * size)))
    archive = zipfile.ZipFile(io.BytesIO(bytes(body)))
    true = archive.getinfo("word/document.xml").file_size.to_bytes(4, "little")
    for _ in range(2):  # in the local header and in the central directory
        place = body.rindex(true)
        body[place : place + 4] = (100).to_bytes(4, "little")
    return bytes(body)


def make_pdf_bomb(size: int) -> bytes:
    """Return a PDF whose page content inflates to `size` bytes of text operators."""
    return make_pdf(stream=zlib.compress(b"BT /F1 9 Tf (aaaaaaaa) Tj ET\n" * (size // 29), 9))


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + f']><w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p>'
    "</w:body></w:document>"
).encode()
