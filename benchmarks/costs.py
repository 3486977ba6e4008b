"""What one document costs: processor microseconds of the ledger, the web process and the worker.

    python -m benchmarks.costs [--documents 600] [--json]

Processor time, so other work on the machine counts little. `accept` is the ledger's transaction
alone, from one thread and from sixteen at once; `ring` the bell while it rings; `post` and `look`
are `POST /api/v1/documents` and `GET /api/v1/documents/<id>` in a real `mailroom web`, from one
client and from sixteen that keep their connections; `read` is what a worker of one thread spends on
a document of 20 words of a backlog, claimed, read and committed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.batches import mailroom
from benchmarks.through_queue import VIEWER, texts
from ledger import Ledger

KIND = "review"
MANY = 16
TICK = os.sysconf("SC_CLK_TCK")


def spent(process: int) -> float:
    """Return the processor seconds of a process and its children, the kernel's included."""
    ticks, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        number = int(path.parent.name)
        parents[number], ticks[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    wanted = {process}
    while more := {child for child, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(ticks[number] for number in wanted) / TICK


@contextmanager
def web(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield process and port of a `mailroom web`."""
    program = "from commands import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program, "web", "--port", "0", "--json"],
        env={**os.environ, "MAILROOM_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=(folder / "web.log").open("wb"),
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(json.loads(process.stdout.readline())["port"])
    finally:
        process.terminate()
        process.wait()


def each(number: int, threads: int, call: Callable[[], Callable[[], object]]) -> None:
    """Make `number` calls from that many threads; `call` makes what each thread calls."""

    def run() -> None:
        one = call()
        for _ in range(number // threads):
            one()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def cost(clock: Callable[[], float], number: int, threads: int, call: Any) -> float:
    """Return the microseconds of one call."""
    before = clock()
    each(number, threads, call)
    return 1e6 * (clock() - before) / (number // threads * threads)


class Documents:
    """Documents that differ, handed in over HTTP or to the ledger."""

    def __init__(self, ledger: Ledger, port: int, secret: str) -> None:
        self._ledger = ledger
        self._port = port
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._texts = texts(20, 50)
        self._numbers = count()
        self.ids: list[str] = []

    def text(self) -> str:
        """Return the next text."""
        number = next(self._numbers)
        return f"{self._texts[number % len(self._texts)]} {number}"

    def accepting(self) -> Callable[[], object]:
        """Return what hands one document to the ledger."""
        return lambda: self._ledger.documents.accept(
            self.text().encode(), viewer=VIEWER, source="api", kind=KIND
        )

    def posting(self) -> Callable[[], object]:
        """Return what hands one document in over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)

        def post() -> None:
            body = json.dumps({"text": self.text(), "kind": KIND})
            connection.request("POST", "/api/v1/documents", body, self._headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            if answer.status != 202:
                raise SystemExit(f"not accepted: {said}")
            self.ids.append(said["id"])

        return post

    def looking(self) -> Callable[[], object]:
        """Return what looks a document up over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        ids = iter(list(self.ids))

        def look() -> None:
            connection.request("GET", f"/api/v1/documents/{next(ids)}", headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit("not found")

        return look


def measure(number: int) -> dict[str, float]:
    """Return every figure."""
    found: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger, client, start = stack.enter_context(mailroom(folder, 1))
        _, secret = ledger.tokens.issue(VIEWER, name="costs", scopes=["read", "write"])
        server, port = stack.enter_context(web(folder))
        documents = Documents(ledger, port, secret)
        own, theirs = time.process_time, lambda: spent(server)
        each(500, MANY, documents.accepting)  # the ledger's log has its size then
        for name, threads in (("", 1), (f"_{MANY}", MANY)):
            found[f"accept{name}"] = cost(own, number, threads, documents.accepting)
        client.ring("interactive")
        found["ring"] = cost(own, number, 1, lambda: lambda: client.ring("interactive"))
        each(100, MANY, documents.posting)
        for name, threads in (("", 1), (f"_{MANY}", MANY)):
            found[f"post{name}"] = cost(theirs, number, threads, documents.posting)
            found[f"look{name}"] = cost(theirs, number, threads, documents.looking)
        found["read"] = reading(ledger, client, start, documents, number)
    return found


def reading(ledger: Ledger, client: Any, start: Any, documents: Documents, number: int) -> float:
    """Return what a worker spends on a document of a backlog, once it is warm."""
    worker = start("interactive")
    empty(ledger, client)
    each(4 * number, MANY, documents.accepting)
    before = spent(worker.pid)
    empty(ledger, client)
    return 1e6 * (spent(worker.pid) - before) / (4 * number // MANY * MANY)


def empty(ledger: Ledger, client: Any) -> None:
    """Return when the worker has read all there was."""
    client.ring("interactive")
    while ledger.owed.status():
        time.sleep(0.1)


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=600, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    found = measure(said.documents)
    if said.json:
        print(json.dumps(found))
        return
    for name, microseconds in found.items():
        print(f"{name:12} {microseconds:8,.0f} us")


if __name__ == "__main__":
    main()
