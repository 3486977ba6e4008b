"""Training as a job: a file becomes a model that workers read with, here and on other machines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Job, Viewer
from tests.workers.installation import VIEWER, Installation
from tests.workers.waiting import eventually
from workers.client import similar_to

ENDED = {"done", "failed", "cancelled"}
WISHES = {
    "refund": ["I want my money back", "please refund the payment", "return my money for it"],
    "delivery": ["where is my parcel", "the package did not arrive", "when will it be delivered"],
}
SMALL = {"teacher": "none", "hidden_size": 4, "epochs": 2}


@pytest.fixture
def mailroom(tmp_path: Path) -> Iterator[Installation]:
    """An installation without models of its own."""
    installation = Installation(tmp_path, threads=1)
    yield installation
    installation.close()


def table(rows: int) -> bytes:
    """Return labelled texts as JSON lines."""
    lines = []
    for i in range(rows):
        wish = list(WISHES)[i % 2]
        lines.append(json.dumps({"words": f"{WISHES[wish][i % 3]}, order {i}", "wish": wish}))
    return "\n".join(lines).encode()


def train(mailroom: Installation, body: bytes, **options: object) -> Job:
    """Hand in a training as the page does, and return it when it ended."""
    job = mailroom.ledger.jobs.add(
        VIEWER,
        queue="training",
        task="train",
        name="wishes",
        options={"text": "words", "label": "wish", **SMALL, **options},
        input=mailroom.ledger.files.put(body),
        input_name="wishes.jsonl",
    )
    mailroom.client.ring("training")

    def found() -> Job:
        return mailroom.ledger.jobs.get(job.id, VIEWER)

    eventually(lambda: found().state in ENDED, seconds=120, what="the training goes on")
    return found()


def test_a_file_becomes_a_model_that_reads_documents_anywhere(mailroom: Installation) -> None:
    """Trained apart, promoted, used by name; a machine that lacks it fetches it."""
    mailroom.worker("training", "interactive")
    few = train(mailroom, table(10))
    assert few.error is not None
    assert few.error["code"] == "not_enough_data"  # said at once, and not tried again
    assert few.attempts == 1

    done = train(mailroom, table(80))
    assert done.error is None
    assert done.result is not None
    assert {"report.html", "model.tar"} == set(done.outputs)
    assert done.result["version"] == "1"
    assert 0 <= done.result["figures"]["accuracy"] <= 1
    assert done.progress is not None
    (model,) = mailroom.ledger.models.trained(VIEWER)
    assert (model.name, model.facts["labels"]) == ("wishes", {"wish": 2})

    shutil.rmtree(mailroom.folder / "models")  # as on a machine that trained nothing
    mailroom.ledger.models.promote("wishes", "1", VIEWER)
    (read,) = mailroom.finished([mailroom.accept("please refund my money", kind="wishes")])
    assert read.error is None
    assert read.outcome is not None
    assert read.outcome["model"] == {"name": "wishes", "version": "1"}
    assert set(read.outcome["labels"]) == {"wish"}
    # beside the answer: rows of the file with the label that they were given there
    result = mailroom.ledger.documents.results(read.id, VIEWER)[0]
    near = similar_to(mailroom.ledger, VIEWER, "wishes", "1", result.vector, 3)
    rows = [json.loads(line) for line in table(80).splitlines()]
    assert len(near) == 3
    for one in near:
        row = rows[one["row"] - 1]
        assert (one["text"], one["labels"]) == (row["words"], {"wish": row["wish"]})
    stranger = Viewer(workspace="elsewhere")
    assert similar_to(mailroom.ledger, stranger, "wishes", "1", result.vector, 3) == []
    # what was fetched is not overwritten by the next training, which keeps no texts this time
    assert train(mailroom, table(60), examples=False).result["version"] == "2"  # type: ignore[index]
    mailroom.ledger.models.promote("wishes", "2", VIEWER)

    def plain() -> bytes | None:
        (read,) = mailroom.finished([mailroom.accept("please refund it", kind="wishes")])
        assert read.outcome is not None
        if read.outcome["model"]["version"] != "2":  # a promotion is seen within seconds
            return b"not yet"
        return mailroom.ledger.documents.results(read.id, VIEWER)[0].vector

    eventually(lambda: plain() is None, what="version 2 does not read")
    assert mailroom.ledger.models.get("wishes", "2", VIEWER).facts["examples"] == 0
