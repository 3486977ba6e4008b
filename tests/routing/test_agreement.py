"""The shadow report keeps its word: what it claims of a threshold is true of the mails it saw."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from routing.agreement import LEAST_TAKEN, Case, low_end, report

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
QUEUES = ("billing", "sales", "hr")


@st.composite
def cases(draw: st.DrawFn, most: int = 80) -> list[Case]:
    """Mails with any opinions of ours and of people's."""
    found = []
    for place in range(draw(st.integers(0, most))):
        ours = draw(st.sampled_from([*QUEUES, *QUEUES, None]))
        theirs = draw(st.sampled_from([*QUEUES, ours, ours, ours, None]))
        found.append(
            Case(
                id=str(place),
                at=NOW - timedelta(hours=draw(st.integers(0, 24 * 90))),
                ours=ours,
                # few distinct ones: ties must be taken together
                confidence=draw(st.sampled_from([0.2, 0.5, 0.7, 0.9, 0.95, 0.99])) if ours else 0.0,
                taken=ours is not None and draw(st.booleans()),
                theirs=theirs,
                how=draw(st.sampled_from(["correction", "folder"])) if theirs else None,
            )
        )
    return found


@settings(max_examples=40)
@given(cases())
def test_precision_above_a_threshold_is_what_is_claimed(found: list[Case]) -> None:
    """Somebody switches a queue on because of this figure."""
    for mark in report(found).marks:
        if mark.threshold is None:
            continue
        above = [c for c in found if c.judged and c.confidence >= mark.threshold]
        right = sum(c.agrees for c in above)
        assert len(above) == mark.judged_taken >= LEAST_TAKEN
        assert right / len(above) >= mark.claimed
        assert mark.wrong == len(above) - right
        # everything that would be taken, judged or not
        assert mark.mails == sum(
            c.ours is not None and c.confidence >= mark.threshold for c in found
        )


@settings(max_examples=40)
@given(cases())
def test_no_lower_threshold_would_do(found: list[Case]) -> None:
    """Mail that could be taken and is left to people is work for nothing."""
    judged = [case for case in found if case.judged]
    for mark in report(found).marks:
        for lower in {c.confidence for c in judged if c.confidence < (mark.threshold or 2.0)}:
            above = [c for c in judged if c.confidence >= lower]
            right = sum(c.agrees for c in above)
            assert len(above) < LEAST_TAKEN or right / len(above) < mark.claimed


@settings(max_examples=40)
@given(cases())
def test_the_curve_goes_one_way_and_ends_with_everything(found: list[Case]) -> None:
    """A curve that loses a mail lies about its last point first."""
    made = report(found)
    coverages = [point.coverage for point in made.curve]
    assert coverages == sorted(coverages)
    if made.judged:
        assert made.curve[-1].coverage == 1
        assert made.curve[-1].precision == made.agreed / made.judged
    assert all(0 <= point.precision_low <= point.precision <= 1 for point in made.curve)


@settings(max_examples=40)
@given(cases())
def test_parts_add_up(found: list[Case]) -> None:
    """Queues, weeks and disagreements are cuts of the same mails."""
    made = report(found)
    everything = [period for period in made.periods if period.queue is None]
    by_queue = [period for period in made.periods if period.queue is not None]
    for cut in (everything, by_queue):
        assert sum(period.judged for period in cut) == made.judged
        assert sum(period.agreed for period in cut) == made.agreed
    assert sum(queue.ours for queue in made.queues) == made.judged
    assert sum(queue.theirs for queue in made.queues) == made.judged
    assert sum(queue.both for queue in made.queues) == made.agreed
    assert made.disagreements_of == made.judged - made.agreed
    assert sum(times for _, _, times in made.confusions) == made.disagreements_of
    assert made.by_correction + made.by_folder == made.judged


@settings(max_examples=40)
@given(cases(), st.floats(0, 60))
def test_programs_get_it_whole(found: list[Case], minutes: float) -> None:
    """Whatever was compared, it is JSON, and hours grow with the minutes a mail takes."""
    made = report(found, minutes=minutes)
    again = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert again["judged"] == made.judged
    twice = report(found, minutes=2 * minutes)
    for one, other in zip(made.marks, twice.marks, strict=True):
        assert abs(other.hours - 2 * one.hours) < 1e-6


def test_nothing_and_little_are_said_to_be_so() -> None:
    """A hundred per cent of three mails must not switch anything on."""
    assert "nothing to compare" in report([]).notes[0]
    alone = Case(id="1", at=NOW, ours="hr", confidence=0.9)
    assert "not said yet" in report([alone]).notes[0]
    few = [
        Case(id=str(i), at=NOW, ours="hr", confidence=0.99, theirs="hr", how="folder")
        for i in range(3)
    ]
    made = report(few)
    assert "3 of these" in made.notes[0]
    assert [mark.threshold for mark in made.marks] == [None, None]
    assert made.curve[-1].precision_low < 0.5


def test_what_is_not_decided_counts_as_looked_at_only() -> None:
    """Mail without an answer of ours is neither right nor wrong, and never saves an hour."""
    undecided = [
        Case(id=str(i), at=NOW, ours=None, confidence=0.0, theirs="hr", how="folder")
        for i in range(50)
    ]
    made = report(undecided)
    assert (made.looked_at, made.undecided, made.judged) == (50, 50, 0)
    assert made.now_hours == 0


def test_the_interval_is_wilsons() -> None:
    """Figures from Newcombe 1998, table I: 81 of 263, and the ends of the scale."""
    assert round(low_end(81, 263), 4) == 0.2553
    assert low_end(0, 0) == 0
    assert low_end(0, 20) == 0
    assert 0.83 < low_end(20, 20) < 0.84
