"""Where the bodies of the file store lie: what a folder and a bucket both do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Kept:
    """A file of the store: its hash, its size in bytes, and when it was last put."""

    sha256: str
    size: int
    put_at: datetime


class Place(Protocol):
    """What a kind of store has to do; names are checked before they reach it."""

    def write(self, name: str, body: bytes) -> None:
        """Keep `body` under `name`, durably, all or nothing."""

    def write_pieces(self, pieces: Iterable[bytes]) -> Kept:
        """Keep what comes in pieces under its hash, durably, all or nothing."""

    def local(self, name: str) -> AbstractContextManager[Path]:
        """Lend a path of this machine that holds the file; raises FileNotFoundError."""

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the file; raises FileNotFoundError."""

    def size(self, name: str) -> int | None:
        """Return the size in bytes, or None when there is no such file."""

    def remove(self, name: str) -> None:
        """Delete the file, if it is there."""

    def names(self) -> Iterator[Kept]:
        """Yield every file."""

    def sweep(self, seconds: float) -> None:
        """Delete what interrupted writes of more than `seconds` ago left."""
