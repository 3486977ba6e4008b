"""Files of every type become the text that people see in them, or an error that says what to do."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake import IntakeError, Parser, errors
from tests.intake import samples


def test_pdf_pages_come_in_order(parser: Parser):
    """A contract's pages are read one after the other, and counted."""
    parsed = parser.parse(samples.make_pdf("First page", "Second page"))

    assert (parsed.type, parsed.pages) == ("pdf", 2)
    assert parsed.text == "First page\n\nSecond page"


def test_docx_is_read_in_the_order_of_the_page(parser: Parser):
    """Header, paragraphs, table and footer keep their places."""
    parsed = parser.parse(samples.make_docx())

    assert parsed.type == "docx"
    assert parsed.text == (
        "Draft 3\n\nLease agreement\nBetween Ada Lovelace and Charles Babbage.\n"
        "r0c0\tr0c1\nr1c0\tr1c1\nSigned in London.\n\nPage footer"
    )


def test_docx_notes_stand_where_they_are_called(parser: Parser):
    """A footnote is read where the text points to it, and never lost."""
    note = (
        f'<w:footnotes xmlns:w="{samples.WORD}"><w:footnote w:type="separator" w:id="0">'
        '<w:p/></w:footnote><w:footnote w:id="2"><w:p><w:r><w:t>See annex B.</w:t></w:r></w:p>'
        '</w:footnote><w:footnote w:id="3"><w:p><w:r><w:t>Orphan.</w:t></w:r></w:p></w:footnote>'
        "</w:footnotes>"
    ).encode()
    body = samples.paragraphs(
        '<w:p><w:r><w:t>The fee</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r>'
        "<w:r><w:t> is due.</w:t></w:r></w:p>"
    )

    text = parser.parse(samples.make_raw_docx(body, {"word/footnotes.xml": note})).text

    assert text == "The fee [See annex B.] is due.\n\nOrphan."


def test_hidden_docx_text_is_left_out_and_counted(parser: Parser):
    """Text that Word does not show reaches no model, and neither do deleted words."""
    body = samples.paragraphs(
        "<w:p><w:r><w:t>Seen</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>"
        '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t> too</w:t></w:r>'
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    )

    parsed = parser.parse(samples.make_raw_docx(body))

    assert (parsed.text, parsed.hidden_characters) == ("Seen too", 6)


@pytest.mark.parametrize(
    "hidden",
    [
        '<div style="display:none">poison</div>',
        '<div style="DISPLAY : none !important"><p>poison</p></div>',
        "<div hidden>poison</div>",
        '<span style="font-size:0px">poison</span>',
        '<span style="visibility:hidden">poison</span>',
        '<span style="opacity: 0">poison</span>',
        '<div style="max-height:0;overflow:hidden">poison</div>',
        '<font color="#FFFFFF">poison</font>',
        '<span style="color:white;background:#fff">poison</span>',
        '<p class="preheader">poison</p>',
        '<p id="gone">poison</p>',
        "<script>poison</script><style>poison</style><title>poison</title>",
        "<!-- poison --><template>poison</template>",
    ],
)
def test_hidden_html_is_left_out(parser: Parser, hidden: str):
    """What a person would not see is dropped: it is how a page lies to its readers' software."""
    page = (
        "<!doctype html><style>.preheader, #gone { display: none } .shown {display:block}"
        "@media print { .shown { display: none } }</style>"
        f"<body><p class=shown>Before</p>{hidden}<p>After</p>"
    )

    parsed = parser.parse(page.encode())

    assert parsed.text == "Before\n\nAfter"


def test_visible_text_within_invisible_boxes_stays(parser: Parser):
    """A size of nought is undone by an inner size, as marketing mails do; white on blue is seen."""
    page = (
        '<html><table style="font-size:0"><tr><td><div style="font-size:14px">Shown</div></td>'
        '</tr></table><p style="color:#fff;background:#0000ff">Also</p>'
    )

    assert parser.parse(page.encode()).text == "Shown\n\nAlso"


def test_html_keeps_lines_and_characters(parser: Parser):
    """Paragraphs, breaks, cells and preformatted text read as they look."""
    page = (
        "<html><p>One<br>two</p><ul><li>a<li>b</ul><table><tr><td>x<td>y</tr></table>"
        "<pre>  keep\n  this</pre><p>&euro;&nbsp;5 &amp; more &#147;quoted&#148;"
    )

    assert parser.parse(page.encode()).text == (
        "One\ntwo\n\na\nb\n\nx y\n\n  keep\n  this\n\n€ 5 & more “quoted”"
    )


def test_pages_of_pictures_are_read_by_what_stands_for_them(parser: Parser):
    """A newsletter that is one picture still says what it is about."""
    page = b'<html><img src=a.png alt="Spring sale"><img alt="http://x"><img src=b.png></html>'

    assert parser.parse(page).text == "Spring sale"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_file"),
        (b" \r\n\t", "empty_file"),
        (b"\xef\xbb\xbf", "empty_file"),
        (samples.make_pdf("x", encrypted=True), "encrypted_file"),
        (samples.make_pdf(""), "no_text"),
        (b"%PDF-1.7\nnothing more", "corrupt_file"),
        (samples.make_docx()[:900], "corrupt_file"),
        (samples.make_raw_docx(b"<w:document"), "corrupt_file"),
        (samples.make_raw_docx(samples.paragraphs("")), "no_text"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "encrypted_file",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "unknown_type"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "unknown_type"),
        (b"\x7fELF" + bytes(range(64)), "unknown_type"),
        (b"<html><script>only()</script></html>", "no_text"),
    ],
)
def test_what_cannot_be_read_says_why(parser: Parser, body: bytes, code: str):
    """Each reason has a stable code and a sentence that says what to do."""
    with pytest.raises(IntakeError) as caught:
        parser.parse(body)

    assert caught.value.code == code
    assert str(caught.value).count(".") >= 2 or code == "corrupt_file"


def test_errors_survive_the_way_as_json():
    """An error that crossed a process or a database is the same error."""
    for kind in errors.BY_CODE.values():
        again = errors.from_json(json.loads(json.dumps(kind().to_json())))
        assert (type(again), str(again)) == (kind, str(kind()))


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "Grüße, 你好, привет"),
        ("utf-8-sig", "Grüße"),
        ("utf-16", "Grüße, 你好"),
        ("utf-16-le", "Quarterly figures, as agreed on Monday"),
        ("utf-16-be", "Quarterly figures, as agreed on Monday"),
        ("cp1252", "Die Rechnung über 40 € ist fällig – bitte prüfen."),
        ("cp1251", "Здравствуйте, когда будет отправлен наш заказ? Ждём ответа с понедельника."),
        ("iso2022_jp", "お問い合わせありがとうございます。"),
        ("gb18030", "您好，请问我们的订单什么时候发货？我们从星期一开始等待回复，谢谢。"),
    ],
)
def test_text_in_any_charset(parser: Parser, charset: str, text: str):
    """A text file is read whatever program wrote it."""
    assert parser.parse(text.encode(charset)).text == text


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        (b"From: a@example.org\nTo: b@example.org\n\nhello", "", "eml"),
        (b"Received: from x\nSubject: y\n\nhello", "", "eml"),
        (b"From MAILER-DAEMON Fri Jul 8\nFrom: a@example.org\n\nhello", "", "eml"),
        (b"Subject: only this\n\nhello", "x.eml", "eml"),
        (b"Subject: only this\n\nhello", "x.txt", "text"),
        (b"Note: call Ada\nThen: call Bob\n\nhello", "", "text"),
        (b"<!-- c --><HTML><body>x</body>", "x.txt", "html"),
        (b"<p>Just a <b>scrap</b></p>", "", "html"),
        (b"a < b and c > d", "", "text"),
        (b"%PDF-1.4 is how such a file begins", "", "pdf"),
    ],
)
def test_the_bytes_decide(body: bytes, name: str, expected: str):
    """A name only breaks ties: calling a page report.pdf does not make it one."""
    from intake.sniffing import sniff

    assert sniff(body, name) == expected
    assert sniff(body, name, "application/pdf") == expected


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_text_can_always_be_stored(parser: Parser, body: bytes):
    """No NUL and no lone surrogate reaches PostgreSQL or UTF-8."""
    try:
        text = parser.parse(body).text
    except IntakeError:
        return

    assert "\x00" not in text
    text.encode("utf-8")


def test_python_docx_reads_our_sample():
    """Another reader takes our sample: that we read it means something."""
    import docx

    assert docx.Document(io.BytesIO(samples.make_docx())).tables
