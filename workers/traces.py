"""Where an exception was raised, without what it says: its words may quote somebody's row."""

from __future__ import annotations

import traceback


def where(error: BaseException) -> str:
    """Return an exception's type and its frames, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join([type(error).__name__, *(f"{f.name}:{f.lineno}" for f in frames[::-1])])
