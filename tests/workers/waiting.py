"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 90, what: str = "") -> T:
    """Return the condition's first true answer; fails when there is none in that time."""
    limit = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise AssertionError(what or f"not in {seconds} seconds: {condition}")
        time.sleep(0.005)
