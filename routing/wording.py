"""A rule in sentences, for people who do not read TOML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from routing.conditions import FLAGS, PLACES, Condition
from routing.rules import Rule

_FLAGS = {
    "auto_reply": ("it is an automatic reply", "it is no automatic reply"),
    "bulk": ("it went to a list", "it did not go to a list"),
    "bounce": ("it is a bounce", "it is no bounce"),
    "has_attachment": ("it has an attachment", "it has no attachment"),
}
_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True)
class Sentences:
    """What a rule says: every one of `when`, none of `unless`, and then all of `then`."""

    when: tuple[str, ...]
    unless: tuple[str, ...]
    then: tuple[str, ...]


def sentences(rule: Rule) -> Sentences:
    """Return a rule in words."""
    return Sentences(
        tuple(condition_words(one) for one in rule.when),
        tuple(condition_words(one) for one in rule.unless),
        tuple(_actions(rule)),
    )


def condition_words(condition: Condition) -> str:
    """Return a condition in words: `team is billing, at least 90 % sure`."""
    subject = condition.subject
    if subject in FLAGS:
        return _FLAGS[subject][condition.wanted != ("true",)]
    wanted = " or ".join(f"“{one}”" for one in condition.wanted)
    if subject.startswith("label."):
        sure = f", at least {condition.at_least:.0%} sure".replace("%", " %")
        name = subject.removeprefix("label.").replace("_", " ")
        return f"{name} is {wanted}{sure if condition.at_least else ''}"
    if subject in PLACES:
        return f"the {subject} says {wanted}"
    if subject.startswith("header."):
        return f"the header {subject.removeprefix('header.')} is {wanted}"
    names = {"from": "it comes from", "to": "it goes to", "attachment": "an attachment is called"}
    return f"{names.get(subject, subject.replace('_', ' ') + ' is')} {wanted}"


def due_words(due: timedelta) -> str:
    """Return a length of time in the largest unit that measures it: `4 hours`."""
    seconds = int(due.total_seconds())
    length, unit = next(one for one in (*_SPANS, (1, "second")) if seconds % one[0] == 0)
    count = seconds // length
    return f"{count} {unit}{'s' if count != 1 else ''}"


def _actions(rule: Rule) -> list[str]:
    then, said = rule.then, []
    if then.queue:
        said.append(f"queue “{then.queue}”")
    if then.priority:
        said.append(f"priority {then.priority}")
    if then.due is not None:
        said.append(f"due within {due_words(then.due)}")
    if then.tags:
        said.append("tagged " + ", ".join(f"“{tag}”" for tag in then.tags))
    if then.send:
        said.append("sent to " + ", ".join(f"“{name}”" for name in then.send))
    if then.hold:
        said.append("held for a person")
    if rule.go_on:
        said.append("and the next rules may speak too")
    return said
