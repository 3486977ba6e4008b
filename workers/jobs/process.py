"""The process of one job: `python -m workers.jobs.process MEMORY_BYTES`.

An order (the assignment, the input's path, the folder for outputs) comes as JSON on standard
input; one JSON object a line goes to standard output, the last of which is the result or the
error. Standard error is the worker's log.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from workers import jobs
from workers.jobs.assignment import Assignment

# How allocators say that there is no more, in libraries that do not raise MemoryError
_MEMORY_SIGNS = ("allocate", "failed to map", "Cannot allocate", "bad_alloc")


def main(memory_bytes: int) -> None:
    """Do what standard input says."""
    # data, not address space: torch maps far more than it ever touches
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    order = json.load(sys.stdin)
    # whatever a library prints must not be taken for an answer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values, default=str) + "\n")
        answers.flush()

    job = Assignment.from_json(order["job"])
    path = None if order["input"] is None else Path(order["input"])
    try:
        run = jobs.find(job.task)
        result = run(job, path, Path(order["folder"]), lambda progress: say({"told": progress}))
        json.dumps(result, allow_nan=False)  # here it is our fault, in the ledger a riddle
    except Exception as error:
        say({"error": _answer(error, memory_bytes)})
    else:
        say({"result": result})


def _answer(error: Exception, memory_bytes: int) -> dict[str, Any]:
    """Return an error as people read it; only our own faults leave a traceback in the log."""
    words = str(error)
    if isinstance(error, MemoryError) or any(sign in words for sign in _MEMORY_SIGNS):
        return {
            "code": "out_of_memory",
            "message": f"This wants more than the {memory_bytes / 1e9:.1f} GB that it may have: "
            "fewer rows, or more in MAILROOM_TRAIN_MEMORY_BYTES.",
        }
    code = getattr(error, "code", None)
    if isinstance(code, str):
        row = getattr(error, "row", None)
        return {"code": code, "message": words} | ({} if row is None else {"row": row})
    traceback.print_exc()
    return {
        "code": "internal_error",
        "message": f"Mailroom made a mistake here ({type(error).__name__}); its log says more.",
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
