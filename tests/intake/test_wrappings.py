"""Wrapped mail: what Outlook and S/MIME put around it comes off, and nothing is lost by it."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake.mail.outlook import NoPackageError, unpack
from intake.mail.signed import NotSignedError, signed_content
from tests.intake import wrappings as w
from tests.intake.test_mail_bodies import multipart

INNER = b"Content-Type: text/plain; charset=utf-8\r\n\r\nThe engine is broken: \xc3\xa4.\r\n"
PLAN, PICTURE = b"one\ntwo\n", b"\x89PNG\r\n\x1a\n\0\0"


def part(kind: str, body: bytes) -> str:
    """Return a part of a mail in base64."""
    encoded = base64.encodebytes(body).decode()
    return f"Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n{encoded}"


def winmail(body: bytes) -> str:
    """Return a winmail.dat as a part."""
    return part("application/ms-tnef; name=winmail.dat", body)


def test_files_in_winmail_dat_are_attachments(read):
    """They come after the package, which stays; names in every alphabet, bytes as they were."""
    packed = w.package(
        w.file("Plan für Ω.txt", PLAN), w.file("b.png", PICTURE, media_type="image/png", old=True)
    )

    mail = read(multipart("mixed", "\nSee below.", winmail(packed), head="Subject: x\n"))

    assert [(item.name, item.type) for item in mail.attachments] == [
        ("winmail.dat", "application/ms-tnef"),
        ("Plan für Ω.txt", "application/octet-stream"),
        ("b.png", "image/png"),
    ]
    assert [item.body for item in mail.attachments] == [packed, PLAN, PICTURE]
    assert mail.text == "See below."
    assert not mail.warnings


def test_text_in_winmail_dat_is_read_where_there_is_no_other(read):
    """Outlook repeats there what the mail says; some of its relatives say it only there."""
    html = w.prop(w.BINARY, w.HTML, "<p>Größe <b>5</b></p>".encode())
    page = w.prop(w.LONG, 0x3FDE, struct.pack("<i", 65001))
    plain = w.prop(w.STRING, w.TEXT, "Größe 5\0".encode("cp1252"))
    named = w.prop(w.STRING, 0, b"blue\0", named=True)

    assert read(winmail(w.package(properties=(named, html, page)))).text == "Größe 5"
    assert read(winmail(w.package(properties=(named, plain)))).text == "Größe 5"
    beside = multipart("mixed", "\nShort.", winmail(w.package(properties=(plain,))))
    assert read(beside).text == "Short."


def test_a_mail_within_winmail_dat_is_a_file_and_so_are_its_files():
    """What is attached to the attached is found; a thousand within each other come to an end."""
    inner = w.package(
        w.file("deep.txt", PLAN), properties=(w.prop(w.STRING, w.TEXT, b"Old words\0"),)
    )
    found = unpack(w.package(w.attached_mail("Offer", inner))).files
    deep = w.package()
    for _ in range(1_000):
        deep = w.package(w.attached_mail("x", deep))

    assert [(item.name, item.body) for item in found] == [
        ("Offer.txt", b"Old words"),
        ("deep.txt", PLAN),
    ]
    assert len(unpack(deep).files) < 10


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_package_gives_what_stands_before_the_damage(data: st.DataObject):
    """No bytes make the reader fail, invent files that are not there, or read beyond the end."""
    whole = w.package(
        w.file("a.txt", PLAN),
        w.attached_mail("b", w.package(w.file("c.txt", PLAN))),
        properties=(w.prop(w.STRING, w.TEXT, b"words\0"),),
    )
    body = bytearray(whole[: data.draw(st.integers(6, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(4, len(body) - 1))] = data.draw(st.integers(0, 255))

    found = unpack(bytes(body))

    assert sum(item.size for item in found.files) <= 4 * len(body)


@pytest.mark.parametrize("count", [0, 2**32 - 1])
def test_lengths_that_lie_cost_nothing(count: int):
    """A list of four thousand million properties, or a string as long, is read to its end."""
    said = struct.pack("<I", count) + w.prop(w.STRING, w.TEXT, b"x\0") * 3
    string = struct.pack("<IHHII", 1, w.STRING, w.TEXT, 2**32 - 1, 2**32 - 1) + b"abc"

    assert unpack(w.package(w.attribute(1, 0x9003, said))).text == ("x" if count else "")
    assert unpack(w.package(w.attribute(1, 0x9003, string))).text == ""
    with pytest.raises(NoPackageError):
        unpack(b"not a package")


def test_a_damaged_winmail_dat_is_said_and_kept(read):
    """A person can still try with another program."""
    mail = read(multipart("mixed", "\nHi", winmail(b"not a package")))

    assert "winmail.dat" in mail.warnings[0]
    assert mail.attachments[0].body == b"not a package"


@pytest.mark.parametrize(
    "kind",
    [
        "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m",
        "application/x-pkcs7-mime; name=smime.p7m",
        "application/octet-stream; name=smime.p7m",
    ],
)
def test_a_mail_signed_in_one_piece_is_read(read, kind: str):
    """What it says counts; that nobody checked the signature is said."""
    mail = read(f"Subject: x\n{part(kind, w.signed(INNER))}")

    assert mail.text == "The engine is broken: ä."
    assert mail.warnings == ("its signature (S/MIME) was not checked",)
    assert [item.name for item in mail.attachments] == ["smime.p7m"]


def test_files_within_a_signature_are_attachments(read):
    """Signed twice, in pieces, with a file: all of it comes out."""
    inner = multipart("mixed", "\nSigned words.", 'Content-Type: image/png; name="p.png"\n\nx')
    body = w.signed(b"Content-Type: application/pkcs7-mime\n\n" + w.signed(inner.encode()))

    mail = read(part("application/pkcs7-mime", body))

    assert mail.text == "Signed words."
    assert [item.name for item in mail.attachments] == [None, None, "p.png"]
    assert signed_content(w.streamed(b"Content-", b"Type: ", b"")) == b"Content-Type: "


def test_envelopes_within_envelopes_come_to_an_end(read):
    """Ten signatures around each other are more than anybody sends."""
    body = INNER
    for _ in range(10):
        body = b"Content-Type: application/pkcs7-mime\n\n" + w.streamed(
            *(body[start : start + 100] for start in range(0, len(body), 100))
        )

    assert read(body).text == ""


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_signature_is_refused(data: st.DataObject):
    """Cut anywhere, with any byte changed: the reader says so, or gives bytes that were there."""
    whole = w.streamed(INNER[:60], INNER[60:])
    body = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if body else 0):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = signed_content(bytes(body))
    except NotSignedError:
        return
    assert len(found) < len(body)


def test_lengths_without_end_are_refused():
    """A hundred thousand elements that open and never close do not exhaust the stack."""
    with pytest.raises(NotSignedError):
        signed_content(b"\x30\x80" * 100_000)
