"""Phrases that mail programs and people use, as one pattern each.

A list of phrases is easier to read and to add to than a pattern; a blank in a phrase stands for
any run of blanks.
"""

from __future__ import annotations

import re


def any_of(*phrases: str) -> str:
    """Return a pattern that matches any of the phrases; each may use the syntax of `re`."""
    return "(?:" + "|".join(phrase.strip().replace(" ", r"\s+") for phrase in phrases) + ")"


def pattern(*phrases: str, prefix: str = "", suffix: str = "") -> re.Pattern[str]:
    """Return a compiled pattern for any of the phrases, whatever the case of their letters."""
    return re.compile(prefix + any_of(*phrases) + suffix, re.IGNORECASE | re.MULTILINE)
