"""The API as a program meets it: hand in, look up, page, download, retry, cancel, delete."""

from __future__ import annotations

import io
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ledger import Ledger, Viewer
from tests.service import outcomes
from tests.service.conftest import Api, Issue

DOCUMENTS = "/api/v1/documents"


def upload(api: Api, body: bytes, name: str = "letter.txt", **fields: str):  # type: ignore[no-untyped-def]
    """Hand a file in as a form does."""
    return api("POST", DOCUMENTS, data={"file": (io.BytesIO(body), name), **fields})


def test_a_text_is_kept_before_it_is_answered(api: Api, ledger: Ledger) -> None:
    """A 202 for a document that the ledger does not have would lose it."""
    answer = api("POST", DOCUMENTS, json={"kind": "review", "text": "Lovely room."})

    assert answer.status_code == 202
    document = answer.json
    assert document["state"] == "waiting"
    assert document["kind"] == "review"
    assert answer.headers["Location"] == f"{DOCUMENTS}/{document['id']}"
    assert ledger.documents.original(document["id"], Viewer())[1] == b"Lovely room."
    assert ledger.owed.outstanding("interactive") == 1


def test_a_file_keeps_its_bytes_name_and_type(api: Api, ledger: Ledger) -> None:
    """What is shown later and what is read are the very bytes that were sent."""
    body = bytes(range(256))
    answer = upload(api, body, "räksmörgås.bin", kind="ticket")

    assert answer.status_code == 202
    document, kept = ledger.documents.original(answer.json["id"], Viewer())
    assert kept == body
    assert document.name == "räksmörgås.bin"
    assert document.source == "api"


def test_the_kind_may_be_left_out(api: Api) -> None:
    """A sender who does not know the kind leaves it to be recognised."""
    assert api("POST", DOCUMENTS, json={"text": "Hello"}).json["kind"] is None
    assert upload(api, b"Hello", kind="").json["kind"] is None


def test_an_unknown_kind_names_the_known_ones(api: Api) -> None:
    """A typing error is found out at once, and not by a document that nobody can read."""
    answer = api("POST", DOCUMENTS, json={"text": "Hello", "kind": "reviw"})
    assert (answer.status_code, answer.json["code"]) == (422, "unknown_kind")
    assert "review" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": ""}, "invalid_request"),
        ({"kind": "review"}, "invalid_request"),
        ({"text": 7}, "invalid_request"),
        ({"text": "x", "kid": "review"}, "invalid_request"),
        (["text"], "invalid_request"),
        ("text", "invalid_request"),
        ({"text": "half a pair \ud800"}, "invalid_request"),
        ({"text": "x", "name": "n" * 300}, "invalid_request"),
    ],
)
def test_a_json_body_that_makes_no_sense_is_422(api: Api, body: object, code: str) -> None:
    """The sender learns what is wrong; nothing is kept."""
    answer = api("POST", DOCUMENTS, json=body)
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert api("GET", DOCUMENTS).json["items"] == []


def test_errors_do_not_repeat_what_was_sent(api: Api) -> None:
    """A problem document ends in logs; a document's text must not."""
    answer = api("POST", DOCUMENTS, json={"text": "fine", "kind": ["secret words"]})
    assert answer.status_code == 422
    assert "secret words" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"", b'"\\ud8', b"[" * 100_000, b"\xff\xfe", b"1" * 5000])
def test_malformed_json_is_400(api: Api, body: bytes) -> None:
    """Broken JSON is the sender's mistake, however it is broken."""
    answer = api("POST", DOCUMENTS, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")


def test_an_empty_file_is_refused(api: Api) -> None:
    """Nothing to read is said at once."""
    answer = upload(api, b"")
    assert (answer.status_code, answer.json["code"]) == (422, "empty_file")


def test_one_document_a_request(api: Api) -> None:
    """Two files with one answer would leave it unsaid which of them was taken."""
    two = [(io.BytesIO(b"a"), "a.txt"), (io.BytesIO(b"b"), "b.txt")]
    answer = api("POST", DOCUMENTS, data={"file": two})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")


def test_another_content_type_is_415(api: Api) -> None:
    """The sender learns which forms are taken."""
    answer = api("POST", DOCUMENTS, data=b"<a/>", content_type="application/xml")
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("size", [200_001, 2_000_000])
def test_too_many_bytes_are_413(api: Api, size: int) -> None:
    """A file past the limit is refused, by its own size or by the request's."""
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = start + b"x" * size + b"\r\n--b--\r\n"
    answer = api("POST", DOCUMENTS, data=body, content_type="multipart/form-data; boundary=b")
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "200,000" in answer.json["detail"]


def test_too_many_parts_are_refused(api: Api) -> None:
    """Thousands of empty form fields cost time for nothing."""
    fields = {f"field{i}": "x" for i in range(1_100)}
    answer = upload(api, b"hello", **fields)
    assert answer.status_code == 413


def test_a_repeat_with_the_same_key_is_the_same_document(api: Api, ledger: Ledger) -> None:
    """A client that lost the answer asks again and does not make a second document."""
    first, second = (
        api("POST", DOCUMENTS, json={"text": "Hello"}, headers={"Idempotency-Key": "k 1"})
        for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json["id"] == first.json["id"]
    assert (first.json["repeated"], second.json["repeated"]) == (False, True)
    assert ledger.owed.outstanding("interactive") == 1


def test_the_same_key_with_another_body_is_422(api: Api) -> None:
    """A key used by mistake for another document must not swallow it."""
    api("POST", DOCUMENTS, json={"text": "Hello"}, headers={"Idempotency-Key": "k"})
    answer = api("POST", DOCUMENTS, json={"text": "Bye"}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\there"])
def test_a_key_that_cannot_be_kept_is_422(api: Api, key: str) -> None:
    """A key that were cut or changed could clash with another."""
    answer = api("POST", DOCUMENTS, json={"text": "Hello"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")


def test_a_document_that_was_read(api: Api, ledger: Ledger) -> None:
    """State, outcome, attempts and text are those that the worker committed."""
    text = "What a lovely 🛏 room."
    document_id = api.submit(text)
    outcomes.finish(
        ledger,
        document_id,
        outcome=outcomes.review(text, {"lovely": 1.0, "room": 0.2}),
        text=text,
        type="text",
        kind="review",
    )
    document = api("GET", f"{DOCUMENTS}/{document_id}").json

    assert (document["state"], document["kind"], document["attempts"]) == ("done", "review", 1)
    found = document["outcome"]["labels"]["sentiment"]["evidence"][1]
    read = api("GET", f"{DOCUMENTS}/{document_id}/text")
    assert read.data.decode()[found["start"] : found["end"]] == "room"
    assert document["results"][0]["model"] == {"name": "review", "version": "1.0.0"}
    assert document["finished_at"] >= document["created_at"]


def test_a_failure_says_what_to_do_and_can_be_retried(api: Api, ledger: Ledger) -> None:
    """The error stays in view, and reading again needs no new upload."""
    document_id = api.submit()
    error = {"code": "no_text", "message": "Run text recognition first."}
    outcomes.finish(ledger, document_id, error=error)
    assert api("GET", f"{DOCUMENTS}/{document_id}").json["error"] == error

    answer = api("POST", f"{DOCUMENTS}/{document_id}/retry")
    assert (answer.status_code, answer.json["state"]) == (202, "waiting")
    assert api("POST", f"{DOCUMENTS}/{document_id}/retry").json["code"] == "not_retryable"
    assert ledger.owed.outstanding("interactive") == 1
    assert api("GET", f"{DOCUMENTS}/{document_id}").json["results"][0]["error"] == error


def test_text_before_it_is_read_is_409(api: Api) -> None:
    """ "Not yet" is another answer than "never heard of it"."""
    document_id = api.submit()
    answer = api("GET", f"{DOCUMENTS}/{document_id}/text")
    assert (answer.status_code, answer.json["code"]) == (409, "not_read")


def test_cancelling_stops_and_deleting_erases(api: Api, ledger: Ledger) -> None:
    """A cancelled document stays and is not read; a deleted one is gone for everyone."""
    document_id = api.submit()
    assert api("POST", f"{DOCUMENTS}/{document_id}/cancel").json["state"] == "cancelled"
    assert ledger.owed.outstanding("interactive") == 0
    assert api("DELETE", f"{DOCUMENTS}/{document_id}").status_code == 204
    for path in ("", "/text", "/original"):
        assert api("GET", f"{DOCUMENTS}/{document_id}{path}").status_code == 404


def test_the_list_pages_through_everything_once(api: Api) -> None:
    """Paging neither skips a document nor shows one twice."""
    ids = [api.submit(f"Text {i}") for i in range(7)]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = api(
            "GET", DOCUMENTS, query_string={"limit": 3} | ({"after": after} if after else {})
        )
        seen += [item["id"] for item in page.json["items"]]
        after = page.json["after"]
    assert seen == ids[::-1]


def test_the_list_filters(api: Api, ledger: Ledger) -> None:
    """Every filter leaves what fits and nothing else."""
    review = api.submit("Lovely", kind="review", name="june.txt")
    ticket = api.submit("Broken", kind="ticket", name="july.txt")
    outcomes.finish(
        ledger, review, outcome=outcomes.review("Lovely", {"Lovely": 1}, doubt=True), text="Lovely"
    )

    def found(**query: str) -> list[str]:
        return [item["id"] for item in api("GET", DOCUMENTS, query_string=query).json["items"]]

    assert found(kind="ticket") == [ticket]
    assert found(state="done") == [review]
    assert found(needs_review="true") == [review]
    assert found(name="JULY") == [ticket]
    assert found(source="smtp") == []


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "x"}, {"state": "lost"}, {"after": "nowhere"}, {"stat": "done"}],
)
def test_a_filter_that_makes_no_sense_is_422(api: Api, query: dict[str, str]) -> None:
    """A filter that is silently dropped would show the wrong documents."""
    answer = api("GET", DOCUMENTS, query_string=query)
    assert answer.status_code == 422
    assert answer.json["code"] in ("invalid_request", "invalid_cursor")


@example("/0")
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document_id=st.text(min_size=1, max_size=40).filter(lambda s: not set(s) <= {".", "/"}))
def test_an_unknown_id_is_404_whatever_it_is(api: Api, document_id: str) -> None:
    """No id, however odd, reaches the database as anything but a value."""
    answer = api("GET", f"{DOCUMENTS}/{quote(document_id, safe='')}")
    assert answer.status_code == 404, answer.text


def test_a_raw_mail_is_kept_byte_for_byte(api: Api, ledger: Ledger) -> None:
    """A mail that cannot be parsed must be there, as it came, to be looked at."""
    raw = b"Subject: \xff\xfe broken\r\n\r\nno such charset \x00\x01"
    answer = api("POST", "/api/v1/inbound/raw", data=raw, content_type="message/rfc822")

    assert answer.status_code == 202
    document, kept = ledger.documents.original(answer.json["id"], Viewer())
    assert kept == raw
    assert (document.kind, document.source) == ("email", "api")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_a_raw_mail_is_taken_under_any_content_type(
    api: Api, ledger: Ledger, content_type: str
) -> None:
    """Whatever a mail server's hook calls the body, it is the message."""
    raw = b"Subject: a=b&c=d\r\n\r\nHello"
    answer = api("POST", "/api/v1/inbound/raw", data=raw, content_type=content_type)
    assert answer.status_code == 202
    assert ledger.documents.original(answer.json["id"], Viewer())[1] == raw


def test_too_much_owed_says_when_to_come_back(api: Api, ledger: Ledger) -> None:
    """Load is refused at the door, with a time, and not by a timeout later."""
    ledger.documents._admission._limit = 2  # the setting is the installation's, this one's is 2
    api.submit()
    api.submit()
    answer = api("POST", DOCUMENTS, json={"text": "one too many"})
    assert (answer.status_code, answer.json["code"]) == (429, "too_much_owed")
    assert int(answer.headers["Retry-After"]) >= 1


def test_workspaces_do_not_see_each_other(api: Api, other_api: Api, ledger: Ledger) -> None:
    """Every address of a document is nothing to another workspace."""
    document_id = api.submit("Ours")
    outcomes.finish(ledger, document_id, outcome=outcomes.review("Ours", {"Ours": 1}), text="Ours")
    assert other_api("GET", DOCUMENTS).json["items"] == []
    assert other_api("GET", DOCUMENTS, query_string={"parent_id": document_id}).json["items"] == []
    for method, path in [
        ("GET", ""),
        ("GET", "/text"),
        ("GET", "/original"),
        ("POST", "/retry"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ]:
        assert other_api(method, f"{DOCUMENTS}/{document_id}{path}").status_code == 404
    assert api("GET", f"{DOCUMENTS}/{document_id}").json["state"] == "done"


def test_an_idempotency_key_is_a_workspace_s_own(api: Api, other_api: Api) -> None:
    """A key that another workspace used tells nothing and clashes with nothing."""
    key = {"Idempotency-Key": "same"}
    ours = api("POST", DOCUMENTS, json={"text": "Hello"}, headers=key)
    theirs = other_api("POST", DOCUMENTS, json={"text": "Hello"}, headers=key)
    assert theirs.status_code == 202
    assert theirs.json["id"] != ours.json["id"]


def test_an_attachment_names_its_mail(api: Api, ledger: Ledger) -> None:
    """From a mail one gets to what was attached, and back."""
    mail = api.submit("Subject: x\n\nHello", kind="email")
    child = outcomes.attach(ledger, mail, b"Attached", "note.txt", Viewer())
    assert [one["id"] for one in api("GET", f"{DOCUMENTS}/{mail}").json["children"]] == [child]
    assert api("GET", f"{DOCUMENTS}/{child}").json["parent_id"] == mail


@pytest.mark.parametrize(
    ("scopes", "method", "allowed"),
    [
        (("read",), "GET", True),
        (("read",), "POST", False),
        (("write",), "GET", False),
        (("write",), "POST", True),
        (("admin",), "POST", True),
    ],
)
def test_a_token_does_only_what_it_is_for(
    app, issue: Issue, scopes: tuple[str, ...], method: str, allowed: bool
) -> None:  # type: ignore[no-untyped-def]
    """A token for a dashboard cannot hand in, one for a scanner cannot look."""
    body = {"json": {"text": "Hello"}} if method == "POST" else {}
    answer = Api(app, issue(*scopes))(method, DOCUMENTS, **body)
    assert answer.status_code == (403 if not allowed else 200 if method == "GET" else 202)
    if not allowed:
        assert answer.json["code"] == "forbidden"
