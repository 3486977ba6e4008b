"""How much a document may ask of the machine that reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one document may cost; past any of these it gets an error of its own."""

    bytes: int = 30_000_000  # of the file itself
    memory_bytes: int = 700_000_000  # beyond what the reading process holds before it starts
    seconds: float = 30.0  # of wall time, and of processor time
    characters: int = 5_000_000  # of text that comes out
    pages: int = 2_000  # of a PDF
    attachments: int = 500  # of a mail
    depth: int = 32  # of MIME parts within parts; deeper ones are kept as attachments, unread

    @property
    def result_bytes(self) -> int:
        """The most that a reading process may hand back: text, headers and attachments."""
        return 4 * self.bytes + 24 * self.characters + 1_000_000
