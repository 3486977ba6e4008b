"""Files that ask for too much get an error of their own; the next file is read as ever."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from intake import IntakeError, Limits, Parser
from tests.intake import samples

MAIL = b"From: ada@example.org\nSubject: alive\n\nstill here"


@pytest.fixture(scope="module")
def strict() -> Iterator[Parser]:
    """A parser that allows little, so that reaching its limits is quick."""
    with Parser(Limits(memory_bytes=120_000_000, seconds=4)) as found:
        yield found


def deep_multipart(levels: int) -> bytes:
    """Return a mail of multiparts within multiparts."""
    opened = b"".join(
        b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (level, level + 1)
        for level in range(levels)
    )
    return b"From: a@example.org\nContent-Type: multipart/mixed; boundary=b0\n\n" + opened


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (samples.make_zip_bomb(450_000_000), {"too_large"}),
        (samples.make_element_bomb(3_000_000), {"too_large"}),
        (samples.make_lying_zip(80_000_000), {"corrupt_file", "too_large"}),
        (samples.make_raw_docx(samples.BILLION_LAUGHS), {"corrupt_file"}),
        (samples.make_raw_docx(samples.paragraphs("<w:p>" * 100_000)), {"corrupt_file"}),
        (samples.make_pdf_bomb(300_000_000), {"parse_memory", "parse_timeout"}),
        (b"x" * 31_000_000, {"too_large"}),
    ],
    ids=["zip", "elements", "lying zip", "billion laughs", "deep xml", "pdf stream", "size"],
)
def test_bombs(strict: Parser, body: bytes, codes: set[str]):
    """A small file that wants a gigabyte is refused for a stated reason."""
    with pytest.raises(IntakeError) as caught:
        strict.parse(body)

    assert caught.value.code in codes
    assert strict.parse(MAIL).text.startswith("alive")


@pytest.mark.parametrize(
    "names",
    [("../evil.xml",), ("/etc/passwd",), ("word/a.xml", "word/a.xml")],
    ids=["parent", "absolute", "duplicate"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_with_odd_names(parser: Parser, names: tuple[str, ...]):
    """Names that lead out of an archive, or hide one another, are refused before inflating."""
    import io
    import zipfile

    stream = io.BytesIO(samples.make_docx())
    with zipfile.ZipFile(stream, "a") as archive:
        for name in names:
            archive.writestr(name, b"<a/>")

    with pytest.raises(IntakeError) as caught:
        parser.parse(stream.getvalue())
    assert caught.value.code == "corrupt_file"


@pytest.mark.parametrize(
    "body",
    [
        deep_multipart(20_000),
        b"From: a@example.org\nContent-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\n\nx\n" * 200_000,
        b"From: a@example.org\nSubject: " + b"=?utf-8?q?" * 200_000 + b"\n\nx",
        b"From: a@example.org\nSubject: x\n" + b" fold\n" * 300_000 + b"\nx",
        b"From: " + b"(" * 500_000 + b"\nSubject: x\nTo: a@example.org\n\nx",
        b"From: a@example.org\nTo: " + b"a@b.c, " * 300_000 + b"\n\nx",
        b'From: a@example.org\nContent-Type: text/plain; name="' + b"\\" * 500_000 + b"\n\nx",
        b"From: a@example.org\nTo: b@example.org\n\n" + b"begin 644 a\n" * 200_000,
        b"From: a@example.org\nTo: b@example.org\n\n" + b"__\n" * 30_000,
        b"From: a@example.org\nTo: b@example.org\n\n" + b"On Mon 3 May 2020 at 10:00\n" * 20_000,
        b"From: a@example.org\nTo: b@example.org\nReferences: " + b"<" * 500_000 + b"\n\nx",
        b"From: mailer-daemon@example.org\nSubject: failure\n\n" + b"could not " * 200_000,
        b"<html><body>" + b"<div>" * 300_000 + b"deep",
        b"<html><style>" + b".a{display:none}" * 200_000 + b"</style><p class=b>shown",
    ],
    ids=[
        *("nesting", "parts", "encoded words", "folds", "comments", "addresses", "escapes"),
        *("uuencode", "rules", "attributions", "references", "bounce", "elements", "styles"),
    ],
)
def test_hostile_input_takes_linear_time(parser: Parser, body: bytes):
    """Input made to be slow is read within the time that any mail of its size may take."""
    assert parser.parse(body, media_type="message/rfc822" if body[:1] == b"F" else "").text


def test_a_slow_document_is_stopped():
    """Wall time ends a reading process wherever it is, and says so."""
    noise = random.Random(1)
    body = samples.paragraphs("".join(f'<w:p w:r="{noise.random()}"/>' for _ in range(500_000)))

    with Parser(Limits(seconds=0.3)) as parser:
        with pytest.raises(IntakeError) as caught:
            parser.parse(samples.make_raw_docx(body))
        assert parser.parse(MAIL).mail is not None

    assert caught.value.code == "parse_timeout"


def test_one_bad_document_does_not_take_its_batch_with_it(strict: Parser):
    """Documents read by one process: the one that kills it is charged, the others are read."""
    bomb = samples.make_pdf_bomb(300_000_000)

    results = strict.parse_many([(MAIL, "", ""), (bomb, "", ""), (MAIL, "", ""), (b"", "", "")])

    assert [getattr(result, "code", "read") for result in results] == [
        "read",
        "parse_memory" if getattr(results[1], "code", "") == "parse_memory" else "parse_timeout",
        "read",
        "empty_file",
    ]


def test_too_much_text_is_refused():
    """The limit on characters holds for what comes out, whatever went in."""
    with Parser(Limits(characters=100)) as parser:
        for body in (b"x" * 101, b"<html>" + b"x" * 101, samples.make_pdf("x" * 101)):
            with pytest.raises(IntakeError) as caught:
                parser.parse(body)
            assert caught.value.code == "too_large"


def test_the_parser_outlives_its_zygote(strict: Parser):
    """A killed zygote (memory pressure, an operator) is replaced unasked."""
    strict.parse(MAIL)
    zygote = strict._zygote
    assert zygote is not None
    os.kill(zygote.process.pid, signal.SIGKILL)
    zygote.process.wait()

    assert strict.parse(MAIL).mail is not None


def test_threads_share_a_parser(strict: Parser):
    """Many threads at once get each their own answer."""
    texts: dict[int, str] = {}

    def parse(number: int) -> None:
        body = b"From: a@example.org\nTo: b@example.org\n\nnumber %d" % number
        texts[number] = strict.parse(body).text

    threads = [threading.Thread(target=parse, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert texts == {number: f"number {number}" for number in range(16)}


def test_a_forked_process_uses_its_own_zygote(strict: Parser):
    """A web server forks its workers after the parser was used: both go on."""
    strict.parse(MAIL)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, strict.parse(MAIL).text.encode())
            strict.close()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)

    assert answer.startswith(b"alive")
    assert strict.parse(MAIL).text.startswith("alive")


def test_the_zygote_ends_with_its_parser():
    """Nothing is left running."""
    parser = Parser()
    parser.parse(MAIL)
    assert parser._zygote is not None
    process = parser._zygote.process

    parser.close()

    assert process.poll() is not None


def test_reading_processes_cannot_write_files(strict: Parser):
    """A reading process has no room on any disk: its limit on file size is nought."""
    import resource

    from intake.zygote import _limit

    child = os.fork()
    if child == 0:
        try:
            _limit(Limits(), 1)
            os._exit(0 if resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0) else 1)
        except BaseException:
            os._exit(2)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(status) == 0
