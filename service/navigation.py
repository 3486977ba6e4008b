"""The links at the head of every page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request


@dataclass(frozen=True)
class Link:
    """Where a page stands in the navigation; pages below its address belong to it."""

    href: str
    words: str
    place: int
    scope: str = "read"  # that a viewer needs to be shown it

    @property
    def here(self) -> bool:
        """Say whether the page of this request belongs to the link."""
        return request.path == self.href or request.path.startswith(f"{self.href}/")
