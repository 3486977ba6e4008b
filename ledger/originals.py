"""Where a document's original bytes are: a row of `bodies`, or a file that documents share.

A file is stored before the transaction that names it, so a crash leaves at most a file nobody
names (`Originals.collect` removes those) and never a document without its body. Naming a file
and deleting it take turns under a lock of its hash; whoever names it looks, under that lock,
that it is still there. So a delete cannot take away what is being accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, exists, insert, select

from ledger.columns import SECOND, to_microseconds
from ledger.database import Database, chunks
from ledger.errors import BodyMissing
from ledger.files import Files
from ledger.schema import bodies, documents

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
        self, connection: Connection, document_id: str, sha256: str, body: bytes, in_files: bool
    ) -> None:
        """Tie the body to its document, in the transaction that accepts it."""
        if not in_files:
            connection.execute(insert(bodies), {"document_id": document_id, "body": body})
            return
        self._database.lock_name(connection, sha256)
        if not self._files.has(sha256):  # deleted with its last document since `store`
            self._files.put(body)

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
            self._database.lock_name(connection, sha256)
            named = exists().where(documents.c.sha256 == sha256, documents.c.in_files)
            if not connection.execute(select(named)).scalar_one():
                self._files.delete(sha256)

    def collect(self, older_than_seconds: float = ORPHAN_SECONDS) -> int:
        """Delete files that no document names and return how many."""
        before = self._database.now() - int(older_than_seconds * SECOND)
        self._files.sweep(older_than_seconds)
        old = [kept.sha256 for kept in self._files.list() if to_microseconds(kept.put_at) <= before]
        orphans = [sha256 for sha256 in old if sha256 not in self._named(old)] if old else []
        for sha256 in orphans:
            self.discard(sha256)
        return len(orphans)

    def _named(self, hashes: Sequence[str]) -> set[str]:
        named: set[str] = set()
        with self._database.reading() as connection:
            for some in chunks(hashes):
                query = select(documents.c.sha256).where(
                    documents.c.sha256.in_(some), documents.c.in_files
                )
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
