"""Sets of words, written as a paragraph."""

from __future__ import annotations


def words(paragraph: str) -> frozenset[str]:
    """Return the words of a paragraph."""
    return frozenset(paragraph.split())
