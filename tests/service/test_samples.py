"""Our sample documents: there, small, and the same whoever writes them."""

from __future__ import annotations

import email
import email.policy

import pypdfium2
import pytest

from service.samples import FOLDER, SAMPLES, make


def test_every_file_is_offered_and_every_offer_is_there() -> None:
    """A sample without a button is dead weight; a button without its file fails a newcomer."""
    assert {path.name for path in FOLDER.iterdir()} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_small(name: str) -> None:
    """They travel with every installation."""
    assert 200 < len(SAMPLES[name].body()) < 50_000


def test_writing_them_again_changes_nothing(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Whoever edits a text gets that text's change in the history and nothing else."""
    monkeypatch.setattr(make, "FOLDER", tmp_path)
    make.main()
    for name, sample in SAMPLES.items():
        if not name.endswith(".docx"):  # its template's bytes are the library's
            assert (tmp_path / name).read_bytes() == sample.body(), name
    first = (tmp_path / "nda.docx").read_bytes()
    make.main()
    assert (tmp_path / "nda.docx").read_bytes() == first


def test_the_pdf_is_one() -> None:
    """Two pages with a text layer that says what the sample says."""
    document = pypdfium2.PdfDocument(SAMPLES["consulting-agreement.pdf"].body())
    words = [page.get_textpage().get_text_range() for page in document]
    assert len(words) == 2
    assert 'Okafor Data Partners LLP (the "Consultant")' in words[0].replace("\r\n", " ")
    document.close()


def test_the_mail_carries_its_attachment() -> None:
    """The sample shows that an attachment becomes a document of its own."""
    body = SAMPLES["broken-chairs.eml"].body()
    message = email.message_from_bytes(body, policy=email.policy.default)
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "delivery-note-90311.txt"
