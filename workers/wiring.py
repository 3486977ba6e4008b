"""Whether rules and destinations can work together, looked at without connecting to anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connectors import BadSettings
from routing.rules import Rules
from routing.rules_file import WrongRules
from settings import Settings
from workers.destinations import Destinations, connectors_file
from workers.rules_disk import NotWritable, RulesDisk

# Settings that tell people where a destination leads; everything else may be a secret
_TOLD = ("url", "host", "port", "security", "username", "sender", "to", "group", "move_to", "mode")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A table of `connectors.toml`; `problem` says why it cannot work, `told` where it leads."""

    name: str
    connector: str
    problem: str | None
    told: dict[str, str]


def destinations(settings: Settings) -> tuple[list[Destination], str | None]:
    """Return every destination without its secrets, and why the file cannot be used, if so."""
    known = Destinations(connectors_file(settings))
    try:
        names = known.names()
    except BadSettings as error:
        return [], str(error)
    return [_destination(known, name) for name in names], known.warning()


def _destination(known: Destinations, name: str) -> Destination:
    kind = known.kind(name)
    try:
        made = known.connector(name)
    except BadSettings as error:
        return Destination(name=name, connector=kind, problem=str(error), told={})
    return Destination(name=name, connector=kind, problem=None, told=_told(made))


def _told(made: Any) -> dict[str, str]:
    shown = {}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if field.name not in _TOLD or not field.repr or value in ("", ()):
            continue
        if field.name == "url":  # what follows the host may be a secret address
            parts = urlsplit(value)
            port = f":{parts.port}" if parts.port else ""
            value = f"{parts.scheme}://{parts.hostname}{port}"
        shown[field.name] = ", ".join(value) if isinstance(value, tuple) else str(value)
    return shown


def faults(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with rules and destinations as level, code and sentence."""
    found, wrong = destinations(settings)
    if wrong:
        yield "warning", "connectors_unusable", wrong
    for one in found:
        if one.problem:
            sentence = f"The destination {one.name} cannot work: {one.problem}"
            yield "warning", "destination_unusable", sentence
    try:
        rules = RulesDisk(settings).rules()
    except WrongRules as error:
        for mistake in error.mistakes:
            sentence = f"rules.toml, line {mistake.line}: {mistake.sentence}"
            yield "error", error.code, sentence
    except NotWritable as error:
        yield "error", error.code, str(error)
    else:
        for name in missing(rules, found):
            sentence = f"A rule sends to {name}, and connectors.toml has no such destination."
            yield "warning", "no_such_destination", sentence


def missing(rules: Rules | None, found: list[Destination]) -> list[str]:
    """Return the names that rules send to and that are no destination."""
    wanted = {name for rule in (rules.rules if rules else ()) for name in rule.then.send}
    return sorted(wanted - {one.name for one in found})
