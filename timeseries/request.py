"""What is to be scored, and how: the options of `mailroom evaluate` for series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options; None leaves a choice to the data."""

    history: tuple[Path, ...]
    series: tuple[str, ...] | None = None
    time: str | None = None
    target: str | None = None
    known: tuple[str, ...] | None = None
    horizon: int | None = None  # None: as far as the file goes
    gap: int = 0
    rounds: int = 1
    until: str | None = None  # rows after this date are not scored
    delay: int | None = None  # days until a label is known; None: the model's own
    seed: int = 0
    threads: int = 1
