"""What long jobs do: a task is one module here, and its name is the module's.

A module has `run(job, input_path, folder, told)`: it does the work of one job in a process of its
own, says how far it is with `told({...})`, leaves what is to be kept as files in `folder`, and
returns its result, a plain JSON object. An exception with a `code` is the owner's answer (a
file that cannot be read); any other is our own fault. `alerts` in a result are kept as such,
a trained `model` (name, version, facts; the output `model.tar`) among the models.
`names()` and `find()` import nothing heavy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.jobs.assignment import Assignment

Told = Callable[[dict[str, Any]], None]
Run = Callable[[Assignment, Path | None, Path, Told], dict[str, Any]]

_NO_TASKS = {"assignment", "process"}


class UnknownTask(ValueError):
    """There is no task of this name here."""

    code = "unknown_task"


def names() -> tuple[str, ...]:
    """Return the names of the tasks there are."""
    found = {module.name for module in pkgutil.iter_modules(__path__)}
    return tuple(sorted(found - _NO_TASKS))


def find(task: str) -> Run:
    """Return what a task does; raises UnknownTask."""
    if task not in names():
        raise UnknownTask(f"There is no task {task!r} here; there are {', '.join(names())}.")
    run: Run = importlib.import_module(f"{__name__}.{task}").run
    return run
