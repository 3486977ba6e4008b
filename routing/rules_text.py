"""Changes to the rules' file that leave everything else in it, comments too, as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from routing.rules import Shadow
from routing.rules_file import parse

_HEADER = re.compile(r"\s*\[")
_SHADOW = re.compile(r"\s*\[\s*shadow\s*\]\s*(#.*)?$")
_RULE = re.compile(r"\s*\[\[\s*rule\s*\]\]")

STARTER = """# What to do with each document. Rules are tried from top to bottom; the first that
# matches decides. What none decides, or none surely enough, goes to triage.

[triage]
queue = "triage"
confidence = 0.7       # below it a label is in doubt

[shadow]
on = true              # decide and show, but deliver nothing yet
"""


def with_shadow(text: str, shadow: Shadow) -> str:
    """Return the file's text with its `[shadow]` table saying this; raises WrongRules.

    The text must be sound before, and is after.
    """
    parse(text)
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _SHADOW.match(line)), None)
    table = ["[shadow]", *_settings(shadow)]
    if start is None:
        # before the rules: a table written after them would belong to the last one's look
        place = next((i for i, line in enumerate(lines) if _RULE.match(line)), len(lines))
        while place and lines[place - 1].lstrip().startswith("#"):
            place -= 1
        lines[place:place] = [*table, ""]
    else:
        end = next((i for i in range(start + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
        # what stands above the next table belongs to that one
        while end > start + 1 and (not lines[end - 1].strip() or _is_comment(lines[end - 1])):
            end -= 1
        lines[start:end] = table
    changed = "\n".join(lines) + "\n"
    if parse(changed).shadow != shadow:
        raise ValueError("the file says `shadow` in a way that is changed by hand only")
    return changed


def _settings(shadow: Shadow) -> Iterable[str]:
    yield f"on = {'true' if shadow.on else 'false'}"
    if shadow.live:
        yield f"live = {_list(shadow.live)}"
    if shadow.queues:
        yield f"queues = {_list(shadow.queues)}"


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(json.dumps(name, ensure_ascii=False) for name in names) + "]"


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def switched(shadow: Shadow, queue: str, *, live: bool) -> Shadow:
    """Return the switch with one queue delivering, or only watched."""
    if shadow.on:
        rest = tuple(name for name in shadow.live if name != queue)
        return Shadow(on=True, live=(*rest, queue) if live else rest)
    rest = tuple(name for name in shadow.queues if name != queue)
    return Shadow(queues=rest if live else (*rest, queue))
