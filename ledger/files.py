"""Large bodies under their sha256: in a local folder, or in any S3-compatible store.

A put is all or nothing, and durable when it returns. The same bytes are the same file, so a
put can be repeated and a file is deleted only when no document names it (ledger/originals.py).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ledger.database import FULL_ERRNO
from ledger.errors import BodyDamaged, BodyMissing, LedgerUnreachable, StorageFull
from ledger.place import SHA256, Kept, Place

INCOMING = ".incoming"  # unfinished files, in the same file system as their final place


class Files:
    """The file store; built lazily, so it is safe to make before a fork."""

    def __init__(self, url: str, *, s3_endpoint: str | None = None) -> None:
        self.url = url
        self._place: Place
        if urlsplit(url).scheme == "s3":
            from ledger.s3 import Bucket  # a local store needs none of it

            self._place = Bucket(url, endpoint=s3_endpoint)
        else:
            self._place = Folder(Path(url.removeprefix("file://")))

    def put(self, body: bytes) -> str:
        """Keep `body` and return its sha256; raises StorageFull and leaves nothing then."""
        sha256 = hashlib.sha256(body).hexdigest()
        self._place.write(sha256, body)
        return sha256

    def put_pieces(self, pieces: Iterable[bytes]) -> Kept:
        """Keep what comes in pieces, however large; raises StorageFull and leaves nothing then."""
        return self._place.write_pieces(pieces)

    def put_file(self, path: Path) -> Kept:
        """Keep a file of this machine, piece by piece; raises StorageFull, and OSError for it."""
        with path.open("rb") as stream:
            return self.put_pieces(read_in_pieces(stream))

    @contextmanager
    def local(self, sha256: str) -> Iterator[Path]:
        """Lend a path of this machine with the file's bytes, unchecked; raises BodyMissing."""
        _check(sha256)
        with ExitStack() as stack:
            try:
                path = stack.enter_context(self._place.local(sha256))
            except FileNotFoundError as error:
                raise BodyMissing("the file is not in the file store") from error
            yield path

    def size(self, sha256: str) -> int | None:
        """Return the size in bytes, or None when the file is not there."""
        return self._place.size(_check(sha256))

    def get(self, sha256: str) -> bytes:
        """Return the bytes, checked against their hash; raises BodyMissing, BodyDamaged."""
        with self.open(sha256) as stream:
            body = stream.read()
        if hashlib.sha256(body).hexdigest() != sha256:
            raise BodyDamaged("the file store's bytes are not those that were stored")
        return body

    def open(self, sha256: str) -> IO[bytes]:
        """Return a stream of the bytes, unchecked; raises BodyMissing."""
        _check(sha256)
        try:
            return self._place.open(sha256)
        except FileNotFoundError as error:
            raise BodyMissing("the original is not in the file store") from error

    def has(self, sha256: str) -> bool:
        """Say whether the file is there."""
        return self._place.size(_check(sha256)) is not None

    def delete(self, sha256: str) -> None:
        """Delete the file, if it is there; whoever calls knows that nothing names it."""
        self._place.remove(_check(sha256))

    def list(self) -> Iterator[Kept]:
        """Yield every file of the store, in no order."""
        return self._place.names()

    def sweep(self, seconds: float) -> None:
        """Delete what interrupted puts of more than `seconds` ago left."""
        self._place.sweep(seconds)


class Folder:
    """A folder of this machine, two hexadecimal digits a subfolder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._durable: set[str] = set()

    def write(self, name: str, body: bytes) -> None:
        """Write beside, fsync, rename, fsync the folder: a reader sees all or nothing."""
        self._write([body], name)

    def write_pieces(self, pieces: Iterable[bytes]) -> Kept:
        """Write as `write` does; the name is known when all of it is."""
        return self._write(pieces, None)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Lend the file's own path."""
        path = self._path(name)
        path.stat()
        yield path

    def _write(self, pieces: Iterable[bytes], name: str | None) -> Kept:
        incoming = self._folder / INCOMING
        temporary: str | None = None
        hasher = None if name else hashlib.sha256()
        size = 0
        try:
            incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=incoming)
            with os.fdopen(descriptor, "wb") as stream:
                for piece in pieces:
                    stream.write(piece)
                    size += len(piece)
                    if hasher is not None:
                        hasher.update(piece)
                stream.flush()
                os.fsync(stream.fileno())
            if hasher is not None:
                name = hasher.hexdigest()
            name = str(name)
            path = self._path(name)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.replace(temporary, path)
            temporary = None
            sync_folder(path.parent)
            if name[:2] not in self._durable:  # its folder may have been made just now
                sync_folder(self._folder)
                self._durable.add(name[:2])
            return Kept(name, size, datetime.now(UTC))
        except OSError as error:
            if error.errno in FULL_ERRNO:
                raise StorageFull("the file store's disk is full; free some space") from error
            raise LedgerUnreachable(f"the file store cannot be written: {error}") from error
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the file."""
        return self._path(name).open("rb")

    def size(self, name: str) -> int | None:
        """Return the size in bytes, or None."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Delete the file, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[Kept]:
        """Yield every file; one that is deleted meanwhile is left out."""
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            if SHA256.fullmatch(path.name) is None:
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            put_at = datetime.fromtimestamp(status.st_mtime, UTC)
            yield Kept(path.name, status.st_size, put_at)

    def sweep(self, seconds: float) -> None:
        """Delete what interrupted writes of more than `seconds` ago left."""
        for path in (self._folder / INCOMING).glob("*"):
            try:
                if path.stat().st_mtime < time.time() - seconds:
                    path.unlink()
            except FileNotFoundError:
                continue

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


def read_in_pieces(stream: IO[bytes], size: int = io.DEFAULT_BUFFER_SIZE * 32) -> Iterator[bytes]:
    """Yield the rest of `stream`, `size` bytes at a time."""
    while piece := stream.read(size):
        yield piece


def _check(sha256: Any) -> str:
    if not isinstance(sha256, str) or SHA256.fullmatch(sha256) is None:
        raise BodyMissing("that is not the hash of a file")
    return sha256


def sync_folder(folder: Path) -> None:
    """Make what was renamed into `folder` durable: a rename is only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
