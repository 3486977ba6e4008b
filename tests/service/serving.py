"""A web server of the tests' own: the real command in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = [sys.executable, "-c", "import commands; commands.main()"]
ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str


def environment(data_dir: Path, broker_url: str, **settings: str) -> dict[str, str]:
    """Return an environment with everything in a folder of its own."""
    ours = {"MAILROOM_DATA_DIR": str(data_dir), "MAILROOM_BROKER_URL": broker_url}
    return os.environ | ours | settings


def started(*arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a command of ours."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(env: dict[str, str]) -> Iterator[Server]:
    """Run `mailroom web` on a free port until the block ends."""
    process = started("web", "--port", "0", "--json", env=env)
    assert process.stdout
    try:
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the server did not start: {process.communicate()[1]}")
        yield Server(process, f"http://127.0.0.1:{json.loads(line)['port']}")
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
