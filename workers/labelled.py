"""A look at an uploaded file of labelled texts, in a process that may hold only so much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ledger import Ledger

MEMORY_BYTES = 3_000_000_000
SECONDS = 60.0


class CannotLook(ValueError):
    """The file cannot be read as a table of texts and labels; the sentence says why."""

    code = "bad_file"


def look_at_labelled(
    ledger: Ledger, sha256: str, name: str, *, text: str | None = None, label: str | None = None
) -> dict[str, Any]:
    """Return what `nlp.look.look` finds in a stored file whose own name is `name`.

    Raises CannotLook, and BodyMissing when the file is no longer there.
    """
    with ledger.files.local(sha256) as lent, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name.lstrip(".") or "input")
        path.symlink_to(lent)
        return _ask({"path": str(path), "text": text, "label": label})


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    asked = json.dumps(question | {"memory_bytes": MEMORY_BYTES})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nlp.look"],
            input=asked,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
            # one thread of the table library: each has memory of its own
            env={**os.environ, "POLARS_MAX_THREADS": "2"},
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise CannotLook("The file takes too long to read.") from error
    except ValueError as error:  # the process ended without an answer
        raise CannotLook("The file is too large to look at, or damaged.") from error
    if "error" in answer:
        message = str(answer["error"]["message"])
        raise CannotLook(f"{message[:1].upper()}{message[1:]}.")
    return answer
