"""Owed deliveries: each is made once, or is shown as failed with its reason."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ledger import Finished, Viewer
from ledger.deliveries import Delivery
from ledger.schema import deliveries
from tests.connectors.conftest import Inbox, Received, Receiver
from tests.workers.installation import Installation
from tests.workers.waiting import eventually
from workers.app import make_app
from workers.context import Context
from workers.delivery import ATTEMPTS, Courier, pause

VIEWER = Viewer(actor="test")
RAW = b"From: Ann <ann@example.com>\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n"


@pytest.fixture
def mailroom(tmp_path: Path) -> Any:
    """An installation without workers yet."""
    installation = Installation(tmp_path)
    yield installation
    installation.close()


@pytest.fixture
def courier(mailroom: Installation) -> Any:
    """The queue `delivery`, worked on in this process."""
    context = Context(mailroom.settings, name="test")
    yield Courier(make_app(mailroom.settings, context), context)
    context.close()


def destinations(mailroom: Installation, text: str) -> None:
    """Write the file of destinations."""
    path = mailroom.folder / "connectors.toml"
    path.write_text(text)
    path.chmod(0o600)


def webhook(receiver: Receiver, **more: str) -> str:
    """Return the table of a webhook called `hook`."""
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    extra = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f"""
[hook]
connector = "webhook"
url = "{receiver.url}/hook"
secrets = ["{secret}"]
allow = ["127.0.0.0/8"]
{extra}
"""


def owe(mailroom: Installation, *owed: dict[str, Any], body: bytes = RAW, **options: Any) -> None:
    """Finish a document whose result asks for these deliveries."""
    ledger = mailroom.ledger
    ledger.documents.accept(body, viewer=VIEWER, source="smtp", kind="email", **options)
    (row,) = ledger.owed.claim("interactive", holder="t", items=1, characters=1, lease_seconds=60)
    mail = {
        "subject": "Hello",
        "from": "Ann <ann@example.com>",
        "message_id": "<1@x>",
        "text": "hi",
    }
    finished = Finished(
        owed_id=row.id, outcome={"kind": "email"}, mail=mail, deliveries=tuple(owed)
    )
    assert ledger.owed.finish([finished], holder="t")


def all_of(mailroom: Installation) -> list[Delivery]:
    """Return every delivery, newest first."""
    return mailroom.ledger.deliveries.list(VIEWER)


def make_due(mailroom: Installation) -> None:
    """Let the pauses, and the leases of the dead, be over."""
    with mailroom.ledger.database.writing() as connection:
        due = update(deliveries).where(deliveries.c.free_at.is_not(None)).values(free_at=0)
        connection.execute(due)


def test_a_result_reaches_its_receiver(
    mailroom: Installation, courier: Courier, receiver: Receiver
) -> None:
    """The answer must land where people work, with what they need to know."""
    destinations(mailroom, webhook(receiver))
    owe(mailroom, {"connector": "hook", "payload": {"queue": "billing"}})
    courier.work()
    (delivery,) = all_of(mailroom)
    assert (delivery.state, delivery.attempts) == ("done", 1)
    assert delivery.log[0]["detail"] == "The receiver answered 200."
    body = receiver.received[0].body
    assert b'"queue":"billing"' in body
    assert b'"subject":"Hello"' in body
    courier.work()
    assert len(receiver.received) == 1


def test_a_receiver_that_fails_is_tried_until_it_takes_it(
    mailroom: Installation, courier: Courier, receiver: Receiver
) -> None:
    """A helpdesk that restarts must not cost a mail; every attempt is there to be seen."""
    statuses = [500, 429, 200]
    receiver.answer = lambda _: (statuses.pop(0), {"retry-after": "600"}, b"")
    destinations(mailroom, webhook(receiver))
    owe(mailroom, {"connector": "hook", "payload": {}})
    for _ in range(3):
        courier.work()
        courier.work()  # before its time it is left alone
        make_due(mailroom)
    (delivery,) = all_of(mailroom)
    assert delivery.state == "done"
    assert [entry.get("code") for entry in delivery.log] == ["not_delivered_yet"] * 2 + [None]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


def test_what_waiting_does_not_cure_fails_at_once_and_can_be_replayed(
    mailroom: Installation, courier: Courier, receiver: Receiver
) -> None:
    """A wrong address retried for a day hides the fault; after the repair one click must do."""
    receiver.answer = lambda _: (404, {}, b"secret words")
    destinations(mailroom, webhook(receiver))
    owe(mailroom, {"connector": "hook", "payload": {}}, {"connector": "gone", "payload": {}})
    courier.work()
    courier.work()
    by_name = {delivery.connector: delivery for delivery in all_of(mailroom)}
    assert {delivery.state for delivery in by_name.values()} == {"failed"}
    assert "404" in by_name["hook"].log[0]["message"]
    assert "secret" not in str(by_name["hook"].log)
    assert by_name["gone"].log[0]["code"] == "bad_settings"
    receiver.answer = lambda _: (200, {}, b"")
    mailroom.ledger.deliveries.replay(by_name["hook"].id, VIEWER)
    courier.work()
    assert {d.connector: d.state for d in all_of(mailroom)} == {"hook": "done", "gone": "failed"}


def test_a_queue_that_is_only_watched_again_sends_nothing_more(
    mailroom: Installation, courier: Courier, receiver: Receiver
) -> None:
    """Switched back in alarm: what was owed already must not go out in the hours after."""
    destinations(mailroom, webhook(receiver))
    rules = mailroom.folder / "rules.toml"
    rules.write_text("[shadow]\non = true\nlive = ['sales']\n")
    owe(mailroom, *({"connector": "hook", "payload": {"queue": q}} for q in ("billing", "sales")))
    courier.work()
    by_queue = {delivery.payload["queue"]: delivery for delivery in all_of(mailroom)}
    assert {queue: one.state for queue, one in by_queue.items()} == {
        "billing": "held",
        "sales": "done",
    }
    held = by_queue["billing"]
    assert (held.attempts, held.log[0]["code"]) == (0, "only_watched")
    rules.write_text("[shadow]\non = false\n")
    courier.work()
    assert len(receiver.received) == 1  # a person lets it go
    mailroom.ledger.deliveries.release(held.id, VIEWER)
    courier.work()
    assert len(receiver.received) == 2


def test_attempts_end(mailroom: Installation, courier: Courier, receiver: Receiver) -> None:
    """A delivery tried for ever is one that nobody ever sees as failed."""
    receiver.answer = lambda _: (500, {}, b"")
    destinations(mailroom, webhook(receiver))
    owe(mailroom, {"connector": "hook", "payload": {}})
    for _ in range(ATTEMPTS + 2):
        courier.work()
        make_due(mailroom)
    (delivery,) = all_of(mailroom)
    assert (delivery.state, len(delivery.log)) == ("failed", ATTEMPTS)
    assert len(receiver.received) == ATTEMPTS


def test_pauses_grow_and_differ() -> None:
    """Deliveries that come back all at once knock the receiver over again."""
    assert all(24 <= pause(1) <= 36 for _ in range(100))
    assert pause(5) > 3600
    assert max(pause(attempt) for attempt in range(1, 60)) <= 1.2 * 6 * 3600
    assert len({pause(3) for _ in range(20)}) > 10


def test_a_forward_carries_the_original_and_comes_back_only_once(
    mailroom: Installation, courier: Courier, inbox: tuple[Inbox, int]
) -> None:
    """A forwarding address that leads back here would go round for ever."""
    handler, port = inbox
    destinations(
        mailroom,
        f"""
[billing]
connector = "smtp_forward"
host = "127.0.0.1"
port = {port}
security = "none"
to = ["billing@example.org"]
sender = "mailroom@example.org"
""",
    )
    owe(mailroom, {"connector": "billing", "payload": {}}, envelope={"mail_from": ""})
    courier.work()
    content = handler.envelopes[0].original_content
    assert isinstance(content, bytes)
    assert content.endswith(RAW)
    assert handler.envelopes[0].mail_from == "<>"
    owe(mailroom, {"connector": "billing", "payload": {}}, body=content, envelope={"ours": True})
    courier.work()
    assert [delivery.state for delivery in all_of(mailroom)] == ["failed", "done"]
    assert len(handler.envelopes) == 1


def test_destinations_can_change_and_take_secrets_from_the_environment(
    mailroom: Installation, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repaired file that needs a restart is repaired twice."""
    destinations(mailroom, "nonsense = = =")
    owe(mailroom, {"connector": "hook", "payload": {}})
    courier.work()
    (delivery,) = all_of(mailroom)
    assert delivery.log[0]["code"] == "bad_settings"
    table = webhook(receiver).replace("url = ", 'url = { env = "HOOK_ADDRESS" } #')
    table = table.replace("secrets = ", 'secrets = [{ env = "HOOK_SECRET" }] #')
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(b"s" * 32).decode())
    destinations(mailroom, table)
    for state, address in (("failed", None), ("done", f"{receiver.url}/hook")):
        if address:
            monkeypatch.setenv("HOOK_ADDRESS", address)
        mailroom.ledger.deliveries.replay(delivery.id, VIEWER)
        courier.work()
        assert all_of(mailroom)[0].state == state


@pytest.mark.slow
def test_a_worker_killed_while_sending(mailroom: Installation, receiver: Receiver) -> None:
    """A machine that goes down while it sends: the receiver must be able to tell the repeat."""
    arrived, release = threading.Event(), threading.Event()

    def hold_the_first(_: Received) -> tuple[int, dict[str, str], bytes]:
        if not arrived.is_set():
            arrived.set()
            release.wait(60)
        return 200, {}, b""

    receiver.answer = hold_the_first
    destinations(mailroom, webhook(receiver))
    for _ in range(3):
        owe(mailroom, {"connector": "hook", "payload": {}})
    first = mailroom.worker("delivery")
    mailroom.client.ring("delivery")
    assert arrived.wait(60)
    first.kill()
    release.set()
    make_due(mailroom)
    mailroom.worker("delivery")
    mailroom.scheduler()
    eventually(lambda: all(delivery.state == "done" for delivery in all_of(mailroom)))
    seen = Counter(request.headers["webhook-id"] for request in receiver.received)
    assert len(seen) == 3
    assert sorted(seen.values())[:2] == [1, 1]
    assert max(seen.values()) <= 2
