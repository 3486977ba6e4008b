"""A Mailroom of the tests' own: real servers, a real ledger, workers as processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import and_, select

from ledger import Document, Viewer
from ledger.schema import owed
from settings import Settings
from tests.workers.waiting import eventually
from workers.client import Client, open_ledger
from workers.embedded import EmbeddedServer

FINAL = {"done", "failed", "cancelled"}
VIEWER = Viewer()
KIND = "ticket"  # whose documents most tests hand in


def process_of(holder: str) -> int:
    """Return the process id that stands in the name of a lease's holder."""
    return int(holder.split(" ", 2)[1].split("-")[0])


class Program:
    """A `mailroom` command running as a process of its own; what it says goes to a file."""

    def __init__(self, arguments: Iterable[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from commands import main; main()", *arguments],
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        """Return the ids of its pool's processes."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def kill(self) -> None:
        """End it and everything it started, as the machine's end would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, *, seconds: float = 60) -> int:
        """Ask it to stop and return its exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


class Installation:
    """Broker, results and ledger in one folder, and the programs started on them."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.chosen = {"data_dir": folder, "pulse_seconds": 1.0, "device": "cpu", **settings}
        self.settings = Settings(**self.chosen)  # type: ignore[arg-type]
        self.broker = EmbeddedServer(folder, "broker")
        self.results = EmbeddedServer(folder, "results")
        self.broker.start()
        self.results.start()
        self.ledger = open_ledger(self.settings)
        self.ledger.migrate()
        self.client = Client(self.broker.url)
        self.programs: list[Program] = []

    def run(self, *arguments: str) -> Program:
        """Start a command on this installation."""
        environment = {f"MAILROOM_{name.upper()}": str(each) for name, each in self.chosen.items()}
        log = self.folder / f"program-{len(self.programs)}.log"
        program = Program(arguments, environment, log)
        self.programs.append(program)
        return program

    def worker(self, *queues: str) -> Program:
        """Start a worker and wait until it consumes its queues."""
        program = self.run("worker", "--queues", ",".join(queues))
        eventually(lambda: " ready." in program.said, what="the worker did not start")
        return program

    def scheduler(self) -> Program:
        """Start the scheduler."""
        return self.run("scheduler")

    def accept(self, text: str | bytes, *, ring: bool = True, **options: object) -> Document:
        """Hand in a document as any door does."""
        body = text.encode() if isinstance(text, str) else text
        options = {"kind": KIND, "source": "command", "viewer": VIEWER, **options}
        document = self.ledger.documents.accept(body, **options)  # type: ignore[arg-type]
        if ring:
            self.client.ring(str(options.get("queue", "interactive")))
        return document

    def get(self, document: Document) -> Document:
        """Return a document as it is now."""
        return self.ledger.documents.get(document.id, VIEWER)

    def finished(self, documents: Iterable[Document], *, seconds: float = 120) -> list[Document]:
        """Wait until each is in a final state, and return them as they are then."""
        wanted = list(documents)

        def states() -> Counter[str]:
            return Counter(self.get(document).state for document in wanted)

        eventually(
            lambda: not set(states()) - FINAL, seconds=seconds, what="documents are not finished"
        )
        return [self.get(document) for document in wanted]

    def leased(self, queue: str = "interactive") -> int:
        """Return how many documents of a queue some worker has in hand."""
        return int(self.ledger.owed.status().get(queue, {}).get("leased", 0))

    def readers(self) -> set[int]:
        """Return the process ids of those who hold a lease now."""
        return {process_of(holder) for holder in self.ledger.owed.holders()}

    def reader_of(self, document: Document) -> int | None:
        """Return the process id of who holds this document's lease now, None if nobody does."""
        held = and_(owed.c.holder.is_not(None), owed.c.free_at > self.ledger.database.now())
        query = select(owed.c.holder).where(owed.c.document_id == document.id, held)
        with self.ledger.database.reading() as connection:
            holder = connection.execute(query).scalar_one_or_none()
        return None if holder is None else process_of(str(holder))

    def results_of(self, document: Document) -> int:
        """Return how many results a document has: one for each time it was finished."""
        return len(self.ledger.documents.results(document.id, VIEWER))

    def close(self) -> None:
        """End everything that was started."""
        for program in self.programs:
            program.kill()
        self.client.close()
        self.ledger.close()
        self.broker.stop()
        self.results.stop()
