"""Direct calls: any Celery producer, none of our code, one answer an item."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.workers import producer
from tests.workers.installation import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mailroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with one worker for direct calls, shared by the tests here."""
    installation = Installation(tmp_path_factory.mktemp("direct"))
    installation.worker("celery")
    yield installation
    installation.close()


def call(mailroom: Installation, *calls: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the outcomes of each call of `mailroom.read`."""
    return producer.call(mailroom, *(("mailroom.read", one) for one in calls))


def test_another_program_gets_one_outcome_an_item_in_order(mailroom: Installation) -> None:
    """A bad item is an error in its place and costs the others nothing."""
    raw = b"Subject: Broken lamp\r\nFrom: a@example.org\r\n\r\nIt arrived broken. Please help.\r\n"
    items = [
        "A wonderful film, I loved every minute.",
        {"text": "A dull film, I fell asleep."},
        17,
        {"raw": raw.decode()},
        {"raw": base64.b64encode(raw).decode(), "encoding": "base64"},
        {"raw": "%%%", "encoding": "base64"},
        {},
        "A wonderful film, I loved every minute.",
    ]
    (answers,) = call(mailroom, {"kind": "review", "items": items})

    assert len(answers) == len(items)
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert codes == [None, None, "bad_item", None, None, "bad_item", "bad_item", None]
    assert answers[0] == answers[7], "the same text, the same answer, wherever it stands"
    assert answers[0]["labels"]["sentiment"]["value"] == "positive"
    assert answers[3] == answers[4]


def test_an_unknown_kind_and_too_many_items_are_answers_too(mailroom: Installation) -> None:
    """A caller need not know Celery's exceptions to learn what was wrong."""
    unknown, many, none = call(
        mailroom,
        {"kind": "poem", "items": ["one", "two"]},
        {"kind": "review", "items": ["x"] * 10_001},
        {"kind": "review", "items": []},
    )
    assert [answer["error"]["code"] for answer in unknown] == ["unknown_kind"] * 2
    assert {answer["error"]["code"] for answer in many} == {"too_large"}
    assert none == []


def test_a_kind_that_is_not_said_is_recognised(mailroom: Installation) -> None:
    """One call may mix what came in."""
    (answers,) = call(mailroom, {"kind": None, "items": ["The film was great fun, do see it."]})
    assert answers[0]["kind"] in ("review", "ticket", "email", "contract")
    assert 0 <= answers[0]["kind_confidence"] <= 1


def test_direct_calls_touch_no_ledger_and_their_results_expire(mailroom: Installation) -> None:
    """The caller owns the call: nothing of it is kept, and nothing fills a disk."""
    call(mailroom, {"kind": "review", "items": ["fine"]})
    with redis.Redis.from_url(mailroom.results.url) as connection:
        keys = list(connection.scan_iter("celery-task-meta-*"))
        assert keys
        assert all(0 < connection.ttl(key) <= 3600 for key in keys)
    with redis.Redis.from_url(mailroom.broker.url) as connection:
        assert not list(connection.scan_iter("celery-task-meta-*"))
    assert not mailroom.ledger.owed.status()


def test_no_document_text_stands_in_a_log(mailroom: Installation) -> None:
    """Logs go where documents must not: not even what was wrong with a call quotes it."""
    secret = "Zyxomma obtusum"
    call(
        mailroom,
        {
            "kind": "review",
            "items": [f"{secret} was seen.", {"raw": f"Subject: {secret}\n\n{secret}"}],
        },
    )
    with redis.Redis.from_url(mailroom.broker.url) as connection:
        # what Celery complains of at length: an unknown task, and a message that is none
        from celery import Celery

        app = Celery(broker=mailroom.broker.url, set_as_current=False)
        app.send_task("mailroom.reed", kwargs={"items": [secret]})
        connection.lpush("celery", json.dumps({"body": secret, "headers": {}, "properties": {}}))
    call(mailroom, {"kind": "review", "items": ["after that"]})

    said = "".join(program.said for program in mailroom.programs)
    assert "unregistered task" in said
    assert secret not in said


def test_logs_are_where_they_should_be(mailroom: Installation) -> None:
    """A log that says nothing would hide what the test above looks for."""
    assert all(Path(program.log).stat().st_size for program in mailroom.programs)
