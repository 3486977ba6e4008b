"""Zammad: the decision lands on the ticket once, whatever breaks on the way."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import BadSettings, Permanent, Transient, build
from tests.connectors.conftest import Receiver, parcel
from tests.connectors.zammad_server import TOKEN, ZammadServer

MAIL: dict[str, Any] = {
    "subject": "Invoice 7",
    "from": "Ann <ann@example.com>",
    "message_id": "<7@example.com>",
    "text": "Where is it?",
    "queue": "billing",
    "priority": "urgent",
    "tags": ["invoice", "waiting"],
    "reason": "Rule billing: queue is billing (0.97).",
}


@pytest.fixture
def zammad(receiver: Receiver) -> ZammadServer:
    """A server that speaks Zammad's API."""
    return ZammadServer(receiver)


def connector(zammad: ZammadServer, **settings: Any) -> Any:
    """Return the connector to it."""
    known = {"url": zammad.url + "/", "token": TOKEN, "groups": ["billing=Billing Team"]}
    return build({"connector": "zammad", "allow": ["127.0.0.0/8"]} | known | settings)


def test_a_mail_without_a_ticket_gets_one_with_everything_on_it(zammad: ZammadServer) -> None:
    """People work in Zammad: what is not on the ticket does not exist for them."""
    receipt = connector(zammad).send(parcel(**MAIL))
    assert receipt.reference == "22001"
    ticket = zammad.tickets[1]
    assert (ticket["title"], ticket["customer"]) == ("Invoice 7", "ann@example.com")
    assert (ticket["group"], ticket["priority"]) == ("Billing Team", "3 high")
    assert zammad.tags[1] == ["invoice", "waiting"]
    mail, note = zammad.articles
    assert (mail["body"], mail["internal"]) == ("Where is it?", False)
    assert note["internal"] is True
    assert "Rule billing" in note["body"]


def test_the_ticket_of_the_mail_is_found(zammad: ZammadServer) -> None:
    """A second ticket for a mail that has one would be answered twice."""
    zammad.tickets[1] = {"id": 1, "number": "22001", "title": "Invoice 7", "group": "Users"}
    zammad.articles.append({"ticket_id": 1, "message_id": "<7@example.com>", "body": "x"})
    connector(zammad).send(parcel(**MAIL))
    assert len(zammad.tickets) == 1
    assert zammad.tickets[1]["group"] == "Billing Team"
    connector(zammad).send(parcel(key="d-2", ticket=1, reason="again"))
    assert [article["body"].split("\n")[0] for article in zammad.articles][1:] == [
        MAIL["reason"],
        "again",
    ]


@pytest.mark.parametrize("message_id", ["<7@example.com>", None])
def test_attempts_that_were_cut_off_leave_one_ticket_and_one_note(
    zammad: ZammadServer, message_id: str | None
) -> None:
    """A worker that dies after any of the requests must not have its work doubled by the next."""
    mail = MAIL | {"message_id": message_id}
    attempts = 0
    while True:
        attempts += 1
        zammad.lose_next = 1
        # each attempt gets one change further, and never hears of the last one
        made = sum(map(len, (zammad.tickets, zammad.articles, *zammad.tags.values())))
        try:
            connector(zammad).send(parcel(**mail))
        except Transient:
            if sum(map(len, (zammad.tickets, zammad.articles, *zammad.tags.values()))) == made:
                zammad.lose_next = 0
                connector(zammad).send(parcel(**mail))
                break
        else:
            break
    assert attempts > 1
    assert len(zammad.tickets) == 1
    assert len(zammad.articles) == 2
    assert zammad.tags[1] == ["invoice", "waiting"]


def test_errors_are_told_apart(zammad: ZammadServer) -> None:
    """A group that is not there needs a person; a server that restarts needs a minute."""
    for status, error in ((500, Transient), (503, Transient), (422, Permanent), (403, Permanent)):
        zammad.fail_next = [status]
        with pytest.raises(error):
            connector(zammad).send(parcel(**MAIL))
    with pytest.raises(Permanent, match="422"):
        connector(zammad, groups=["billing=No Such Group"]).send(parcel(**MAIL))
    with pytest.raises(Permanent, match="401"):
        connector(zammad, token="wrong").send(parcel(**MAIL))
    with pytest.raises(Permanent, match="404"):
        connector(zammad).send(parcel(**MAIL, ticket=99))
    assert zammad.tickets == {}


def test_a_rate_limit_is_waited_for(zammad: ZammadServer) -> None:
    """Pushing on against a limit gets the token locked."""
    zammad.requests_left = 2
    with pytest.raises(Transient) as limited:
        connector(zammad).send(parcel(**MAIL))
    assert limited.value.retry_after == 60


def test_without_create_a_ticket_is_waited_for(zammad: ZammadServer) -> None:
    """Where Zammad fetches the mail itself it may be a minute behind us."""
    with pytest.raises(Transient):
        connector(zammad, create=False).send(parcel(**MAIL))
    assert zammad.tickets == {}


def test_a_hostile_message_id_cannot_change_the_search(zammad: ZammadServer) -> None:
    """A mail's header must not choose which ticket is changed."""
    zammad.tickets[1] = {"id": 1, "number": "22001", "title": "other", "group": "Users"}
    zammad.articles.append({"ticket_id": 1, "message_id": "<other>", "body": "x"})
    connector(zammad).send(parcel(**MAIL | {"message_id": '<x>" OR article.message_id:"<other>'}))
    assert zammad.tickets[1]["title"] == "other"
    assert len(zammad.tickets) == 2


def test_wrong_settings_are_named(zammad: ZammadServer) -> None:
    """A typing error found at the first mail is found too late."""
    for wrong in ({"groups": ["billing"]}, {"article": "letter"}, {"url": "zammad.example"}):
        with pytest.raises(BadSettings):
            connector(zammad, **wrong)
