"""Large bodies in any S3-compatible store; keys come from the usual AWS_* variables."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from ledger.database import FULL_ERRNO
from ledger.errors import LedgerUnreachable, StorageFull
from ledger.place import SHA256, Kept

if TYPE_CHECKING:
    from obstore.store import S3Store

PAGE = 1_000  # objects of one listing
PATIENCE = timedelta(seconds=30)  # for all tries of one request
CONNECT, SILENCE = timedelta(seconds=5), timedelta(seconds=20)
TRIES = 4
PIECE_BYTES = 1 << 20

_used_in: int | None = None  # the process whose threads serve the store's client


class Bucket:
    """A bucket, or a prefix of one. An S3 put is atomic and durable by itself."""

    def __init__(self, url: str, *, endpoint: str | None) -> None:
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._endpoint = endpoint
        self._store: S3Store | None = None
        self._process = 0
        self._lock = threading.Lock()

    def write(self, name: str, body: bytes) -> None:
        """Put the object."""
        try:
            with _said_plainly():
                self._connect().put(_key(name), body)
        except FileNotFoundError as error:
            raise LedgerUnreachable(f"there is no bucket {self._bucket!r}") from error

    def write_pieces(self, pieces: Iterable[bytes]) -> Kept:
        """Put an object whose name is known when all of it is; it waits in a local file."""
        hasher = hashlib.sha256()
        size = 0
        with tempfile.TemporaryFile() as stream:
            try:
                for piece in pieces:
                    stream.write(piece)
                    size += len(piece)
                    hasher.update(piece)
                stream.seek(0)
            except OSError as error:
                if error.errno in FULL_ERRNO:
                    raise StorageFull("the disk for temporary files is full") from error
                raise
            name = hasher.hexdigest()
            try:
                with _said_plainly():
                    self._connect().put(_key(name), stream)
            except FileNotFoundError as error:
                raise LedgerUnreachable(f"there is no bucket {self._bucket!r}") from error
        return Kept(name, size, datetime.now(UTC))

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Fetch the object into a temporary file."""
        with tempfile.NamedTemporaryFile(prefix="mailroom-") as copy:
            with self.open(name) as stream:
                shutil.copyfileobj(stream, copy, PIECE_BYTES)
            copy.flush()
            yield Path(copy.name)

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the object, fetched as it is read."""
        with _said_plainly():
            pieces = iter(self._connect().get(_key(name)).stream())
        return io.BufferedReader(_Pieces(pieces))

    def size(self, name: str) -> int | None:
        """Return the size in bytes, or None."""
        try:
            with _said_plainly():
                return int(self._connect().head(_key(name))["size"])
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Delete the object, if it is there."""
        try:
            with _said_plainly():
                self._connect().delete(_key(name))
        except FileNotFoundError:
            return

    def names(self) -> Iterator[Kept]:
        """Yield every object that is one of ours."""
        with _said_plainly():
            for page in self._connect().list(chunk_size=PAGE):
                for found in page:
                    name = found["path"].rpartition("/")[2]
                    if SHA256.fullmatch(name):
                        yield Kept(name, found["size"], found["last_modified"])

    def sweep(self, seconds: float) -> None:
        """Nothing: S3 shows no object before it is whole."""

    def _connect(self) -> S3Store:
        global _used_in
        with self._lock:
            _used_in = _used_in or os.getpid()
            if _used_in != os.getpid():
                # Its threads stayed in the parent: a request would wait for ever
                raise LedgerUnreachable("this process was forked after its parent used the store")
            if self._store is None:
                self._store = self._make_store()
            return self._store

    def _make_store(self) -> S3Store:
        from obstore.store import S3Store

        endpoint = self._endpoint or os.environ.get("AWS_ENDPOINT_URL")
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            endpoint=endpoint,
            region=os.environ.get("AWS_REGION", "us-east-1"),
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "connect_timeout": CONNECT,
                "read_timeout": SILENCE,
            },
            retry_config={"max_retries": TRIES, "retry_timeout": PATIENCE},
        )


class _Pieces(io.RawIOBase):
    """A readable stream over pieces of bytes as they arrive."""

    def __init__(self, pieces: Iterator[object]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            with _said_plainly():
                piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(bytes(piece))  # type: ignore[call-overload]
        number = min(len(buffer), len(self._rest))
        buffer[:number] = self._rest[:number]
        self._rest = self._rest[number:]
        return number


@contextmanager
def _said_plainly() -> Iterator[None]:
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(str(error)) from error
    except (BaseError, OSError) as error:
        # Its text may hold a signed address: the cause is kept, not repeated
        raise LedgerUnreachable(
            f"the file store does not answer: {type(error).__name__}"
        ) from error


def _key(name: str) -> str:
    return f"{name[:2]}/{name}"
