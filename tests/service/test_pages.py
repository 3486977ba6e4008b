"""The pages without scripts: what a person sees, hands in and does, and what stays harmless."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from flask import Flask

from ledger import Ledger, Viewer
from service import marks
from service.samples import SAMPLES
from service.submission import clean_name
from tests.service import outcomes
from tests.service.conftest import Api, Issue, Person

# Each would run, break out of its place or end a header if it were not escaped
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "'\"`--><svg/onload=alert(1)>",
    "\u202egnp.exe",
]


def newest(ledger: Ledger) -> str:
    """Return the id of the document that came last."""
    return ledger.documents.list(Viewer()).items[0].id


class ActiveParts(HTMLParser):
    """Collects what in a page could run or load: handlers, styles, addresses elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag or an attribute that has no business on our pages."""
        fields = dict(attrs)
        if tag in {"style", "iframe", "object", "embed", "base", "img", "template"}:
            self.found.append(tag)
        if tag == "script" and not (fields.get("src") or "").startswith("/static/"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith(("on", "hx-on")) or name == "style":
                self.found.append(name)
            leads = name in {"href", "src", "action", "formaction", "hx-get", "hx-post"}
            if leads and not re.match(r"/(?!/)|\?|#", value or ""):
                self.found.append(f"{name}={value}")


def active_parts(page: str) -> list[str]:
    """Return what in a page could run or load from elsewhere."""
    parser = ActiveParts()
    parser.feed(page)
    return parser.found


def read_nasty(ledger: Ledger, words: str, name: str = "") -> str:
    """Return the id of a finished mail whose every field a stranger filled with `words`."""
    document = ledger.documents.accept(
        words.encode(), viewer=Viewer(), source="smtp", name=name or words
    )
    mail = {
        "subject": words,
        "from": words,
        "to": [words],
        "cc": [{"name": words, "address": words}],
        "date": words,
        "message_id": words,
        "attachments": [{"name": words, "type": words, "size": 3, "sha256": "x"}],
        "bounce": {"recipient": words, "status": words, "permanent": True},
    }
    label = {"value": words, "confidence": 0.9, "needs_review": True, "reason": words}
    label["evidence"] = [{"start": 0, "end": len(words), "weight": 1.0}]
    outcome = outcomes.outcome("email", words, labels={words: label})
    outcome["entities"] = [{"start": 0, "end": 3, "label": words, "value": words}]
    outcome["model"] = {"name": words, "version": words}
    outcome["language"] = words
    outcomes.finish(ledger, document.id, outcome=outcome, text=words, mail=mail, kind="email")
    return document.id


@pytest.mark.parametrize("words", NASTY)
def test_what_strangers_wrote_stays_words(person: Person, ledger: Ledger, words: str) -> None:
    """A name, a subject, a text or a label is shown and never run, on any page."""
    document_id = read_nasty(ledger, words)
    for path in (
        "/",
        "/documents",
        f"/documents?name={words}",
        "/documents/list",
        f"/documents/{document_id}",
        f"/documents/{document_id}?show=entities",
        f"/documents/{document_id}?show={words}&at=0",
        f"/{words}",
        f"/sign-in?next={words}&token={words}",
    ):
        page = person.client.get(path).text
        assert active_parts(page) == [], path
        assert words not in page or "<" not in words, path


@pytest.mark.parametrize("path", ["/", "/documents", "/status", "/tokens", "/nope", "/sign-in"])
def test_every_page_is_under_the_strict_policy(person: Person, path: str) -> None:
    """Should something slip through, the browser still refuses to run it."""
    answer = person.client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'",
                 "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):  # fmt: skip
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert active_parts(answer.text) == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\..\\boot.ini",
        'a"; filename="evil.exe',
        "new\r\nSet-Cookie: x=y",
        "nul\x00.txt",
        "ä" * 400,
        "..",
        "/",
        "",
    ],
)
def test_a_file_s_name_is_never_a_path_or_a_header(
    person: Person, api: Api, ledger: Ledger, name: str
) -> None:
    """Whatever a sender calls a file, its download has a harmless name and one header."""
    api("POST", "/api/v1/documents", json={"text": "Hello", "name": name[:255]})
    ledger.documents.accept(b"Hello", viewer=Viewer(), source="smtp", name=name)  # past our door
    for document in ledger.documents.list(Viewer()).items:
        answer = person.client.get(f"/documents/{document.id}/original")
        disposition = answer.headers["Content-Disposition"]
        assert re.fullmatch(
            r"attachment; filename=\"[\w ._-]+\"; filename\*=UTF-8''[\w.~%-]*", disposition
        )
        assert "Set-Cookie" not in answer.headers
        assert answer.data == b"Hello"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("letter.txt", "letter.txt"),
        ("C:\\docs\\letter.txt", "letter.txt"),
        ("/tmp/letter.txt", "letter.txt"),
        ("räksmörgås 1.pdf", "räksmörgås 1.pdf"),
        ("a\x00b\nc.txt", "abc.txt"),
        ("half \ud800", "half"),
        ("..", ""),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_cleaned_at_the_door(name: str, kept: str) -> None:
    """What is kept can be stored in any database and shown on any page."""
    assert clean_name(name) == kept


@pytest.mark.parametrize("kind", ["text", "html", "pdf", "docx", "eml", None])
def test_an_original_is_a_download_in_a_sandbox(
    person: Person, api: Api, ledger: Ledger, kind: str | None
) -> None:
    """HTML that a stranger sent must never be a page of this server."""
    document_id = api.submit("<html><script>alert(1)</script></html>")
    outcomes.finish(ledger, document_id, error={"code": "x", "message": "y"}, type=kind)
    for answer in (
        person.client.get(f"/documents/{document_id}/original"),
        api("GET", f"/api/v1/documents/{document_id}/original"),
    ):
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert "html" not in answer.headers["Content-Type"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_several_files_and_a_text_in_one_form(person: Person, ledger: Ledger) -> None:
    """Without scripts everything goes in one go, and each becomes a document."""
    files = [(io.BytesIO(b"one"), "one.txt"), (io.BytesIO(b"two"), "two.txt")]
    answer = person.post("/documents", file=files, text="three\r\nlines", kind="review")
    assert answer.status_code == 303
    documents = ledger.documents.list(Viewer()).items
    assert sorted(document.name for document in documents) == ["", "one.txt", "two.txt"]
    assert {document.kind for document in documents} == {"review"}
    bodies = [ledger.documents.original(document.id, Viewer())[1] for document in documents]
    assert b"three\nlines" in bodies


def test_a_second_click_makes_no_second_document(person: Person, ledger: Ledger) -> None:
    """Who clicks twice, or goes back and sends again, finds one document; another text is new."""
    once = re.search(r'name="once" value="(\w+)"', person.client.get("/").text)
    assert once
    for text in ("Lovely room.", "Lovely room.", "Cold room."):
        assert person.post("/documents", text=text, once=once[1]).status_code == 303
    person.post("/documents", text="Lovely room.", once=once[1], kind="review")
    assert len(ledger.documents.list(Viewer()).items) == 3


def test_one_bad_file_does_not_keep_the_others_out(person: Person, ledger: Ledger) -> None:
    """What can be taken is taken, and the page names what was not."""
    files = [(io.BytesIO(b"good"), "good.txt"), (io.BytesIO(b""), "empty.txt")]
    answer = person.post("/documents", file=files)
    page = person.client.get(answer.headers["Location"]).text
    assert "empty.txt: The document has no bytes." in page
    assert [document.name for document in ledger.documents.list(Viewer()).items] == ["good.txt"]


def test_the_page_s_script_gets_each_answer(person: Person, ledger: Ledger) -> None:
    """The drop zone learns the address of what was taken and the reason for what was not."""
    mark = person.mark()
    files = [(io.BytesIO(b"good"), "good.txt"), (io.BytesIO(b"x" * 200_001), "big.txt")]
    answer = person.client.post(
        "/documents",
        data={"file": files},
        headers={"X-CSRF-Token": mark, "Accept": "application/json"},
    )
    assert answer.json["documents"] == [
        {"id": newest(ledger), "url": f"/documents/{newest(ledger)}"}
    ]
    assert [(one["name"], one["code"]) for one in answer.json["refused"]] == [
        ("big.txt", "too_large")
    ]


def test_one_document_leads_to_its_page(person: Person, ledger: Ledger) -> None:
    """Who hands in one document wants to see that one."""
    answer = person.post("/documents", text="Lovely room.")
    assert answer.headers["Location"] == f"/documents/{newest(ledger)}"
    assert "waits for a reader" in person.client.get(answer.headers["Location"]).text


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_can_be_tried(person: Person, ledger: Ledger, name: str) -> None:
    """The newcomer's first click works."""
    assert person.post(f"/samples/{name}").status_code == 303
    assert ledger.documents.original(newest(ledger), Viewer())[1] == SAMPLES[name].body()


@pytest.mark.parametrize("name", ["nope.txt", "..%2fmake.py", "../texts.py"])
def test_only_samples_are_samples(person: Person, name: str) -> None:
    """The address of a sample is no way to other files."""
    assert person.post(f"/samples/{name}").status_code == 404


def test_the_list_is_sent_again_only_when_it_changed(
    person: Person, api: Api, ledger: Ledger
) -> None:
    """A page that is open all day asks often and is mostly told nothing."""
    document_id = api.submit()
    page = person.client.get("/").text
    found = re.search(r'hx-get="([^"]+)"', page)
    assert found
    address = found[1].replace("&amp;", "&")
    assert "every 1s" in page
    assert person.client.get(address).status_code == 204

    outcomes.finish(
        ledger,
        document_id,
        outcome=outcomes.review("Lovely room.", {"Lovely": 1}),
        text="Lovely room.",
        kind="review",
    )
    fragment = person.client.get(address)
    assert fragment.status_code == 200
    assert "97 %" in fragment.text
    assert "every 1s" not in fragment.text  # all is read: the page stops asking
    assert "All documents on this page are finished" in fragment.text


def test_signed_out_meanwhile_the_page_goes_to_sign_in(app: Flask) -> None:
    """A list that asks in the background must not swallow the sign-in page as its rows."""
    answer = app.test_client().get("/documents/list", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/sign-in")


def test_a_document_shows_what_was_found(person: Person, api: Api, ledger: Ledger) -> None:
    """Label, confidence, doubt in words, evidence, model and coverage are on the page."""
    text = "What a lovely room, but cold."
    document_id = api.submit(text)
    outcome = outcomes.review(text, {"lovely": 1.0, "cold": -0.4}, doubt=True)
    outcomes.finish(ledger, document_id, outcome=outcome, text=text, type="text", kind="review")
    page = person.client.get(f"/documents/{document_id}").text

    assert "61 % sure" in page
    assert "Needs review" in page
    assert re.search(r'<mark class="e5" id="m7">lovely</mark>', page)
    assert re.search(r'<mark class="e2 against" id="m24">cold</mark>', page)
    assert "review, version 1.0.0" in page
    assert f"{len(text)} of {len(text)} characters" in page
    assert "every 700ms" not in page


def test_a_text_that_was_not_read_to_the_end_says_so(
    person: Person, api: Api, ledger: Ledger
) -> None:
    """No silent truncation: what was not read is named."""
    text = "Lovely. " * 100
    document_id = api.submit(text)
    outcome = outcomes.review(text, {"Lovely": 1.0})
    outcome["read"]["characters"] = 8
    outcomes.finish(ledger, document_id, outcome=outcome, text=text, kind="review")
    assert "The rest was not read." in person.client.get(f"/documents/{document_id}").text


def test_entities_carry_their_label_in_words(person: Person, api: Api, ledger: Ledger) -> None:
    """Who cannot tell the colours apart reads the labels."""
    text = "Between Acme Inc. and Bolt LLC."
    document_id = api.submit(text)
    found = outcomes.entities(text, {"Acme Inc.": "PARTY", "Bolt LLC": "PARTY"})
    outcome = outcomes.outcome("contract", text, entities=found)
    outcomes.finish(ledger, document_id, outcome=outcome, text=text, kind="contract")
    page = person.client.get(f"/documents/{document_id}").text
    assert page.count('<span class="tag">Party</span></mark>') == 2
    assert 'href="?show=entities&amp;at=8#m8"' in page


def test_a_very_long_text_is_shown_in_parts(person: Person, api: Api, ledger: Ledger) -> None:
    """Five million characters must not come at once, nor any of them be out of reach."""
    text = "0123456789" * 500_000
    document_id = api.submit("x")
    place = 4_000_000
    outcome = outcomes.outcome("review", text)
    outcome["labels"] = {
        "sentiment": {
            "value": "positive",
            "confidence": 0.9,
            "needs_review": False,
            "evidence": [{"start": place, "end": place + 5, "weight": 1.0}],
        }
    }
    outcomes.finish(ledger, document_id, outcome=outcome, text=text, kind="review")
    first = person.client.get(f"/documents/{document_id}").text
    assert len(first) < 3 * marks.WINDOW
    link = re.search(rf'href="(\?show=sentiment&amp;at={place})#m{place}"', first)
    assert link
    there = person.client.get(f"/documents/{document_id}{link[1].replace('&amp;', '&')}").text
    assert f'<mark class="e5" id="m{place}">01234</mark>' in there
    for odd in ("-1", "99999999999", "x", ""):
        assert person.client.get(f"/documents/{document_id}?at={odd}").status_code == 200


def test_a_mail_links_to_its_attachments(person: Person, api: Api, ledger: Ledger) -> None:
    """Attachments that became documents are one click away, and lead back."""
    mail_id = api.submit("Subject: Hi\n\nSee attached.", kind="email")
    child = outcomes.attach(ledger, mail_id, b"Attached", "note.txt", Viewer())
    sha256 = ledger.documents.get(child, Viewer()).sha256
    attachments = [{"name": "note.txt", "type": "text/plain", "size": 8, "sha256": sha256}]
    mail: dict[str, object] = {"subject": "Hi", "from": "a@b.example", "to": ["c@d.example"]}
    outcomes.finish(
        ledger,
        mail_id,
        error={"code": "x", "message": "y"},
        mail=mail | {"attachments": attachments},
    )
    assert f'href="/documents/{child}"' in person.client.get(f"/documents/{mail_id}").text
    assert f'href="/documents/{mail_id}"' in person.client.get(f"/documents/{child}").text


def test_a_failed_document_says_why_and_offers_a_retry(
    person: Person, api: Api, ledger: Ledger
) -> None:
    """The sentence that says what to do is the first thing on the page."""
    document_id = api.submit()
    message = "The pages are pictures. Run text recognition and hand it in again."
    outcomes.finish(ledger, document_id, error={"code": "no_text", "message": message})
    assert message in person.client.get(f"/documents/{document_id}").text
    assert message in person.client.get("/").text
    assert person.post(f"/documents/{document_id}/retry").status_code == 303
    assert ledger.documents.get(document_id, Viewer()).state == "waiting"


def test_deleting_erases_and_says_so(person: Person, api: Api) -> None:
    """Gone from the list and from its address."""
    document_id = api.submit()
    answer = person.post(f"/documents/{document_id}/delete")
    assert "erased" in person.client.get(answer.headers["Location"]).text
    assert person.client.get(f"/documents/{document_id}").status_code == 404


def test_pages_of_another_workspace_do_not_exist(
    app: Flask, issue: Issue, api: Api, ledger: Ledger
) -> None:
    """A neighbour sees neither the document nor that there is one."""
    document_id = api.submit("Ours", name="ours.txt")
    outcomes.finish(ledger, document_id, outcome=outcomes.review("Ours", {"Ours": 1}), text="Ours")
    neighbour = Person(app)
    neighbour.sign_in(issue(workspace="elsewhere"))
    for path in ("/", "/documents", "/documents/list", "/status"):
        assert "ours.txt" not in neighbour.client.get(path).text
    for path in ("", "/original", "/text"):
        assert neighbour.client.get(f"/documents/{document_id}{path}").status_code == 404
    for action in ("retry", "cancel", "delete"):
        assert neighbour.post(f"/documents/{document_id}/{action}").status_code == 404


def test_tokens_are_made_shown_once_and_revoked(person: Person, app: Flask) -> None:
    """A new token works, is never shown again, and stops when revoked."""
    made = person.post("/tokens", name="scanner", scopes=["write"], days="30")
    assert made.status_code == 201
    found = re.search(r"mr_[\w-]{20,}", made.text)
    assert found
    assert Api(app, found[0])("GET", "/api/v1/documents").status_code == 403

    page = person.client.get("/tokens").text
    assert found[0] not in page
    rows = re.findall(r'<bdi>([^<]+)</bdi>.*?action="(/tokens/[^"]+/revoke)"', page, re.S)
    assert person.post(dict(rows)["scanner"]).status_code == 303
    assert Api(app, found[0])("GET", "/api/v1/documents").status_code == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "scopes": ["read"], "days": "7"},
        {"name": "x" * 101, "scopes": ["read"], "days": "7"},
        {"name": "x", "days": "7"},
        {"name": "x", "scopes": ["root"], "days": "7"},
        {"name": "x", "scopes": ["read"], "days": "8"},
        {"name": "x", "scopes": ["read"]},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    person: Person, ledger: Ledger, fields: dict[str, object]
) -> None:
    """No token comes of a form that was tampered with."""
    assert person.post("/tokens", **fields).status_code == 422
    assert len(ledger.tokens.list(Viewer())) == 1


def test_static_files_may_be_kept_by_browsers(person: Person) -> None:
    """Their address changes with their content, so a kept one is never an old one."""
    page = person.client.get("/").text
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(found) >= 4
    for address in found:
        assert "?v=" in address
        answer = person.client.get(address)
        assert answer.status_code == 200
        assert "max-age=31536000" in answer.headers["Cache-Control"]
        answer.close()
