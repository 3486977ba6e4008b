"""How often our decisions agree with people's, and what could be left to us at which precision.

Pure: the same cases give the same report. Shares are fractions, and None where there is nothing
to divide by. A case is judged when people said where it belongs and it has a decision of ours.
Cases are ranked by confidence; those of equal confidence are taken together, for a threshold
cannot tell them apart. What no rule decides counts as looked at and is never taken.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

PRECISIONS = (0.95, 0.98)
LEAST_TAKEN = 20  # mails above a threshold before anything is claimed of it
MOST_POINTS = 200
MOST_SHOWN = 200
_DAYS_BY_DAY = 21
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Case:
    """One document: what we say, what people say, and why.

    `ours` is the queue that was decided, or would have been had we been surer; `taken` says that
    it went there without a person's look. Of `evidence` each is a piece of the text.
    """

    id: str
    at: datetime
    ours: str | None
    confidence: float
    taken: bool = False
    theirs: str | None = None
    how: str | None = None  # correction or folder
    by: str = ""
    subject: str = ""
    sender: str = ""
    rule: str | None = None
    model: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there are two opinions to compare."""
        return self.theirs is not None and self.ours is not None

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return self.judged and self.ours == self.theirs


@dataclass(frozen=True, kw_only=True)
class Point:
    """What lies above a confidence: the share of the judged that it is, and how much is right."""

    confidence: float
    mails: int
    coverage: float
    precision: float
    precision_low: float  # the lower end of the 95 % interval


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The lowest threshold above which decisions are right so often, and what it would take.

    `threshold` is None where none reaches it, `of` mails being too few or too often wrong.
    `mails` and `hours` are of everything looked at, judged or not; hours are those of the mails
    that would be right.
    """

    claimed: float
    threshold: float | None
    of: int
    judged_taken: int = 0
    wrong: int = 0
    coverage: float = 0.0
    precision: float | None = None
    precision_low: float | None = None
    mails: int = 0
    hours: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue: how often both opinions were it, and each alone."""

    queue: str
    ours: int  # judged ones that we put there
    theirs: int  # judged ones that people put there
    both: int
    taken: int  # of ours, without a person's look
    precision: float | None
    recall: float | None


@dataclass(frozen=True, kw_only=True)
class Period:
    """A day or a week, of one queue that people chose, or of all together (None)."""

    start: date
    queue: str | None
    judged: int
    agreed: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The whole report; `to_json` is what programs get."""

    looked_at: int
    undecided: int  # nothing of ours: no rule, no label
    judged: int
    agreed: int
    by_correction: int
    by_folder: int
    since: datetime | None
    until: datetime | None
    minutes: float
    period: str  # day or week
    now: Point | None  # with the rules as they are
    now_hours: float
    curve: tuple[Point, ...]
    marks: tuple[Mark, ...]
    queues: tuple[Queue, ...]
    periods: tuple[Period, ...]
    disagreements: tuple[Case, ...]  # the surest first
    disagreements_of: int
    confusions: tuple[tuple[str, str, int], ...]  # ours, theirs, how often
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return it with dates as ISO strings."""
        made: dict[str, Any] = _plain(asdict(self))
        made["agreement"] = self.agreed / self.judged if self.judged else None
        made["confusions"] = [
            {"ours": ours, "theirs": theirs, "times": times}
            for ours, theirs, times in self.confusions
        ]
        return made


def report(
    cases: Iterable[Case],
    *,
    minutes: float = 3.0,
    precisions: Sequence[float] = PRECISIONS,
    notes: Sequence[str] = (),
) -> Agreement:
    """Return the report; `minutes` is what a person needs for one mail."""
    everything = list(cases)
    judged = [case for case in everything if case.judged]
    disagreed = sorted(
        (case for case in judged if not case.agrees), key=lambda case: -case.confidence
    )
    curve = _curve(judged)
    taken = [case for case in judged if case.taken]
    now = _point(taken, len(judged)) if judged else None
    right = now.precision if now and taken else 0.0
    times = [case.at for case in everything]
    period = _period(judged)
    confusions = Counter((str(case.ours), str(case.theirs)) for case in disagreed)
    return Agreement(
        looked_at=len(everything),
        undecided=sum(case.ours is None for case in everything),
        judged=len(judged),
        agreed=len(judged) - len(disagreed),
        by_correction=sum(case.how == "correction" for case in judged),
        by_folder=sum(case.how == "folder" for case in judged),
        since=min(times, default=None),
        until=max(times, default=None),
        minutes=minutes,
        period=period,
        now=now,
        now_hours=sum(case.taken for case in everything) * right * minutes / 60,
        curve=_thinned(curve),
        marks=tuple(_mark(curve, everything, claimed, minutes) for claimed in precisions),
        queues=_queues(judged),
        periods=_periods(judged, period),
        disagreements=tuple(disagreed[:MOST_SHOWN]),
        disagreements_of=len(disagreed),
        confusions=tuple((*pair, times) for pair, times in confusions.most_common()),
        notes=(*_notes(everything, judged), *notes),
    )


def low_end(right: int, of: int) -> float:
    """Return the lower end of the 95 % interval of a share (Wilson 1927); 0 of nothing."""
    if not of:
        return 0.0
    share, square = right / of, _Z * _Z
    middle = share + square / (2 * of)
    spread = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return min(share, max(0.0, (middle - spread) / (1 + square / of)))


def _point(taken: Sequence[Case], of: int, confidence: float | None = None) -> Point:
    right = sum(case.agrees for case in taken)
    return Point(
        confidence=min((c.confidence for c in taken), default=1.0)
        if confidence is None
        else confidence,
        mails=len(taken),
        coverage=len(taken) / of if of else 0.0,
        precision=right / len(taken) if taken else 1.0,
        precision_low=low_end(right, len(taken)),
    )


def _curve(judged: Sequence[Case]) -> list[Point]:
    """Return a point for each distinct confidence, the highest first."""
    ranked = sorted(judged, key=lambda case: -case.confidence)
    points, right = [], 0
    for place, case in enumerate(ranked, start=1):
        right += case.agrees
        if place < len(ranked) and ranked[place].confidence == case.confidence:
            continue
        points.append(
            Point(
                confidence=case.confidence,
                mails=place,
                coverage=place / len(ranked),
                precision=right / place,
                precision_low=low_end(right, place),
            )
        )
    return points


def _mark(
    curve: Sequence[Point], everything: Sequence[Case], claimed: float, minutes: float
) -> Mark:
    of = curve[-1].mails if curve else 0
    good = [p for p in curve if p.precision >= claimed and p.mails >= LEAST_TAKEN]
    if not good:
        return Mark(claimed=claimed, threshold=None, of=of)
    best = good[-1]
    mails = sum(case.ours is not None and case.confidence >= best.confidence for case in everything)
    return Mark(
        claimed=claimed,
        threshold=best.confidence,
        of=of,
        judged_taken=best.mails,
        wrong=round(best.mails * (1 - best.precision)),
        coverage=best.coverage,
        precision=best.precision,
        precision_low=best.precision_low,
        mails=mails,
        hours=mails * best.precision * minutes / 60,
    )


def _thinned(curve: Sequence[Point]) -> tuple[Point, ...]:
    """Return at most `MOST_POINTS` of the points, the first and the last among them."""
    if len(curve) <= MOST_POINTS:
        return tuple(curve)
    step = (len(curve) - 1) / (MOST_POINTS - 1)
    return tuple(curve[round(i * step)] for i in range(MOST_POINTS))


def _queues(judged: Sequence[Case]) -> tuple[Queue, ...]:
    ours = Counter(case.ours for case in judged)
    theirs = Counter(case.theirs for case in judged)
    both = Counter(case.ours for case in judged if case.agrees)
    taken = Counter(case.ours for case in judged if case.taken)
    names = sorted({*ours, *theirs} - {None}, key=lambda name: (-theirs[name], str(name)))
    return tuple(
        Queue(
            queue=str(name),
            ours=ours[name],
            theirs=theirs[name],
            both=both[name],
            taken=taken[name],
            precision=both[name] / ours[name] if ours[name] else None,
            recall=both[name] / theirs[name] if theirs[name] else None,
        )
        for name in names
    )


def _period(judged: Sequence[Case]) -> str:
    times = [case.at for case in judged]
    if not times:
        return "day"
    return "day" if max(times) - min(times) <= timedelta(days=_DAYS_BY_DAY) else "week"


def _periods(judged: Sequence[Case], period: str) -> tuple[Period, ...]:
    groups: dict[tuple[date, str | None], list[bool]] = defaultdict(list)
    for case in judged:
        start = case.at.date()
        if period == "week":
            start -= timedelta(days=start.weekday())
        for queue in (None, case.theirs):
            groups[start, queue].append(case.agrees)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    return tuple(
        Period(
            start=start,
            queue=queue,
            judged=len(found),
            agreed=sum(found),
            share=sum(found) / len(found),
        )
        for (start, queue), found in ordered
    )


def _notes(everything: Sequence[Case], judged: Sequence[Case]) -> list[str]:
    if not everything:
        return ["No document has been read yet: there is nothing to compare."]
    if not judged:
        return [
            "People have not said yet where any of these belong: move mails to folders, or "
            "correct them on their pages."
        ]
    if len(judged) < LEAST_TAKEN:
        return [
            f"People have placed {len(judged)} of these so far. Nothing is claimed of fewer than "
            f"{LEAST_TAKEN}."
        ]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value
