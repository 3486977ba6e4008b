"""Mails that must never get an automatic answer, and the cap on the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from routing.replies import Answered, may_answer, never_answer

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
ANN = {"from": "Ann <ann@example.com>", "subject": "Hello"}


@pytest.mark.parametrize(
    "more",
    [
        {"auto_reply": True},
        {"bulk": True},
        {"bounce": {"recipient": "x@y", "status": "5.1.1", "permanent": True}},
        {"from": "MAILER-DAEMON@mx.example.com"},
        {"from": '"Ann" <no-reply@example.com>'},
        {"from": "orders.noreply@example.com"},
        {"from": "do_not_reply@example.com"},
        {"from": "list-bounces@example.com"},
        {"from": "dev-request@lists.example.com"},
        {"from": "owner-dev@lists.example.com"},
        {"from": "help@ours.example"},
        {"from": ""},
        {"from": "undisclosed"},
        {"headers": {"Auto-Submitted": "auto-replied; owner-email=x"}},
        {"headers": {"AUTO-SUBMITTED": "auto-generated"}},
        {"headers": {"Precedence": "Bulk"}},
        {"headers": {"List-Id": "<dev.example.com>"}},
        {"headers": {"List-Unsubscribe": "<mailto:x@y>"}},
        {"headers": {"X-Auto-Response-Suppress": "OOF"}},
        {"headers": {"Return-Path": "<>"}},
        {"headers": {"Content-Type": "multipart/report; report-type=delivery-status"}},
        {"headers": {"X-Mailroom-Loop": "v1=0; <x>"}},
    ],
)
def test_mail_of_programs_and_lists_is_never_answered(more: dict[str, Any]) -> None:
    """One answer to a list reaches thousands; one to a program may never end."""
    assert never_answer(ANN | more, own_addresses={"Help@ours.example"})


@pytest.mark.parametrize("envelope", [{"mail_from": ""}, {"ours": True}])
def test_the_envelope_counts_too(envelope: dict[str, Any]) -> None:
    """Many bounces show only in the dialogue what they are."""
    assert never_answer(ANN, envelope=envelope)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"headers": {"Auto-Submitted": "no", "Precedence": "normal"}},
        {"from": "norely.smith@example.com"},
        {"from": "owen.downer@example.com"},
        {"from": "boundless@example.com"},
    ],
)
def test_people_may_be_answered(more: dict[str, Any]) -> None:
    """A customer who is taken for a program waits for nothing."""
    assert never_answer(ANN | more, envelope={"mail_from": "ann@example.com"}) is None


def test_answers_to_one_correspondent_end() -> None:
    """Two programs that both look like people would write to each other all night."""
    history: list[Answered] = []
    sent = 0
    for minute in range(180):
        now = NOW + timedelta(minutes=minute)
        if may_answer(history, now, subject=f"Re: {minute}"):
            history.append(Answered(now, f"Re: {minute}"))
            sent += 1
    assert sent == 5
    assert may_answer(history, NOW + timedelta(hours=7))


def test_the_same_subject_is_answered_twice_at_most() -> None:
    """A loop keeps its subject."""
    history = [Answered(NOW, "Re: x"), Answered(NOW, "re: X")]
    assert not may_answer(history, NOW + timedelta(minutes=1), subject="Re: x")
    assert may_answer(history, NOW + timedelta(minutes=1), subject="another")


@pytest.mark.parametrize(
    ("name", "value", "answered"),
    [
        ("X-Autoreply", "no", True),
        ("Feedback-ID", "1.eu-west-1.abc=:AmazonSES", True),
        ("Feedback-ID", "4711:shop:news", False),
        ("X-RT-Loop-Prevention", "desk.example.org", False),
        ("X-Redmine-Host", "desk.example.org", False),
    ],
)
def test_a_mark_counts_unless_it_denies_itself(name: str, value: str, answered: bool) -> None:
    """A relay's stamp on a person's letter is no reason to leave it without a word."""
    mail = {"from": "ada@example.org", "headers": [[name, value]]}
    assert (never_answer(mail) is None) == answered


@pytest.mark.parametrize("sender", ["alerts", "system", "automated"])
def test_programs_that_warn_get_no_answer(sender: str) -> None:
    """Their warnings keep their priority, but nobody reads what is sent there."""
    assert never_answer({"from": f"{sender}@example.org"}) is not None
    assert never_answer({"from": f"{sender}haus@example.org"}) is None
