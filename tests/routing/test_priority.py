"""The priority rule: what a person would call urgent is, and what only sounds so is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import deadlines
from routing.priority import VALUES, Decision, priority
from routing.quoted import Quoted

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)  # a Wednesday
ASKS = {"wants_answer": {"value": "yes", "confidence": 0.9}}
TELLS = {"wants_answer": {"value": "no", "confidence": 0.9}}


def decide(
    text: str, labels: dict[str, Any] = ASKS, mail: dict[str, Any] | None = None
) -> Decision:
    """Return the decision on a mail that came just now."""
    return priority(labels, text, mail, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "URGENT: printer\n\nPlease help us.",
        "Invoice\n\nCan you send it asap?",
        "We need the contract within 24 hours.",
        "Could you sign by tomorrow?",
        "Please reply by end of day.",
        "Please answer no later than 5 pm.",
        "I need this by noon, thanks",
        "Please confirm before Thursday.",
        "Payment is due on 2026-03-05, can you confirm?",
        "The deadline is March 5, can you make it?",
        "Bitte antworten Sie umgehend!",
    ],
)
def test_haste_that_is_plainly_said_is_urgent(text: str) -> None:
    """A mail that must be answered today would wait in line behind newsletters."""
    decision = decide(text)
    assert decision.value == "urgent", decision
    assert decision.evidence, "the person is shown no reason"


@pytest.mark.parametrize(
    "text",
    [
        "Lunch\n\nThis is not urgent.",
        "Question\n\nNot really urgent, but can you look at it?",
        "No rush, whenever you have time.",
        "It isn't that urgent.",
        "There is no hurry with this.",
        "It can wait until you are back.",
    ],
)
def test_leisure_that_is_plainly_said_is_low(text: str) -> None:
    """A rule that sees only the word would call "not urgent" urgent."""
    assert decide(text).value == "low"


@pytest.mark.parametrize(
    "text",
    [
        "Hello\n\nCan you help?\n\n> this is urgent, by tomorrow please",
        "Hello\n\nCan you help?\n\nOn Tue, 3 Mar 2026, Ann <ann@example.com> wrote:\nURGENT!",
        "Hello\n\nCan you help?\n\n-----Original Message-----\nplease reply by end of day",
        "Can you help?\n\n--\nFor urgent matters call 555-0199.",
        "Can you help?\nIn case of emergency please contact the front desk.",
        "We met on Friday and talked about 3 March. Shall we again?",
        "The price went down by 3.5 points, why?",
        "No immediate action, but what do you think?",
    ],
)
def test_haste_of_others_or_of_other_days_does_not_count(text: str) -> None:
    """Quoted mails, signatures and mere dates would make every long thread urgent."""
    assert decide(text).value in ("normal", "low")


def test_the_ladder_of_days() -> None:
    """Days that matter to the reader must move the priority the right way, and only that way."""
    by_days = [decide(f"Can you answer within {days} days?").value for days in (1, 2, 3, 5, 20)]
    assert by_days == ["urgent", "high", "high", "normal", "normal"]


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("by Friday", (2026, 3, 6)),
        ("by next Friday", (2026, 3, 13)),
        ("before Monday", (2026, 3, 9)),
        ("by the end of the week", (2026, 3, 6)),
        ("by the end of the month", (2026, 3, 31)),
        ("by March 20", (2026, 3, 20)),
        ("by 20th of March 2026", (2026, 3, 20)),
        ("by the 2nd", (2026, 4, 2)),
        ("by January 10", (2027, 1, 10)),
        ("due 2026-12-31", (2026, 12, 31)),
        ("by 3/4", (2026, 3, 4)),  # the sooner of 4 March and 3 April
        ("by 25/3/2026", (2026, 3, 25)),
        ("by 5pm on Friday", (2026, 3, 6)),
        ("no later than Thursday, 12 March", (2026, 3, 12)),
    ],
)
def test_a_deadline_is_the_day_a_reader_would_write_down(words: str, due: tuple[int, ...]) -> None:
    """A deadline read as another day is worse than none."""
    text = f"Please answer {words}."
    found = deadlines.find(text, Quoted(text), NOW)
    assert found, words
    assert found[0].due.date() == datetime(*due).date()  # type: ignore[arg-type]
    assert text[found[0].span.start : found[0].span.end] in text


@pytest.mark.parametrize("words", ["by June 31", "by 99/99", "by 0000-00-00", "by 25:99", "by 3.5"])
def test_days_that_do_not_exist_are_no_deadlines(words: str) -> None:
    """A typing error in a date must never fail a mail."""
    assert deadlines.find(words, Quoted(words), NOW) == []


def test_the_date_of_the_mail_counts_not_the_day_it_is_read() -> None:
    """Old mail read again, as a dry run does, would get another priority every day."""
    mail = {"date": (NOW - timedelta(days=400)).isoformat()}
    assert decide("Can you answer by tomorrow?", mail=mail).value == "urgent"


def test_mail_that_nobody_waits_behind_is_low() -> None:
    """Spam and newsletters shout "urgent" more than customers do."""
    shout = "URGENT: last chance, reply by tomorrow!"
    assert decide(shout, {"spam": {"value": "yes", "confidence": 0.97}}).value == "low"
    assert decide(shout, mail={"bulk": True}).value == "low"
    assert decide(shout, mail={"auto_reply": True}).value == "low"
    assert decide("Thank you all for yesterday.", TELLS).value == "low"


def test_the_importance_header_is_a_claim() -> None:
    """If the header decided, every sender would set it."""
    loud = {"importance": "high"}
    assert decide("Could you tell me the opening hours?").value == "normal"
    assert decide("Could you tell me the opening hours?", mail=loud).value == "high"
    assert decide("Our spring catalogue is here.", TELLS, mail=loud).value == "low"
    assert decide("Hello there?", mail={"headers": {"X-Priority": "1 (Highest)"}}).value == "high"


def test_an_unhappy_sender_who_waits_goes_up() -> None:
    """Complaints without a word of haste would wait with the ordinary questions."""
    unhappy = {**ASKS, "sentiment": {"value": "negative", "confidence": 0.95}}
    assert decide("Where is my order?", unhappy).value == "high"


def test_nothing_known_is_normal_and_doubtful_signs_say_so() -> None:
    """Without labels the rule still answers, and claims no more than it knows."""
    decision = priority({}, "", None, NOW)
    assert decision.value == "normal"
    assert decision.confidence < 0.8
    assert decide("This is urgent. But there is no rush.").needs_review


@given(st.text(), st.sampled_from([ASKS, TELLS, {}]))
def test_any_text_gets_a_decision_whose_evidence_lies_in_it(text: str, labels: dict) -> None:
    """A mail with odd characters must not fail, and what is highlighted must exist."""
    decision = priority(labels, text, {"date": text}, NOW)
    assert decision.value in VALUES
    assert 0 <= decision.confidence <= 1
    assert all(0 <= span.start < span.end <= len(text) for span in decision.evidence)
    assert decision.to_json()["reason"]


@pytest.mark.parametrize(
    "piece",
    [
        "by the ",
        "not really ",
        "within the next ",
        "On a ",
        "> ",
        "no ",
        "due on by at ",
        "\n",
        "urgent ",
        "if it is ",
        "end of the business ",
        "1/1/",
        "From: a\n",
        "please in 3 ",
    ],
)
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    """A mail made to make the rule backtrack would stop a worker: past the test's time limit."""
    assert decide(piece * (300_000 // len(piece))).value in VALUES
