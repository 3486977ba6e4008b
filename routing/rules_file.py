"""The rules as one readable file, in TOML, with every mistake named by its line.

    [triage]
    queue = "triage"       # where a document goes that no rule decides
    confidence = 0.7       # below it a label is in doubt

    [shadow]
    on = true              # decide and show, deliver nothing ...
    live = ["refunds"]     # ... but for these queues

    [folders]
    "INBOX/Rechnungen" = "billing"    # what people mean when they put a mail there

    [[rule]]
    name = "Refunds"
    when.label.team = "billing"
    when.confidence.team = 0.9
    when.text = ["refund", "money back"]
    unless.from = "*@example.com"
    then.queue = "refunds"
    then.priority = "high"
    then.due = "4h"
    then.tags = ["refund"]
    then.send = ["helpdesk"]

Conditions: `label.HEAD`, `confidence.HEAD`, `header.NAME`, and the names in
`routing.conditions.SUBJECTS`; a list means any of them. Actions: `queue`, `priority`, `due`
(minutes, hours or days: `30m`, `4h`, `2d`), `tags`, `hold`, `send`. A rule with `go_on = true`
adds to what the next ones say; `{team}` in a queue stands for the label `team`. Without
`shadow.on`, `shadow.queues` names those that are only watched. A folder that `folders` does not
name stands for the queue of its own name.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from routing.conditions import FLAGS, SUBJECTS, Condition
from routing.rules import LABEL_IN_QUEUE, TRIAGE, Actions, Rule, Rules, Shadow

PRIORITIES = ("urgent", "high", "normal", "low")
_DUE = re.compile(r"(\d{1,4})\s?(m|h|d)\Z")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_ACTIONS = ("queue", "priority", "due", "tags", "hold", "send")
_PATTERN_CHARACTERS = 200
_RULES = 1000


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, with the line where it stands (from 1)."""

    line: int
    sentence: str


class WrongRules(ValueError):
    """The file cannot be used; every mistake that could be found is named."""

    code = "wrong_rules"

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line))
        lines = (f"line {mistake.line}: {mistake.sentence}" for mistake in self.mistakes)
        super().__init__("\n".join(lines))


def version_of(text: str) -> str:
    """Return what a text of the rules is known by: the beginning of its hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def parse(text: str) -> Rules:
    """Return the rules of a file's text; raises WrongRules."""
    version = version_of(text)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        sentence = _AT_LINE.sub("", str(error)).strip()
        raise WrongRules([Mistake(line, f"{sentence}.")]) from error
    reader = _Reader(text)
    rules = reader.rules(tables)
    triage = reader.triage(tables.get("triage", {}))
    shadow = reader.shadow(tables.get("shadow", {}))
    folders = reader.folders(tables.get("folders", {}))
    if reader.mistakes:
        raise WrongRules(reader.mistakes)
    return Rules(version=version, rules=rules, shadow=shadow, folders=folders, **triage)


class _Reader:
    """Turns tables into rules and gathers what is wrong."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.mistakes: list[Mistake] = []

    def rules(self, tables: Mapping[str, Any]) -> tuple[Rule, ...]:
        """Return the rules that are sound; the others leave mistakes."""
        for name in set(tables) - {"rule", "triage", "shadow", "folders"}:
            known = "`triage`, `shadow`, `folders` and `rule`"
            self._wrong(None, name, f"There is no {name!r} here: only {known}.")
        written = tables.get("rule", [])
        if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
            self._wrong(None, "rule", "Each rule begins with a line [[rule]].")
            return ()
        if len(written) > _RULES:
            self._wrong(None, "rule", f"There are more than {_RULES} rules.")
            return ()
        rules = [self._rule(place, one) for place, one in enumerate(written)]
        seen: set[str] = set()
        for place, rule in enumerate(rules):
            if rule.name in seen:
                self._wrong(place, "name", f"Another rule is called {rule.name!r} too.")
            seen.add(rule.name)
        return tuple(rules)

    def triage(self, table: Any) -> dict[str, Any]:
        """Return the settings of triage."""
        if not isinstance(table, dict):
            self._wrong(None, "triage", "`triage` is a table with `queue` and `confidence`.")
            return {}
        for name in set(table) - {"queue", "confidence"}:
            self._wrong(None, name, f"Triage has no {name!r}.", table="triage")
        queue, confidence = table.get("queue", TRIAGE), table.get("confidence", 0.6)
        if not _is_name(queue):
            self._wrong(None, "queue", "The queue needs a name.", table="triage")
        if not _is_share(confidence):
            self._wrong(None, "confidence", "A confidence lies between 0 and 1.", table="triage")
        return {"triage": queue, "confidence": confidence}

    def shadow(self, table: Any) -> Shadow:
        """Return which queues are only watched."""
        if not isinstance(table, dict):
            self._wrong(None, "shadow", "`shadow` is a table with `on`, `live` and `queues`.")
            return Shadow()
        for name in set(table) - {"on", "live", "queues"}:
            known = "on, live, queues"
            self._wrong(None, name, f"Shadow has no {name!r}: only {known}.", table="shadow")
        on = table.get("on", False)
        if not isinstance(on, bool):
            self._wrong(None, "on", "`on` is true or false.", table="shadow")
        queues = {}
        for name, needed in (("live", True), ("queues", False)):
            value = table.get(name, [])
            if not isinstance(value, list) or not all(_is_name(one) for one in value):
                self._wrong(None, name, f"`{name}` is a list of queues.", table="shadow")
                value = []
            if value and on is not needed:
                said = f"`{name}` means something only with on = {str(needed).lower()}."
                self._wrong(None, name, said, "shadow")
            queues[name] = tuple(dict.fromkeys(value))
        return Shadow(on=on is True, **queues)

    def folders(self, table: Any) -> dict[str, str]:
        """Return the queue that each named folder stands for."""
        if not isinstance(table, dict):
            self._wrong(None, "folders", "`folders` is a table of folders and their queues.")
            return {}
        for name, queue in table.items():
            if not _is_name(queue):
                self._wrong(None, name, f"The folder {name!r} needs a queue's name.", "folders")
        return {str(name): str(queue) for name, queue in table.items()}

    def _rule(self, place: int, table: dict[str, Any]) -> Rule:
        for key in set(table) - {"name", "when", "unless", "then", "go_on"}:
            known = "name, when, unless, then, go_on"
            self._wrong(place, key, f"A rule has no {key!r}: only {known}.")
        name = table.get("name")
        if not _is_name(name):
            self._wrong(place, "name", "The rule needs a name.")
        if not isinstance(table.get("go_on", False), bool):
            self._wrong(place, "go_on", "`go_on` is true or false.")
        when = self._conditions(place, "when", table.get("when", {}))
        if not table.get("when"):
            self._wrong(place, "when", "The rule needs a condition: it would match everything.")
        if not table.get("then"):
            self._wrong(place, "then", "The rule asks for nothing.")
        self._check_queue(place, table.get("then"), when)
        return Rule(
            name=str(name),
            when=when,
            unless=self._conditions(place, "unless", table.get("unless", {})),
            then=self._actions(place, table.get("then", {})),
            go_on=table.get("go_on") is True,
        )

    def _check_queue(self, place: int, then: Any, when: tuple[Condition, ...]) -> None:
        """A queue may name only labels that the rule looked at: others may be unsure."""
        queue = then.get("queue") if isinstance(then, dict) else None
        looked_at = {condition.subject for condition in when}
        for head in LABEL_IN_QUEUE.findall(queue) if isinstance(queue, str) else ():
            if f"label.{head}" not in looked_at:
                sentence = f'{{{head}}} in the queue needs when.label.{head}, such as "*".'
                self._wrong(place, "then.queue", sentence)

    def _conditions(self, place: int, part: str, table: Any) -> tuple[Condition, ...]:
        if not isinstance(table, dict):
            self._wrong(place, part, f"`{part}` holds conditions, such as {part}.subject.")
            return ()
        confidences = table.get("confidence", {})
        labels = table.get("label", {})
        written: dict[str, Any] = {}
        for name, value in table.items():
            if name in ("label", "header"):
                nested = value if isinstance(value, dict) else {}
                if not nested:
                    self._wrong(place, f"{part}.{name}", f"Write {name}.NAME = ...")
                written |= {f"{name}.{inner}": wanted for inner, wanted in nested.items()}
            elif name != "confidence":
                written[name] = value
        self._check_confidences(place, part, confidences, labels)
        found = [
            self._condition(place, part, subject, wanted, confidences)
            for subject, wanted in written.items()
        ]
        return tuple(condition for condition in found if condition is not None)

    def _check_confidences(self, place: int, part: str, confidences: Any, labels: Any) -> None:
        if not isinstance(confidences, dict):
            self._wrong(place, f"{part}.confidence", "Write confidence.HEAD = 0.9.")
            return
        for head, least in confidences.items():
            where = f"{part}.confidence.{head}"
            if not _is_share(least):
                self._wrong(place, where, "A confidence lies between 0 and 1.")
            if not isinstance(labels, dict) or head not in labels:
                self._wrong(
                    place, where, f"There is a confidence for {head!r}, but no label.{head}."
                )

    def _condition(
        self, place: int, part: str, subject: str, wanted: Any, confidences: Any
    ) -> Condition | None:
        where = f"{part}.{subject}"
        if subject not in SUBJECTS and not subject.startswith(("label.", "header.")):
            self._wrong(place, where, f"There is no condition {subject!r}: {', '.join(SUBJECTS)}.")
            return None
        if subject in FLAGS:
            if not isinstance(wanted, bool):
                self._wrong(place, where, f"{subject} is true or false.")
                return None
            return Condition(subject, (str(wanted).lower(),))
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(_is_name(one) for one in values):
            self._wrong(place, where, f"{subject} wants a text, or a list of texts.")
            return None
        head = subject.removeprefix("label.")
        least = confidences.get(head, 0.0) if isinstance(confidences, dict) else 0.0
        return Condition(subject, tuple(values), float(least) if _is_share(least) else 0.0)

    def _actions(self, place: int, table: Any) -> Actions:
        if not isinstance(table, dict):
            self._wrong(place, "then", "`then` holds actions, such as then.queue.")
            return Actions()
        for name in set(table) - set(_ACTIONS):
            self._wrong(
                place, f"then.{name}", f"There is no action {name!r}: {', '.join(_ACTIONS)}."
            )
        if not _is_name(table.get("queue", "x")):
            self._wrong(place, "then.queue", "The queue needs a name.")
        if table.get("priority", "low") not in PRIORITIES:
            self._wrong(place, "then.priority", f"A priority is one of {', '.join(PRIORITIES)}.")
        if not isinstance(table.get("hold", False), bool):
            self._wrong(place, "then.hold", "`hold` is true or false.")
        due = _DUE.match(str(table["due"])) if "due" in table else None
        if "due" in table and due is None:
            self._wrong(place, "then.due", 'A due time is like "30m", "4h" or "2d".')
        lists = {}
        for name in ("tags", "send"):
            value = table.get(name, [])
            if not isinstance(value, list) or not all(_is_name(one) for one in value):
                self._wrong(place, f"then.{name}", f"`{name}` is a list of names.")
                value = []
            lists[name] = tuple(value)
        return Actions(
            queue=table.get("queue"),
            priority=table.get("priority"),
            due=timedelta(**{_UNITS[due[2]]: int(due[1])}) if due else None,
            hold=table.get("hold") is True,
            **lists,
        )

    def _wrong(self, place: int | None, path: str, sentence: str, table: str = "") -> None:
        self.mistakes.append(Mistake(self._line(place, path, table), sentence))

    def _line(self, place: int | None, path: str, table: str) -> int:
        """Return the line of a key, else of the table that it should stand in, else 1.

        `path` is dotted; the file may write it whole or in part as a table's header.
        """
        wanted = path.replace('"', "").split(".")
        best, header, rule = 1, "", -1
        for number, line in enumerate(self._lines, start=1):
            stripped = line.strip().replace('"', "").replace("'", "")
            if stripped.startswith("["):
                header = stripped.strip("[] ").split("#")[0].strip("[] ")
                rule += stripped.startswith("[[rule]]")
                if header.split(".")[0] == "rule" and rule == place:
                    best = number if stripped.startswith("[[") else best
                elif place is None and header == (table or path):
                    best = number
            here = header.removeprefix("rule").strip(".") if place is not None else ""
            inside = rule == place if place is not None else header == table
            key = [part.strip() for part in stripped.split("=")[0].split(".")]
            full = [*filter(None, here.split(".")), *key]
            if inside and "=" in stripped and full[: len(wanted)] == wanted:
                return number
        return best


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _PATTERN_CHARACTERS


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1
