"""Fields of a mail as programs really write them: subjects, senders, ids, dates, file names."""

from __future__ import annotations

import pytest

REST = "From: a@example.org\nTo: b@example.org\n\nx"


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Plain and short", "Plain and short"),
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ==?= aus Wien", "Grüße aus Wien"),
        ("=?utf-8?q?one?= =?utf-8?q?_two?=", "one two"),
        ("=?utf-8?q?one?=\n =?utf-8?q?two?=", "onetwo"),
        ("=?utf-8?q?one?= and =?utf-8?q?two?=", "one and two"),
        ("=?utf-8?B?4oI=?= =?utf-8?B?rCA1?=", "€ 5"),  # a character split over two words
        ("=?utf-8?q?blank within?=", "blank within"),
        ("=?iso-8859-1?Q?Rechnung_=80_5?=", "Rechnung € 5"),  # windows-1252 under another name
        ("=?x-unknown?Q?caf=C3=A9?=", "café"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?ks_c_5601-1987?B?vsiz58fPvLy/5A==?=", "안녕하세요"),
        ("=?iso-2022-jp?B?GyRCJDMbKEI=?= =?iso-2022-jp?B?GyRCJHMbKEI=?=", "こん"),
        ("=?iso-2022-jp?B?GyRCLWpARDZ1GyhCIDU=?=", "㈱青空 5"),  # with signs that Windows adds
        ("=?iso-2022-jp?B?GyRCLSEbKEkxMhsoQiE=?=", "①ｱｲ!"),
        ("=?iso-2022-jp?B?GyRCJSslPyU=?= =?iso-2022-jp?B?bSUwQEE1YRsoQg==?=", "カタログ請求"),
        ("=?utf-8*en?Q?language?=", "language"),
        ("glued=?utf-8?q?_word?=", "glued word"),
        ('"=?utf-8?q?quoted?="', '"quoted"'),
        ("=?utf-8?q?never closed", "=?utf-8?q?never closed"),
        ("folded\n\tover\n lines", "folded over lines"),
        ("=?utf-8?B?bad base64!!!?=", None),
    ],
)
def test_subjects(read, raw: str, subject: str | None):
    """A subject reads as it did where it was written."""
    found = read(f"Subject: {raw}\n{REST}").subject

    if subject is not None:
        assert found == subject


def test_raw_bytes_in_fields_are_of_the_bodys_charset(read):
    """Old programs put bytes into fields without a word on their charset: the text below has it."""
    raw = b"Subject: \xcf\xf0\xe8\xe2\xe5\xf2\nFrom: a@example.org\nTo: b@c.d\n"
    raw += b"Content-Type: text/plain; charset=windows-1251\n\n\xcf\xf0\xe8\xe2\xe5\xf2"

    mail = read(raw)

    assert (mail.subject, mail.text) == ("Привет", "Привет")


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        ("From: ada@example.org", "ada@example.org"),
        ("From: Ada <ada@example.org>", "Ada <ada@example.org>"),
        ('From: "Lovelace, Ada" <ada@example.org>', '"Lovelace, Ada" <ada@example.org>'),
        ("From: ada@example.org (Ada Lovelace)", "Ada Lovelace <ada@example.org>"),
        (
            "From: =?utf-8?Q?Lovelace=2C_Ada?= <ada@example.org>",
            '"Lovelace, Ada" <ada@example.org>',
        ),
        ("From: =?utf-8?q?A,B?= <ada@example.org>", '"A,B" <ada@example.org>'),
        ("From: Ada <<ada@example.org>>", "Ada <ada@example.org>"),
        ("From: Ada [Sales] <ada@example.org>", '"Ada [Sales]" <ada@example.org>'),
        ("From: ada@example.org <ada@example.org>", "ada@example.org"),
        ("From: Group: ada@example.org, bob@example.org;", "ada@example.org"),
        ("From: Ada <ada@example.org>, Bob <bob@example.org>", "Ada <ada@example.org>"),
        ("From: Postmaster", "Postmaster"),
        ("Sender: ada@example.org", "ada@example.org"),
        ("From:\nReturn-Path: <ada@example.org>", "ada@example.org"),
        ("From : Ada <ada@example.org>", "Ada <ada@example.org>"),
        ("FROM:Ada<ada@example.org>", "Ada <ada@example.org>"),
        (
            'From: "Ada \\"Countess\\" L" <ada@example.org>',
            '"Ada \\"Countess\\" L" <ada@example.org>',
        ),
        (
            "From: Ada Lovelace <@relay.example,@b.example:ada@example.org>",
            "Ada Lovelace <ada@example.org>",
        ),
    ],
)
def test_senders(read, fields: str, sender: str):
    """Whom a mail is from, in every form that a program has found to write it."""
    assert read(f"{fields}\nSubject: s\nTo: b@example.org\n\nx").sender == sender


def test_the_envelope_of_an_mbox_file_is_the_last_resort(read):
    """A mail without any sender field still says where it came from."""
    mail = read("From ada@example.org Mon Jan  1 00:00:00 2024\nSubject: s\nTo: b@c.d\n\nx")

    assert (mail.sender, mail.subject) == ("ada@example.org", "s")


def test_recipients(read):
    """Groups are opened up, commas in names divide nothing, an empty group is nobody."""
    mail = read(
        'From: a@b.c\nTo: "Last, First" <x@y.z>, Team: p@q.r, s@t.u;, =?utf-8?q?J=C3=BC?= <j@k.l>\n'
        "Cc: undisclosed-recipients:; (nobody was named)\n\nx"
    )

    assert mail.to == ('"Last, First" <x@y.z>', "p@q.r", "s@t.u", "Jü <j@k.l>")
    assert mail.cc == ()


def test_threads(read):
    """References and In-Reply-To make one list from the thread's start, each id once."""
    mail = read(
        "From: a@b.c\nMessage-ID: <new@x>\nIn-Reply-To: <2@x>\n"
        "References: <0@x> <1@x>\n\t<2@x>\n <1@x>\n\nx"
    )

    assert mail.message_id == "<new@x>"
    assert mail.references == ("<0@x>", "<1@x>", "<2@x>")


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"),
        ("21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06+00:00"),
        ("Fri, 21 Nov 1997 09:55:06 -0600 (CST)", "1997-11-21T09:55:06-06:00"),
        ("2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00+02:00"),
        ("yesterday", None),
        ("Fri, 99 Nov 1997 99:99:99 -9999", None),
    ],
)
def test_dates(read, raw: str, date: str | None):
    """A date keeps the sender's offset; what is no date is none."""
    assert read(f"From: a@b.c\nDate: {raw}\n\nx").date == date


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ('Content-Disposition: attachment; filename="a b.pdf"', "a b.pdf"),
        ("Content-Disposition: attachment; filename=a b.pdf", "a b.pdf"),
        ("Content-Disposition: attachment;\n filename=plain.pdf;\n size=3", "plain.pdf"),
        ("Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.pdf", "€.pdf"),
        ("Content-Disposition: attachment; filename*=iso-8859-1'de'%FCber.pdf", "über.pdf"),
        (
            "Content-Disposition: attachment; filename*0=part; filename*1=ed.pdf",
            "parted.pdf",
        ),
        (
            "Content-Disposition: attachment; filename*1*=%ac.pdf; filename*0*=utf-8''%e2%82",
            "€.pdf",
        ),
        ('Content-Disposition: attachment; filename="=?utf-8?B?4oKsLnBkZg==?="', "€.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?a?= =?utf-8?Q?b.pdf?="', "ab.pdf"),
        ('Content-Disposition: attachment; filename="C:\\\\temp\\\\a.pdf"', "C:\\temp\\a.pdf"),
        ('Content-Disposition: attachment; filename="say \\"hi\\".pdf"', 'say "hi".pdf'),
        ('Content-Type: application/pdf; name="ct.pdf"', "ct.pdf"),
        ("Content-Type: application/pdf; name='ct.pdf'", "ct.pdf"),
        ('Content-Type: application/pdf; name="ct.pdf"\nContent-Disposition: attachment', "ct.pdf"),
        (
            'Content-Type: application/pdf; name="ct.pdf"\n'
            'Content-Disposition: attachment; filename="cd.pdf"',
            "cd.pdf",
        ),
        ('Content-Disposition: attachment; filename=""', None),
        ("Content-Disposition: attachment", None),
        ('Content-Disposition: attachment; filename="never closed.pdf', "never closed.pdf"),
    ],
)
def test_file_names(read, fields: str, name: str | None):
    """A file is called what its sender called it, in every way that programs spell that."""
    if "Content-Type" not in fields:
        fields = f"Content-Type: application/pdf\n{fields}"
    mail = read(
        f"From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{fields}\n\nbytes\n--b--\n"
    )

    assert [item.name for item in mail.attachments] == [name]
    assert mail.attachments[0].body == b"bytes"


@pytest.mark.parametrize(
    ("head", "subject"),
    [
        ("Subject: s\r\nFrom: a@b.c\r\n\r\nbody", "s"),
        ("Subject: s\rFrom: a@b.c\r\rbody", "s"),
        ("Subject: s\r\nFrom: a@b.c\n\r\nbody", "s"),
        ("\n\n\nSubject: s\nFrom: a@b.c\n\nbody", "s"),
        ("\ufeffSubject: s\nFrom: a@b.c\n\nbody", "s"),
        ("Subject: s\nnot a field at all\nFrom: a@b.c\n\nbody", None),
        ("Subject: \nSubject: s\nFrom: a@b.c\n\nbody", "s"),
        ("From: a@b.c\nSubject: s\nno blank line follows", "s"),
    ],
)
def test_broken_header_blocks(read, head: str, subject: str | None):
    """One broken line does not cost the fields after it."""
    mail = read(head)

    assert mail.sender == "a@b.c"
    if subject:
        assert mail.subject == subject
