"""Batches over the API and on the page; what workers do with them is tested in their own room."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from ledger import Batch, Cut, Ledger
from service.app import create_app
from settings import Settings
from tests.service.conftest import Api, Issue, Person

CSV = b"id,text\n1,Lovely room.\n2,Awful food.\n"
PLACE = "/api/v1/batches"


def hand_in(api: Api, body: bytes = CSV, name: str = "in.csv", **more: Any) -> Any:
    headers = more.pop("headers", {})
    fields = {"kind": "review", **more}
    fields = {field: value for field, value in fields.items() if value is not None}
    return api("POST", PLACE, **form({"file": (name, body)}, fields, headers))


def form(files: Any, fields: Any = None, headers: Any = None) -> dict[str, Any]:
    """Return a form's request; Flask's own client leaves a file open that a large one needs."""
    sent = httpx.Request("POST", "http://localhost", files=files, data=fields or {})
    headers = {**(headers or {}), "Content-Type": sent.headers["Content-Type"]}
    return {"data": sent.read(), "headers": headers}


@pytest.mark.parametrize("door", ["/batches", "/training", "/series/demand", PLACE])
def test_a_disk_too_full_for_an_upload_is_said(
    api: Api, person: Person, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """Whoever hands a large file in learns that there is no space, not that we broke."""
    mark = person.mark("/training")
    fields = {"kind": "review", "csrf_token": mark}
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("service.batches.spooled", lambda: full)
        if door == PLACE:
            answer = hand_in(api)
        else:
            answer = person.client.post(door, **form({"file": ("in.csv", CSV)}, fields))
    assert answer.status_code == 507
    assert "free some space" in answer.text


def finish(ledger: Ledger, result: bytes = b"id,text,sentiment\n") -> None:
    """Do what a worker does with the only batch there is."""
    split = ledger.chunks.claim(holder="worker", lease_seconds=60)
    assert split
    cuts = [Cut(0, 2, ledger.files.put(b"rows"))]
    assert ledger.chunks.cut(split, cuts, {}, holder="worker", rows_total=2)
    read = ledger.chunks.claim(holder="worker", lease_seconds=60)
    assert read
    output = ledger.files.put(result)
    assert ledger.chunks.finish(read, holder="worker", output=output, rows_failed=1)
    merge = ledger.chunks.claim(holder="worker", lease_seconds=60)
    assert merge
    kept = {"output": output, "size": len(result)}
    assert ledger.chunks.finish_merge(merge, holder="worker", **kept)  # type: ignore[arg-type]


def test_a_batch_is_kept_watched_and_fetched(api: Api, ledger: Ledger) -> None:
    """202 and a place to look; progress; the result as a download under a name of its own."""
    answer = hand_in(api, text_column="text")
    assert answer.status_code == 202, answer.text
    place = answer.headers["Location"]
    assert place == f"{PLACE}/{answer.json['id']}"
    assert answer.json["state"] == "waiting"
    assert api("GET", f"{place}/result").json["code"] == "not_read"

    finish(ledger)
    done = api("GET", place).json
    assert (done["state"], done["rows_total"], done["rows_done"]) == ("done", 2, 2)
    assert done["rows_failed"] == 1
    result = api("GET", f"{place}/result")
    assert result.data == b"id,text,sentiment\n"
    assert result.headers["Content-Length"] == str(len(result.data))
    assert 'filename="in-read.csv"' in result.headers["Content-Disposition"]
    assert api("DELETE", place).status_code == 204
    assert api("GET", place).status_code == 404


def test_an_upload_may_be_repeated(api: Api) -> None:
    """The same key: the same batch; with another file or other options: 422."""
    key = {"Idempotency-Key": "one"}
    first, again = hand_in(api, headers=key), hand_in(api, headers=key)
    assert again.json["id"] == first.json["id"]
    assert again.json["repeated"]
    other = hand_in(api, b"text\nx\n", headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": None}, "invalid_request"),
        ({"kind": "poem"}, "unknown_kind"),
        ({"body": b""}, "empty_file"),
        ({"body": b"\0\1\2\3", "name": "x.bin"}, "unsupported_media_type"),
        ({"body": b"text", "name": "x.parquet"}, "unsupported_media_type"),
        ({"text_column": "x" * 300}, "invalid_request"),
        ({"headers": {"Idempotency-Key": "x" * 300}}, "invalid_request"),
    ],
)
def test_what_cannot_be_taken_is_said(api: Api, fields: dict[str, Any], code: str) -> None:
    """Nothing is kept of it."""
    answer = hand_in(api, **fields)
    assert answer.json["code"] == code
    assert answer.status_code in (415, 422)
    assert api("GET", PLACE).json["items"] == []
    assert api("POST", PLACE, json={"text": "x"}).status_code == 415


def test_a_batch_may_be_larger_than_a_document(api: Api, settings: Settings) -> None:
    """Its own limit holds, and no more of it is in memory than a piece."""
    large = b"text\n" + b"Lovely room.\n" * 150_000
    assert len(large) > settings.upload_bytes + 1_000_000
    answer = hand_in(api, large)
    assert (answer.status_code, answer.json["size"]) == (202, len(large))
    assert not list((settings.data_dir / "uploads").iterdir())
    document = form({"file": ("x.txt", large)})
    assert api("POST", "/api/v1/documents", **document).status_code == 413


def test_a_batch_past_its_limit_is_refused(settings: Settings, issue: Issue) -> None:
    """With the limit in the sentence."""
    app = create_app(settings.model_copy(update={"batch_bytes": 1000}))
    answer = hand_in(Api(app, issue()), b"text\n" + b"x\n" * 1_000_000)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "1,000 bytes" in answer.json["detail"]
    app.extensions["mailroom"].client.close()
    app.extensions["mailroom"].ledger.close()


def test_too_many_batches_are_told_when_to_come_back(settings: Settings, issue: Issue) -> None:
    """429 with Retry-After, and what is there goes on."""
    app = create_app(settings.model_copy(update={"batches_limit": 1}))
    api = Api(app, issue())
    assert hand_in(api).status_code == 202
    answer = hand_in(api)
    assert (answer.status_code, answer.json["code"]) == (429, "too_much_owed")
    assert int(answer.headers["Retry-After"]) > 0
    app.extensions["mailroom"].client.close()
    app.extensions["mailroom"].ledger.close()


def test_pause_resume_cancel(api: Api) -> None:
    """Each says what the batch is then, and what came too late."""
    place = hand_in(api).headers["Location"]
    assert api("POST", f"{place}/pause").json["state"] == "paused"
    assert api("POST", f"{place}/resume").json["state"] == "waiting"
    assert api("POST", f"{place}/cancel").json["state"] == "cancelled"
    late = api("POST", f"{place}/resume")
    assert (late.status_code, late.json["code"]) == (409, "not_resumable")
    assert api("POST", f"{place}/pause").json["code"] == "not_pausable"
    assert len(api("GET", f"{PLACE}?state=cancelled").json["items"]) == 1


def test_others_do_not_see_it(api: Api, other_api: Api, app: Flask, issue: Issue) -> None:
    """Another workspace, a token that may only read, nobody at all."""
    place = hand_in(api).headers["Location"]
    assert other_api("GET", place).status_code == 404
    assert other_api("POST", f"{place}/cancel").status_code == 404
    reader = Api(app, issue("read"))
    assert reader("GET", place).status_code == 200
    assert hand_in(reader).status_code == 403
    assert app.test_client().get(place).status_code == 401


def only(ledger: Ledger) -> Batch:
    from ledger import Viewer

    (batch,) = ledger.batches.list(Viewer()).items
    return batch


def test_the_page_works_without_scripts(person: Person, ledger: Ledger) -> None:
    """Hand in, watch, pause, resume, download."""
    answer = person.post("/batches", kind="review", file=(io.BytesIO(CSV), "<b>.csv"))
    assert answer.status_code == 303, answer.text
    place = answer.headers["Location"]
    page = person.client.get(place).text
    assert "&lt;b&gt;.csv" in page
    assert "every 1s" in page
    assert person.post(f"{place}/pause").status_code == 303
    assert "Paused" in person.client.get(place).text
    person.post(f"{place}/resume")
    finish(ledger)
    page = person.client.get(place).text
    assert "2 of 2 rows" in page
    assert "Download the result" in page
    assert "every 1s" not in page
    assert person.client.get(f"{place}/result").data == b"id,text,sentiment\n"
    person.post(f"{place}/pause")
    assert "too late" in person.client.get(place).text
    assert only(ledger).state == "done"
    assert "Done" in person.client.get("/batches").text
    assert person.post(f"{place}/delete").status_code == 303


def test_the_page_says_what_was_wrong(person: Person) -> None:
    """A file that is none comes back as a sentence on the page."""
    answer = person.post("/batches", kind="review", file=(io.BytesIO(b"\0\1"), "x.bin"))
    assert answer.status_code == 303
    assert "CSV, JSON lines" in person.client.get("/batches").text


def test_the_page_needs_its_own_mark(person: Person) -> None:
    """Another site cannot hand a batch in for them."""
    data = {"kind": "review", "file": (io.BytesIO(CSV), "in.csv")}
    assert person.client.post("/batches", data=data).status_code == 403


def test_spooled_uploads_leave_nothing(api: Api, settings: Settings) -> None:
    """A refused upload has no name on the disk."""
    assert hand_in(api, kind="poem").status_code == 422
    uploads: Path = settings.data_dir / "uploads"
    assert not list(uploads.iterdir())
    assert json.loads(api("GET", PLACE).data)["items"] == []
