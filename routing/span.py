"""A stretch of a document's text that a rule points at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """Evidence: `text[start:end]`, in Unicode code points, with how much it weighed (0 to 1)."""

    start: int
    end: int
    weight: float = 1.0

    def to_json(self) -> dict[str, float]:
        """Return the outcome's form of one piece of evidence."""
        return {"start": self.start, "end": self.end, "weight": round(self.weight, 3)}
