"""A ledger from a backup, on either database and either file store.

The whole archive is checked before anything is written. Names in it are only ever compared
with what we expect: nothing is extracted to a path that the archive chose.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, MetaData, Table, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from ledger import migration
from ledger.backup import FORMAT, NARROW_ROWS, WIDE, WIDE_ROWS, Backup
from ledger.database import Database
from ledger.errors import BackupError, TargetNotEmpty
from ledger.files import Files, read_in_pieces

MEMBER = re.compile(r"manifest\.json|tables/[a-z_]+\.jsonl\.gz|files/[0-9a-f]{64}")
MANIFEST_BYTES = 64_000_000
VERSION_TABLE = "alembic_version"


def restore(
    archive: Path, database_url: str, files_url: str, *, s3_endpoint: str | None = None
) -> Backup:
    """Fill an empty ledger from `archive`, migrate it to this version, and say what came.

    Rows are committed all at once, after their files: interrupted, it can be run again.
    Raises BackupError for an archive that is damaged, not ours, or of a newer version, and
    TargetNotEmpty when the database holds any row.
    """
    database = Database(database_url)
    files = Files(files_url, s3_endpoint=s3_endpoint)
    try:
        with tarfile.open(archive, mode="r:") as tar:
            members = _members(tar)
            manifest = _manifest(tar, members)
            _verify(tar, members, manifest)
            _prepare(database, manifest["revision"])
            for name, member in members.items():
                if name.startswith("files/"):
                    files.put_pieces(read_in_pieces(_stream(tar, member)))
            with database.writing() as connection:
                database.take_time(connection)
                _insert_all(connection, tar, members, manifest)
        migration.migrate(database)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise BackupError(f"{archive} cannot be read: {error}") from error
    finally:
        database.close()
    tables = manifest["tables"]
    return Backup(
        documents=tables["documents"]["rows"],
        rows=sum(table["rows"] for table in tables.values()),
        files=manifest["files"],
        deleted=tuple(manifest["deleted"]),
        missing=tuple(manifest["missing"]),
    )


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        if not member.isreg() or MEMBER.fullmatch(member.name) is None or member.name in members:
            raise BackupError(f"not a backup of Mailroom: it holds {member.name!r}")
        members[member.name] = member
    return members


def _manifest(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> dict[str, Any]:
    member = members.get("manifest.json")
    if member is None or member.size > MANIFEST_BYTES:
        raise BackupError("the archive has no manifest: it is not whole, or not a backup")
    try:
        manifest: dict[str, Any] = json.loads(_stream(tar, member).read())
        tables = manifest["tables"]
        known = manifest["format"] == FORMAT and isinstance(manifest["revision"], str)
        counts = [int(table["rows"]) for table in tables.values()], int(manifest["files"])
        lists = list(manifest["deleted"]), list(manifest["missing"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError("the archive's manifest cannot be read") from error
    if not known or not counts or not lists:
        raise BackupError("the archive was made by a newer version of Mailroom")
    return manifest


def _verify(
    tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], manifest: dict[str, Any]
) -> None:
    expected = {
        f"tables/{name}.jsonl.gz": table["sha256"] for name, table in manifest["tables"].items()
    }
    files = {name: name.removeprefix("files/") for name in members if name.startswith("files/")}
    if len(files) != manifest["files"] or set(members) != {*expected, *files, "manifest.json"}:
        raise BackupError("the archive is not whole: parts that its manifest names are not there")
    for name, sha256 in (expected | files).items():
        digest = hashlib.sha256()
        for piece in read_in_pieces(_stream(tar, members[name])):
            digest.update(piece)
        if digest.hexdigest() != sha256:
            raise BackupError(f"the archive is damaged: {name} is not what was written")


def _prepare(database: Database, revision: str) -> None:
    """Bring an empty database to the archive's revision, or refuse."""
    if not migration.is_known(revision):
        raise BackupError("the archive was made by a newer version of Mailroom")
    with database.reading() as connection:
        names = [name for name in inspect(connection).get_table_names() if name != VERSION_TABLE]
        reflected = MetaData()
        reflected.reflect(connection, only=names)
        for table in reflected.tables.values():
            if connection.execute(select(text("1")).select_from(table).limit(1)).first():
                raise TargetNotEmpty(f"there are rows in {table.name!r}; restore into a new ledger")
    if names and migration.current(database) != revision:
        raise TargetNotEmpty("there are tables of another version; restore into a new database")
    migration.migrate(database, revision)


def _insert_all(
    connection: Connection,
    tar: tarfile.TarFile,
    members: dict[str, tarfile.TarInfo],
    manifest: dict[str, Any],
) -> None:
    # A document may come before its parent
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(
        text("PRAGMA defer_foreign_keys=ON" if sqlite else "SET CONSTRAINTS ALL DEFERRED")
    )
    reflected = MetaData()
    reflected.reflect(connection, only=list(manifest["tables"]))
    for table in reflected.sorted_tables:
        expected = manifest["tables"][table.name]["rows"]
        stream = _stream(tar, members[f"tables/{table.name}.jsonl.gz"])
        try:
            number = _insert_table(connection, table, stream)
        except (ValueError, TypeError, KeyError, SQLAlchemyError) as error:
            raise BackupError(f"the archive's {table.name!r} cannot be read") from error
        if number != expected:
            raise BackupError(f"the archive's {table.name!r} has {number} rows, not {expected}")


def _insert_table(connection: Connection, table: Table, stream: IO[bytes]) -> int:
    number = 0
    size = WIDE_ROWS if table.name in WIDE else NARROW_ROWS
    rows = _rows(stream)
    while some := list(itertools.islice(rows, size)):
        connection.execute(insert(table), some)
        number += len(some)
    return number


def _rows(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    with gzip.GzipFile(fileobj=stream) as lines:
        for line in lines:
            row = json.loads(line)
            for name, value in row.items():
                if isinstance(value, dict):
                    row[name] = base64.b64decode(value["base64"])
            yield row


def _stream(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(member)  # a view of the archive: nothing is written
    if stream is None:
        raise BackupError(f"{member.name} is not a file")
    return stream
