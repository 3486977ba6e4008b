"""Similar labelled examples: beside an answer, for the workspace whose examples they are."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

import numpy as np
from flask import Flask

from ledger import Finished, Ledger, Viewer
from nlp.neighbours import Projection, Representation, files_of
from tests.service.conftest import Api, Issue, Person

ME = Viewer()
TEXTS = ["I want my money back", "refund me <b>now</b>", "where is my parcel", "it never arrived"]
WISHES = ["refund", "refund", "delivery", "delivery"]
SEEN = Representation(None, np.array([[3, 0], [2, 0], [0, 3], [0, 2]], np.float32))
OUTCOME = {
    "kind": "wishes",
    "labels": {"wish": {"value": "refund", "confidence": 0.9, "needs_review": False}},
    "entities": [],
    "model": {"name": "wishes", "version": "1"},
}


def parcel(files: Mapping[str, bytes]) -> bytes:
    """Return a packed model of some files, with their manifest."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as packed:
        for name, content in {**files, "manifest.json": json.dumps(hashes).encode()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def keep(ledger: Ledger, *, workspace: str = "default", examples: bool = True) -> bytes:
    """Keep version 1 of "wishes" as a worker does, and return the vector of its first text."""
    projection = Projection.fit(SEEN)
    rows = [(i + 1, t, {"wish": w}) for i, (t, w) in enumerate(zip(TEXTS, WISHES, strict=True))]
    files = files_of(projection, SEEN, rows)[1] if examples else {"config.json": b"{}"}
    body = parcel(files)
    ledger.models.keep(
        Viewer(workspace=workspace),
        name="wishes",
        version="1",
        sha256=ledger.files.put(body),
        size=len(body),
        facts={},
    )
    return projection(SEEN)[0].tobytes()


def read(ledger: Ledger, vector: bytes | None, viewer: Viewer = ME) -> str:
    """Return the id of a document that version 1 read and left this vector of."""
    body = b"give my money back"
    document = ledger.documents.accept(body, viewer=viewer, source="api", kind="wishes")
    (owed,) = ledger.owed.claim(
        "interactive", holder="test", items=1, characters=10**6, lease_seconds=60
    )
    done = Finished(owed.id, outcome=OUTCOME, text=body.decode(), type="text", vector=vector)
    assert ledger.owed.finish([done], holder="test") == [document.id]
    return document.id


def test_examples_stand_beside_the_answer(api: Api, person: Person, ledger: Ledger) -> None:
    """Who doubts an answer sees what people called texts like this one."""
    document = read(ledger, keep(ledger))
    answer = api("GET", f"/api/v1/documents/{document}/similar?limit=2")
    assert answer.status_code == 200
    assert answer.json["model"] == OUTCOME["model"]
    assert [(one["row"], one["labels"], one["text"]) for one in answer.json["items"]] == [
        (1, {"wish": "refund"}, TEXTS[0]),
        (2, {"wish": "refund"}, TEXTS[1]),
    ]
    assert answer.json["items"][0]["similarity"] > 0.99
    assert api("GET", f"/api/v1/documents/{document}/similar?limit=0").status_code == 422
    assert api("GET", "/api/v1/documents/none/similar").status_code == 404
    page = person.client.get(f"/documents/{document}").text
    assert "Similar labelled examples" in page
    assert "refund me &lt;b&gt;now&lt;/b&gt;" in page
    # the vector is no part of what programs read
    assert "vector" not in api("GET", f"/api/v1/documents/{document}").text


def test_another_workspace_never_sees_the_texts(app: Flask, issue: Issue, ledger: Ledger) -> None:
    """Not of a document of ours, nor of one of theirs that our model seems to have read."""
    vector = keep(ledger)
    ours = read(ledger, vector)
    theirs = read(ledger, vector, Viewer(workspace="elsewhere"))
    secret = issue(workspace="elsewhere")
    stranger, visitor = Api(app, secret), Person(app)
    visitor.sign_in(secret)
    assert stranger("GET", f"/api/v1/documents/{ours}/similar").status_code == 404
    assert stranger("GET", f"/api/v1/documents/{theirs}/similar").json["items"] == []
    page = visitor.client.get(f"/documents/{theirs}")
    assert page.status_code == 200
    assert "Similar labelled examples" not in page.text
    assert not any(text in page.text for text in TEXTS)


def test_without_examples_the_page_is_as_it_was(api: Api, person: Person, ledger: Ledger) -> None:
    """Models without, results from before, and a lost file show an answer and nothing else."""
    vector = keep(ledger, examples=False)
    for document in (read(ledger, vector), read(ledger, None)):
        assert api("GET", f"/api/v1/documents/{document}/similar").json["items"] == []
        page = person.client.get(f"/documents/{document}")
        assert page.status_code == 200
        assert "Similar labelled" not in page.text
    ledger.files.delete(ledger.models.get("wishes", "1", ME).sha256)
    document = read(ledger, vector)
    assert api("GET", f"/api/v1/documents/{document}/similar").json["items"] == []
    waiting = api.submit("not read yet")
    assert api("GET", f"/api/v1/documents/{waiting}/similar").json == {"model": None, "items": []}
