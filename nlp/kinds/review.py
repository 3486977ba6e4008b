"""Reviews: what somebody thought of a thing, and how strongly."""

from __future__ import annotations

from nlp.kind import Kind

KIND = Kind(
    heads={"sentiment": ("positive", "negative")},
    entities=(),
    model="text_classifier",
    weights="review",
    aliases={"sentiment": {"pos": "positive", "neg": "negative"}},
    scored=("sentiment",),
)
