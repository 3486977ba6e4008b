"""The administrator's rules: what to do with a document, and why.

Rules are tried in order. The first that matches decides; one marked `go_on` adds its tags,
priority, due time and destinations and lets the next ones speak. A rule that would match if a
label were surer stops the search: the document goes to triage, and the rule is named. So does a
document that no rule decides. Nothing goes to the biggest class because nothing else was said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from routing.conditions import Answer, Condition, Finding
from routing.facts import Facts
from routing.span import Span

TRIAGE = "triage"
LABEL_IN_QUEUE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What a rule asks for; None and empty leave it open."""

    queue: str | None = None  # `{team}` in it stands for what the label `team` says
    priority: str | None = None  # urgent, high, normal or low
    due: timedelta | None = None  # after the document came
    tags: tuple[str, ...] = ()
    hold: bool = False  # for a person, whatever else is said
    send: tuple[str, ...] = ()  # names of destinations


@dataclass(frozen=True, kw_only=True)
class Rule:
    """All of `when` and none of `unless`."""

    name: str
    when: tuple[Condition, ...]
    unless: tuple[Condition, ...] = ()
    then: Actions = field(default_factory=Actions)
    go_on: bool = False


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """Which queues are only watched: decisions are made and shown, nothing is delivered.

    With `on` every queue is, but for those that are `live`; without it only `queues` are.
    """

    on: bool = False
    live: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    def watches(self, queue: str) -> bool:
        """Say whether what goes to a queue is kept from being delivered."""
        return queue not in self.live if self.on else queue in self.queues


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A whole file; `version` is a hash of its content."""

    version: str
    rules: tuple[Rule, ...] = ()
    triage: str = TRIAGE  # the queue of what no rule decides
    confidence: float = 0.6  # below it a label is in doubt, whatever a rule says
    shadow: Shadow = field(default_factory=Shadow)
    folders: Mapping[str, str] = field(default_factory=dict)  # of a mailbox, to their queue

    def queues(self) -> tuple[str, ...]:
        """Return every queue that a rule names, in the order of the rules; triage last."""
        named = [rule.then.queue or "" for rule in self.rules]
        said = [queue for queue in named if queue and not LABEL_IN_QUEUE.search(queue)]
        return tuple(dict.fromkeys([*said, self.triage]))


def destinations(rules: Rules, queue: str) -> tuple[str, ...]:
    """Return where the rules send what goes to a queue; nowhere while it is only watched."""
    if rules.shadow.watches(queue):
        return ()
    found: list[str] = []
    for rule in rules.rules:
        named = rule.then.queue or ""
        if named == queue or LABEL_IN_QUEUE.fullmatch(named):
            found += rule.then.send
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be done with a document, by which rule, model and evidence.

    `rule` is None in triage where none came near; `doubt` says that a rule would have decided
    had its label been surer, and `proposed` is the queue it would have chosen. `confidence` is
    that of the least sure label the rule leaned on, 1 where it leaned on none. In `shadow`
    nothing is delivered, whatever `send` says.
    """

    rule: str | None
    queue: str
    priority: str | None
    due: str | None  # ISO 8601
    tags: tuple[str, ...]
    hold: bool
    send: tuple[str, ...]
    confidence: float
    doubt: bool
    model: str
    evidence: tuple[Span, ...]
    reason: str
    version: str
    proposed: str | None = None
    shadow: bool = False

    @property
    def delivers(self) -> tuple[str, ...]:
        """The destinations that it is really sent to."""
        return () if self.shadow else self.send

    def to_json(self) -> dict[str, Any]:
        """Return the decision as outcomes and pages show it."""
        return {
            **vars(self),
            "tags": list(self.tags),
            "send": list(self.send),
            "confidence": round(self.confidence, 4),
            "evidence": [span.to_json() for span in self.evidence],
        }


@dataclass(frozen=True)
class _Match:
    """How one rule fared: its answer and the findings that it leans on."""

    rule: Rule
    answer: Answer
    findings: tuple[Finding, ...] = ()

    @property
    def confidence(self) -> float:
        return min((finding.confidence for finding in self.findings), default=1.0)

    @property
    def reason(self) -> str:
        return ", ".join(finding.words for finding in self.findings if finding.words)


def _try(rule: Rule, facts: Facts, least: float) -> _Match:
    """Return how a rule fares on a document."""
    findings = []
    doubt = False
    for condition in rule.when:
        finding = condition.look(facts, least)
        if finding.answer is Answer.NO:
            return _Match(rule, Answer.NO)
        doubt = doubt or finding.answer is Answer.DOUBT
        findings.append(finding)
    for condition in rule.unless:
        answer = condition.look(facts, least).answer
        if answer is Answer.YES:
            return _Match(rule, Answer.NO)
        doubt = doubt or answer is Answer.DOUBT
    return _Match(rule, Answer.DOUBT if doubt else Answer.YES, tuple(findings))


def evaluate(rules: Rules, facts: Facts) -> Decision:
    """Return what the rules decide. Pure: the same rules and facts give the same decision."""
    added = Actions()
    for rule in rules.rules:
        match = _try(rule, facts, rules.confidence)
        if match.answer is Answer.NO:
            continue
        if match.answer is Answer.DOUBT:
            if rule.go_on:
                continue  # what only adds is left out when it is not sure
            return _triage(rules, facts, added, match)
        added = _joined(added, rule.then)
        if not rule.go_on:
            return _decided(rules, facts, added, match)
    return _triage(rules, facts, added, None)


def _joined(before: Actions, then: Actions) -> Actions:
    """Return both rules' actions; what was said first stays, tags and destinations add up."""
    return Actions(
        queue=before.queue or then.queue,
        priority=before.priority or then.priority,
        due=before.due if before.due is not None else then.due,
        tags=tuple(dict.fromkeys((*before.tags, *then.tags))),
        hold=before.hold or then.hold,
        send=tuple(dict.fromkeys((*before.send, *then.send))),
    )


def _decided(rules: Rules, facts: Facts, actions: Actions, match: _Match) -> Decision:
    reason = (
        f"Rule {match.rule.name}: {match.reason}." if match.reason else f"Rule {match.rule.name}."
    )
    return _decision(rules, facts, actions, match, reason, doubt=False)


def _triage(rules: Rules, facts: Facts, added: Actions, match: _Match | None) -> Decision:
    """Return the decision that a person decides; nothing is sent anywhere."""
    if match is None:
        reason = "No rule decides this."
    else:
        reason = f"Rule {match.rule.name} would decide, but is not sure enough: {match.reason}."
    actions = replace(added, queue=rules.triage, hold=True, send=())
    decision = _decision(rules, facts, actions, match, reason, doubt=match is not None)
    if match is None:
        return decision
    return replace(decision, proposed=_queue(added.queue or match.rule.then.queue, facts))


def _decision(
    rules: Rules, facts: Facts, actions: Actions, match: _Match | None, reason: str, *, doubt: bool
) -> Decision:
    label = facts.labels.get("priority")
    due = facts.received_at + actions.due if actions.due is not None else None
    spans = [span for finding in (match.findings if match else ()) for span in finding.evidence]
    named = _queue(actions.queue, facts)
    queue = named or rules.triage
    return Decision(
        rule=match.rule.name if match else None,
        queue=queue,
        priority=actions.priority or (label.value if label else None),
        due=due.isoformat() if due else None,
        tags=actions.tags,
        hold=actions.hold or not named,
        send=() if actions.hold or not named else actions.send,
        confidence=match.confidence if match else 0.0,
        doubt=doubt,
        model=facts.model,
        evidence=tuple(sorted(set(spans))),
        reason=reason,
        version=rules.version,
        shadow=rules.shadow.watches(queue),
    )


def _queue(written: str | None, facts: Facts) -> str | None:
    """Return a queue with the labels it names filled in; None where one is not known."""
    if written is None:
        return None
    names = LABEL_IN_QUEUE.findall(written)
    if not all(name in facts.labels for name in names):
        return None
    return LABEL_IN_QUEUE.sub(lambda found: facts.labels[found[1]].value, written)


@dataclass(frozen=True)
class Change:
    """One document that new rules would treat otherwise; `place` counts in the facts given."""

    place: int
    before: Decision
    after: Decision
    fields: tuple[str, ...]  # which of the actions differ


@dataclass(frozen=True)
class DryRun:
    """What new rules would change, and how many documents each queue had and would have."""

    looked_at: int
    changes: tuple[Change, ...]
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)

    def moves(self) -> Counter[tuple[str, str]]:
        """Return how many documents would go from which queue to which other."""
        return Counter(
            (change.before.queue, change.after.queue)
            for change in self.changes
            if "queue" in change.fields
        )


_ACTIONS = {"queue": "queue", "priority": "priority", "due": "due", "tags": "tags"}
_ACTIONS |= {"hold": "hold", "send": "delivers"}


def dry_run(before: Rules, after: Rules, documents: Iterable[Facts] | Sequence[Facts]) -> DryRun:
    """Return what would change for these documents if `after` took the place of `before`."""
    changes, count = [], 0
    were: Counter[str] = Counter()
    would_be: Counter[str] = Counter()
    for place, one in enumerate(documents):
        count += 1
        old, new = evaluate(before, one), evaluate(after, one)
        were[old.queue] += 1
        would_be[new.queue] += 1
        fields = tuple(n for n, of in _ACTIONS.items() if getattr(old, of) != getattr(new, of))
        if fields:
            changes.append(Change(place, old, new, fields))
    return DryRun(count, tuple(changes), were, would_be)
