"""Support tickets: which queue they belong to, and what the customer wants."""

from __future__ import annotations

from nlp.kind import Kind

KIND = Kind(
    heads={"queue": (), "intent": ()},  # a customer-support taxonomy: the weights hold its names
    entities=(),
    model="text_classifier",
    weights="ticket",
)
