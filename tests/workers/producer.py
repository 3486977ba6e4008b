"""A program of somebody else's that calls tasks: it knows two addresses and the tasks' names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.workers.installation import Installation

PROGRAM = """
import json, sys
from celery import Celery
broker, results, calls = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read())
app = Celery(broker=broker, backend=results)
sent = [app.send_task(name, kwargs=call) for name, call in calls]
print(json.dumps([each.get(timeout=150) for each in sent]))
rooms = ("workers", "nlp", "timeseries", "ledger")
assert not [name for name in sys.modules if name.split(".")[0] in rooms]
"""


def call(mailroom: Installation, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """Call each task by its name with its arguments, from an empty folder; return the answers."""
    finished = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, mailroom.broker.url, mailroom.results.url],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
        cwd=mailroom.folder,
    )
    assert finished.returncode == 0, finished.stderr
    answers: list[Any] = json.loads(finished.stdout)
    return answers
