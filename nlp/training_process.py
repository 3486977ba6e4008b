"""Training in a process of its own, with a limit on its memory.

`run` starts it, passes on what it says and returns its result; a training that wants too much
memory, is killed or crashes is a sentence and takes nobody with it. `python -m
nlp.training_process` is the process: a job as JSON on standard input, one JSON object a line on
standard output, the last of which is the result or the error.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlp import errors
from nlp.computing import computing_environment
from nlp.errors import ReadingError, TrainingFailed
from nlp.trainer import Job, Result, train_file

Said = Callable[[dict[str, Any]], None]


def run(job: Job, *, memory_bytes: int, threads: int = 0, said: Said | None = None) -> Result:
    """Train in a child that may hold `memory_bytes`, and return what it made.

    Raises what `train_file` raises, and TrainingFailed when the child ended without an answer.
    Interrupted, it ends the child.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "nlp.training_process", str(memory_bytes), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=computing_environment(),
    )
    last: dict[str, Any] = {}
    try:
        if child.stdin is None or child.stdout is None:
            raise TrainingFailed("the training process has no pipes")
        with child.stdin as pipe:
            json.dump(job.to_json(), pipe)
        for line in child.stdout:
            last = json.loads(line)
            if said is not None and "result" not in last and "error" not in last:
                said(last)
    finally:
        if child.poll() is None and "result" not in last and "error" not in last:
            child.terminate()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    return _outcome(last, child.returncode, memory_bytes)


def _outcome(last: dict[str, Any], status: int, memory_bytes: int) -> Result:
    if "result" in last:
        values = last["result"]
        return Result(
            Path(values["folder"]),
            values["version"],
            values["figures"],
            tuple(values["warnings"]),
            values["way"],
        )
    if "error" in last:
        known = getattr(errors, last["error"]["type"], None)
        raise (known if known is not None else TrainingFailed)(last["error"]["message"])
    if status < 0:
        raise TrainingFailed(
            f"the training process was ended by signal {-status}; it may hold "
            f"{memory_bytes / 1e9:.1f} GB"
        )
    raise TrainingFailed(f"the training process ended with status {status} and no answer")


def main(memory_bytes: int, threads: int) -> None:
    """Train what standard input says."""
    # data, not address space: torch maps far more than it ever touches
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    from sequence.device import set_threads

    set_threads(threads)
    job = Job.from_json(json.load(sys.stdin))

    def say(values: dict[str, Any]) -> None:
        print(json.dumps(values), flush=True)  # noqa: T201 - the pipe to the parent

    try:
        result = train_file(job, said=say)
    except ReadingError as error:
        say({"error": {"type": type(error).__name__, "message": str(error)}})
    except Exception as error:
        # whoever waits needs an answer; the traceback is for us
        traceback.print_exc()
        say({"error": {"type": "TrainingFailed", "message": _failure(error, memory_bytes)}})
    else:
        say(
            {
                "result": {
                    "folder": str(result.folder),
                    "version": result.version,
                    "figures": result.figures,
                    "warnings": list(result.warnings),
                    "way": result.way,
                }
            }
        )


def _failure(error: Exception, memory_bytes: int) -> str:
    """Return what went wrong as a sentence; memory shows itself in several ways."""
    words = str(error)
    signs = ("allocate", "failed to map", "Cannot allocate")
    if isinstance(error, MemoryError) or any(sign in words for sign in signs):
        return (
            f"training wants more than the {memory_bytes / 1e9:.1f} GB it may have: fewer rows, "
            "or more in MAILROOM_TRAIN_MEMORY_BYTES"
        )
    return f"training stopped with a fault of ours ({type(error).__name__})"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
