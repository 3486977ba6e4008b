"""Where a document's original bytes are: a row of `bodies`, or a file that documents share.

A file is stored before the transaction that names it, so a crash leaves at most a file nobody
names (`Originals.collect` removes those) and never a document without its body. Naming a file
and deleting it take turns under a lock of its hash; whoever names it looks, under that lock,
that it is still there. So a delete cannot take away what is being accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, insert, or_, select, true

from ledger.columns import SECOND, to_microseconds
from ledger.database import Database, chunks
from ledger.errors import BodyMissing
from ledger.files import Files
from ledger.schema import batch_chunks, batches, bodies, documents, job_outputs, jobs, models

_BODIES = insert(bodies)
ORPHAN_SECONDS = 3600.0  # an accept in flight is never this old


class Originals:
    """Keeps, finds and forgets original bytes."""

    def __init__(self, database: Database, files: Files, *, small_bytes: int) -> None:
        self._database = database
        self._files = files
        self._small_bytes = small_bytes

    def store(self, body: bytes) -> tuple[str, bool]:
        """Return the sha256, and whether the body is now in the file store (a large one)."""
        if len(body) <= self._small_bytes:
            return hashlib.sha256(body).hexdigest(), False
        return self._files.put(body), True

    def attach(
        self, connection: Connection, accepted: Sequence[tuple[Mapping[str, Any], bytes]]
    ) -> None:
        """Tie bodies to their documents' rows, in the transaction that accepts them."""
        small = [
            {"document_id": row["id"], "body": body}
            for row, body in accepted
            if not row["in_files"]
        ]
        if small:
            connection.execute(_BODIES, small)
        large = {row["sha256"]: body for row, body in accepted if row["in_files"]}
        for sha256, body in sorted(large.items()):
            self._database.lock_name(connection, sha256)
            if not self._files.has(sha256):  # deleted with its last document since `store`
                self._files.put(body)

    def name(self, connection: Connection, sha256: str) -> None:
        """Tie a file of a batch to the transaction that names it; raises BodyMissing."""
        self._database.lock_name(connection, sha256)
        if not self._files.has(sha256):  # taken for an orphan since it was put: put it again
            raise BodyMissing("the file is no longer in the file store; try again")

    def size(self, sha256: str) -> int:
        """Return the size of a file in bytes; raises BodyMissing."""
        size = self._files.size(sha256)
        if size is None:
            raise BodyMissing("the file is no longer in the file store; try again")
        return size

    def read(self, document_id: str, sha256: str, in_files: bool) -> bytes:
        """Return one body; raises BodyMissing."""
        (body,) = self.read_many([(document_id, sha256, in_files)])
        if isinstance(body, BodyMissing):
            raise body
        return body

    def read_many(self, wanted: Sequence[tuple[str, str, bool]]) -> list[bytes | BodyMissing]:
        """Return the bodies of (document id, sha256, in_files), in order.

        One that is missing is a BodyMissing in its place.
        """
        rows = self._read_rows([id_ for id_, _, in_files in wanted if not in_files])
        return [
            self._read_file(sha256)
            if in_files
            else rows.get(id_, BodyMissing("the document was deleted"))
            for id_, sha256, in_files in wanted
        ]

    def discard(self, sha256: str) -> None:
        """Delete the file unless a document names it."""
        with self._database.writing() as connection:
            # whoever lost the name here, and woke up, would delete what another has tied to it
            self._database.take_time(connection)
            self._database.lock_name(connection, sha256)
            if not is_named(connection, sha256):
                self._files.delete(sha256)

    def collect(self, older_than_seconds: float = ORPHAN_SECONDS) -> int:
        """Delete files that no document names and return how many."""
        before = self._database.now() - int(older_than_seconds * SECOND)
        self._files.sweep(older_than_seconds)
        old = [kept.sha256 for kept in self._files.list() if to_microseconds(kept.put_at) <= before]
        named = self._named(old)
        orphans = [sha256 for sha256 in old if sha256 not in named]
        for sha256 in orphans:
            self.discard(sha256)
        return len(orphans)

    def _named(self, hashes: Sequence[str]) -> set[str]:
        named: set[str] = set()
        with self._database.reading() as connection:
            for some in chunks(hashes):
                for column, condition in _NAMES:
                    query = select(column).where(column.in_(some), condition)
                    named.update(connection.execute(query).scalars())
        return named

    def _read_rows(self, document_ids: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        if not document_ids:
            return found
        with self._database.reading() as connection:
            for some in chunks(document_ids):
                query = select(bodies.c.document_id, bodies.c.body).where(
                    bodies.c.document_id.in_(some)
                )
                found.update({id_: bytes(body) for id_, body in connection.execute(query)})
        return found

    def _read_file(self, sha256: str) -> bytes | BodyMissing:
        try:
            return self._files.get(sha256)
        except BodyMissing as error:
            return error


# A batch's chunks are needed until it is done or cancelled, its input and result for longer
_NEEDED = exists().where(
    batches.c.id == batch_chunks.c.batch_id, batches.c.state.not_in(("done", "cancelled"))
)
# Every column that names a file, and where it does so
_NAMES: tuple[tuple[Any, ColumnElement[bool]], ...] = (
    (documents.c.sha256, documents.c.in_files),
    (batches.c.input_sha256, true()),
    (batches.c.output_sha256, true()),
    (batch_chunks.c.input_sha256, _NEEDED),
    (batch_chunks.c.output_sha256, _NEEDED),
    (jobs.c.input_sha256, true()),
    (job_outputs.c.sha256, true()),
    (models.c.sha256, true()),
)


def is_named(connection: Connection, sha256: str) -> bool:
    """Say whether a document or a batch still needs the file."""
    any_of = [exists().where(column == sha256, condition) for column, condition in _NAMES]
    return bool(connection.execute(select(or_(*any_of))).scalar_one())


def named(connection: Connection) -> list[str]:
    """Return the name of every file that something needs."""
    found: set[str] = set()
    for column, condition in _NAMES:
        query = select(column).where(column.is_not(None), condition).distinct()
        found.update(connection.execute(query).scalars())
    return sorted(found)
