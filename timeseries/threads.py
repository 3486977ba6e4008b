"""How many threads the numbers of a process are worked on with."""

from __future__ import annotations

from sequence.device import set_threads

__all__ = ["set_threads"]
