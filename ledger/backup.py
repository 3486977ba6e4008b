"""A backup of a running ledger: one tar of every table, and every file that they name.

The tables are read in one transaction, so they agree with each other; writers go on meanwhile.
Files are copied after it began: one that is named was stored before its row was committed, so
all are there but those whose document is deleted while the backup runs.

    tables/<name>.jsonl.gz   one row a line; bytes are {"base64": "..."}
    files/<sha256>           the large bodies
    manifest.json            last, so an archive that has it is whole
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, select, type_coerce
from sqlalchemy.types import TypeDecorator

from ledger.columns import to_datetime
from ledger.database import FULL_ERRNO, Database
from ledger.errors import BackupError, BodyDamaged, BodyMissing, StorageFull
from ledger.files import Files, read_in_pieces, sync_folder
from ledger.originals import is_named, named
from ledger.schema import metadata

FORMAT = 1
WIDE = {"bodies", "readings"}  # tables with large values: few rows in memory at a time
WIDE_ROWS, NARROW_ROWS = 10, 500
WHOLE_BYTES = 64 << 20  # a file that is larger, of a batch, is copied in pieces


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What an archive holds. `deleted` files went with their documents while it was made;
    `missing` ones are named by a document that is still there, and are lost."""

    documents: int
    rows: int
    files: int
    deleted: tuple[str, ...]
    missing: tuple[str, ...]


def back_up(database: Database, files: Files, target: Path) -> Backup:
    """Write the archive to `target`, whole or not at all, readable by its owner only.

    Raises BackupError when `target` is there or the tables are not current, StorageFull.
    """
    from ledger import migration  # Alembic takes half a second to import, and few back up

    if target.exists():
        raise BackupError(f"{target} is there already")
    if not migration.is_current(database):
        raise BackupError("the tables are not those of this version: run `mailroom migrate`")
    descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with (
            os.fdopen(descriptor, "wb") as stream,
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".mailroom-") as folder,
        ):
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                revision = migration.newest()
                summary = _write(archive, database, files, Path(folder), revision)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        if error.errno in FULL_ERRNO:
            raise StorageFull("the disk of the backup is full; nothing was written") from error
        raise BackupError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        Path(part).unlink(missing_ok=True)
    return summary


def _write(
    archive: tarfile.TarFile, database: Database, files: Files, folder: Path, revision: str | None
) -> Backup:
    tables: dict[str, dict[str, Any]] = {}
    with database.snapshot() as connection:
        for table in metadata.sorted_tables:
            path = folder / f"{table.name}.jsonl.gz"
            tables[table.name] = _export(connection, table, path)
            archive.add(path, f"tables/{path.name}")
            path.unlink()
        wanted = named(connection)
    copied = 0
    deleted: list[str] = []
    missing: list[str] = []
    for sha256 in wanted:
        try:
            _copy(archive, files, sha256)
            copied += 1
        except BodyMissing:
            (missing if _is_named(database, sha256) else deleted).append(sha256)
    manifest = {
        "format": FORMAT,
        "made_at": to_datetime(database.now()).isoformat(),
        "revision": revision,
        "tables": tables,
        "files": copied,
        "deleted": deleted,
        "missing": missing,
    }
    _add(archive, "manifest.json", json.dumps(manifest, indent=1).encode())
    return Backup(
        documents=tables["documents"]["rows"],
        rows=sum(table["rows"] for table in tables.values()),
        files=copied,
        deleted=tuple(deleted),
        missing=tuple(missing),
    )


def _export(connection: Connection, table: Table, path: Path) -> dict[str, Any]:
    """Write a table's rows as they are kept and return their number and the file's sha256."""
    number = 0
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as stream:
        for row in _rows(connection, table):
            stream.write(json.dumps(row).encode() + b"\n")
            number += 1
    digest = hashlib.sha256()
    with path.open("rb") as written:
        for piece in read_in_pieces(written):
            digest.update(piece)
    return {"rows": number, "sha256": digest.hexdigest()}


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    columns = [
        # As kept, not as meant: a restore gives it to tables of the same revision
        type_coerce(column, column.type.impl_instance).label(column.name)
        if isinstance(column.type, TypeDecorator)
        else column
        for column in table.columns
    ]
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    size = WIDE_ROWS if table.name in WIDE else NARROW_ROWS
    for row in connection.execution_options(yield_per=size).execute(select(*columns)):
        values = dict(row._mapping)
        for name in (name for name in binary if values[name] is not None):
            values[name] = {"base64": base64.b64encode(values[name]).decode("ascii")}
        yield values


def _is_named(database: Database, sha256: str) -> bool:
    with database.reading() as connection:
        return is_named(connection, sha256)


def _copy(archive: tarfile.TarFile, files: Files, sha256: str) -> None:
    """Add a file, a large one in pieces; raises BodyMissing before anything was added."""
    size = files.size(sha256)
    if size is None:
        raise BodyMissing("the file is not in the file store")
    if size <= WHOLE_BYTES:
        _add(archive, f"files/{sha256}", files.get(sha256))
        return
    with files.local(sha256) as path, path.open("rb") as stream:
        digest = hashlib.sha256()
        for piece in read_in_pieces(stream):
            digest.update(piece)
        if digest.hexdigest() != sha256:
            raise BodyDamaged("the file store's bytes are not those that were stored")
        stream.seek(0)
        member = tarfile.TarInfo(f"files/{sha256}")
        member.size = os.fstat(stream.fileno()).st_size
        archive.addfile(member, stream)


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(body)
    archive.addfile(member, io.BytesIO(body))
