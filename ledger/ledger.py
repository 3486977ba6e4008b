"""The ledger: its nouns, over one database and one file store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ledger.admission import Admission
from ledger.alerts import Alerts
from ledger.audit import Audit
from ledger.backup import Backup, back_up
from ledger.batches import Batches
from ledger.chunks import Chunks
from ledger.corrections import Corrections
from ledger.database import Database
from ledger.deliveries import Deliveries
from ledger.documents import Documents
from ledger.files import Files
from ledger.jobs import Jobs
from ledger.mailboxes import Mailboxes
from ledger.models import Models
from ledger.originals import ORPHAN_SECONDS, Originals
from ledger.owed import OwedWork
from ledger.payments import Payments
from ledger.pulses import Pulses
from ledger.quotas import Quotas
from ledger.rulebook import Rulebook
from ledger.tokens import Tokens


def open_ledger(
    database_url: str,
    files_url: str,
    *,
    s3_endpoint: str | None = None,
    owed_limit: int = 200_000,
    small_body_bytes: int = 65_536,
    attempts_allowed: int = 3,
    batches_limit: int = 100,
    clock: Callable[[], float] | None = None,
) -> Ledger:
    """Return the ledger at these addresses; it connects when it is first used.

    `database_url` is `sqlite:////abs/path` or `postgresql+psycopg://...`, `files_url` a folder
    or `s3://bucket/prefix`. Bodies of more than `small_body_bytes` go to the file store. A
    queue that owes `owed_limit` documents takes no more. `attempts_allowed` is the most times
    a document is handed to a worker. A workspace has at most `batches_limit` unfinished
    batches, and as many jobs. `clock` returns seconds since 1970 in place of the
    system's. Safe to make before a fork.
    """
    database = Database(database_url, clock=clock)
    files = Files(files_url, s3_endpoint=s3_endpoint)
    return Ledger(
        database,
        files,
        owed_limit=owed_limit,
        small_body_bytes=small_body_bytes,
        attempts_allowed=attempts_allowed,
        batches_limit=batches_limit,
    )


class Ledger:
    """The durable record; each attribute is a noun with its own module."""

    def __init__(
        self,
        database: Database,
        files: Files,
        *,
        owed_limit: int,
        small_body_bytes: int,
        attempts_allowed: int,
        batches_limit: int,
    ) -> None:
        originals = Originals(database, files, small_bytes=small_body_bytes)
        self.database = database
        self.files = files
        self.owed = OwedWork(database, originals, attempts_allowed=attempts_allowed)
        admission = Admission(database, self.owed, limit=owed_limit)
        self.documents = Documents(database, originals, admission)
        self.batches = Batches(database, files, originals, limit=batches_limit)
        self.chunks = Chunks(database, originals, attempts_allowed=attempts_allowed)
        self.jobs = Jobs(
            database, originals, attempts_allowed=attempts_allowed, limit=batches_limit
        )
        self.alerts = Alerts(database)
        self.payments = Payments(database)
        self.pulses = Pulses(database)
        self.tokens = Tokens(database)
        self.quotas = Quotas(database)
        self.audit = Audit(database)
        self.deliveries = Deliveries(database)
        self.corrections = Corrections(database)
        self.mailboxes = Mailboxes(database)
        self.models = Models(database, originals)
        self.rulebook = Rulebook(database)
        self._originals = originals

    def migrate(self) -> None:
        """Bring the tables to what this version expects; harmless when they are."""
        from ledger import migration  # Alembic takes half a second to import, and few migrate

        migration.migrate(self.database)

    def is_current(self) -> bool:
        """Say whether the tables are what this version expects."""
        from ledger import migration

        return migration.is_current(self.database)

    def backup(self, target: Path) -> Backup:
        """Write everything to one new archive, while the system runs; ledger/restore.py reads it.

        Raises BackupError when `target` is there or cannot be written, StorageFull.
        """
        return back_up(self.database, self.files, target)

    def tidy(self, orphan_seconds: float = ORPHAN_SECONDS) -> int:
        """Remove files no document names and old counts; return how many files went.

        For a periodic task; running it twice, or in two places, is harmless.
        """
        self.pulses.prune()
        return self._originals.collect(orphan_seconds)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self.database.close()
