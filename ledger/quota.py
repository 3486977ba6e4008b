"""How much a token may hand in; `ledger.quotas` counts what it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

LARGEST = 2**62


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How much a token may hand in; None is no limit."""

    documents_a_minute: int | None = None
    bytes_a_minute: int | None = None
    documents_a_day: int | None = None
    bytes_a_day: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit; raises ValueError."""
        for name, value in self.items():
            if value is not None and not 0 <= value <= LARGEST:
                raise ValueError(f"{name} is a number from 0 on")

    def items(self) -> Iterator[tuple[str, int | None]]:
        """Yield each limit's name and value."""
        yield from ((field.name, getattr(self, field.name)) for field in fields(self))

    def of(self, period: str) -> tuple[int | None, int | None]:
        """Return the limits of documents and of bytes in a period."""
        return getattr(self, f"documents_a_{period}"), getattr(self, f"bytes_a_{period}")

    def __bool__(self) -> bool:
        """Say whether anything is limited."""
        return any(value is not None for _, value in self.items())
