"""Corrections, model versions, the log, pulses: what people and health checks look at."""

from __future__ import annotations

import pytest

from ledger import Finished, Ledger, Viewer
from ledger.errors import Forbidden, InvalidCursor, NotFound
from tests.ledger.conftest import OUTCOME, Clock, claim


def test_corrections(ledger: Ledger, viewer: Viewer) -> None:
    """What a person said is kept with who said it, beside what the reader said."""
    document = ledger.documents.accept(b"x", viewer=viewer, source="api", kind="ticket")
    first = ledger.corrections.add(document.id, "queue", "billing", viewer)
    second = ledger.corrections.add(document.id, "queue", "sales", viewer)
    entities = [{"start": 0, "end": 1, "label": "PARTY"}]
    third = ledger.corrections.add(document.id, "entities", entities, viewer)

    assert ledger.corrections.list(viewer) == [third, second, first]
    assert ledger.corrections.list(viewer, head="queue", kind="ticket") == [second, first]
    assert ledger.corrections.list(viewer, limit=1, after=third.id) == [second]
    assert (first.actor, first.kind, third.value) == ("anna", "ticket", entities)
    with pytest.raises(NotFound):
        ledger.corrections.add("x", "queue", "sales", viewer)
    with pytest.raises(ValueError, match="value"):
        ledger.corrections.add(document.id, "queue", None, viewer)
    with pytest.raises(InvalidCursor):
        ledger.corrections.list(viewer, after="x")


def test_what_people_settled_needs_no_review(ledger: Ledger, viewer: Viewer) -> None:
    """A list of doubts that stays as long as it was is one that nobody works through."""
    unsure = {"value": "x", "confidence": 0.4, "needs_review": True}
    outcome = OUTCOME | {"labels": {"queue": unsure, "intent": unsure}}
    ids = []
    for _ in range(2):
        document = ledger.documents.accept(b"x", viewer=viewer, source="api", kind="ticket")
        (owed,) = claim(ledger)
        ledger.owed.finish([Finished(owed.id, outcome=outcome)], holder="worker")
        ids.append(document.id)
    ledger.corrections.add(ids[0], "queue", "billing", viewer)
    assert len(ledger.documents.list(viewer, needs_review=True).items) == 2  # the intent is left
    ledger.corrections.add(ids[0], "intent", "x", viewer)
    ledger.corrections.add(ids[1], "decision", "billing", viewer)  # a person decided it all
    assert ledger.documents.list(viewer, needs_review=True).items == []


def test_models_go_forward_and_back(ledger: Ledger) -> None:
    """Each rollback goes one decision further back, to the shipped model in the end."""
    operator = Viewer()
    assert ledger.models.active("review") is None
    with pytest.raises(NotFound):
        ledger.models.rollback("review", operator)
    for version in ("1", "2", "3"):
        ledger.models.promote("review", version, operator)
    ledger.models.promote("email", "7", operator)

    assert ledger.models.active("review") == "3"
    assert ledger.models.rollback("review", operator).version == "2"
    ledger.models.promote("review", "4", operator)
    assert [ledger.models.rollback("review", operator).version for _ in range(3)] == [
        "2",
        "1",
        None,
    ]
    assert ledger.models.active("review") is None
    assert ledger.models.active("email") == "7"

    for version in ("5", "6", "7"):
        ledger.models.promote("review", version, operator)
    assert ledger.models.rollback("review", operator, "5").version == "5"
    with pytest.raises(NotFound):
        ledger.models.rollback("review", operator, "6")
    assert ledger.models.active("review") == "5"
    actions = [decision.action for decision in ledger.models.history("review")]
    assert actions[:4] == ["rollback", "promote", "promote", "promote"]


def test_only_the_operator_changes_models(ledger: Ledger, viewer: Viewer) -> None:
    """A model serves every workspace, so another workspace's admin does not choose it."""
    for somebody in (viewer, Viewer(scopes=frozenset({"read", "write"}))):
        with pytest.raises(Forbidden):
            ledger.models.promote("review", "1", somebody)


def test_the_log_pages(ledger: Ledger, viewer: Viewer) -> None:
    """Newest first, filtered, and with no content of documents."""
    document = ledger.documents.accept(b"content", viewer=viewer, source="api", name="secret name")
    ledger.documents.cancel(document.id, viewer)
    ledger.documents.retry(document.id, viewer)

    lines = ledger.audit.list(viewer)
    assert [line.action for line in lines] == ["retried", "cancelled", "accepted"]
    assert lines[2].detail == {"source": "api", "size": 7}
    assert ledger.audit.list(viewer, after=lines[0].id, limit=1) == lines[1:2]
    assert ledger.audit.list(viewer, action="accepted") == lines[2:]
    assert "secret" not in repr(lines)
    with pytest.raises(InvalidCursor):
        ledger.audit.list(viewer, after="x")


def test_pulses(ledger: Ledger, clock: Clock) -> None:
    """A queue's age is that of its newest beat, whoever it was, and totals never fall."""
    ledger.pulses.beat("interactive", "one", 5)
    clock.seconds += 10
    ledger.pulses.beat("interactive", "two", 1)
    ledger.pulses.beat("bulk", "one")
    clock.seconds += 5

    assert ledger.pulses.ages() == {"interactive": 5.0, "bulk": 5.0}
    assert ledger.pulses.totals() == {"interactive": 6, "bulk": 0}
    assert [one["holder"] for one in ledger.pulses.holders()] == ["one", "one", "two"]
    ledger.pulses.beat("interactive", "one", 2)
    assert ledger.pulses.ages()["interactive"] == 0.0

    for _ in range(3):
        clock.seconds += 2 * 86400
        ledger.pulses.beat("interactive", "three", 1)
        ledger.tidy()
    assert ledger.pulses.totals()["interactive"] == 11
    assert [one["holder"] for one in ledger.pulses.holders()] == ["three"]
    assert ledger.pulses.ages()["interactive"] == 0.0


def test_old_tallies_go(ledger: Ledger, viewer: Viewer, clock: Clock) -> None:
    """The counts behind the throughput do not grow for ever."""
    for _ in range(3):
        ledger.documents.accept(b"x", viewer=viewer, source="api")
        (owed,) = claim(ledger)
        ledger.owed.finish([Finished(owed.id, outcome=OUTCOME)], holder="worker")
        clock.seconds += 4000
        ledger.tidy()
    assert ledger.owed.throughput("interactive", seconds=100_000) == 0
