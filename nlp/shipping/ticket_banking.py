"""weights/ticket-banking: 77 intents of a bank's customers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Source, gather

SOURCES = (Source("banking77", lambda row: {"intent": row["label"]}),)


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="ticket-banking",
        kind="ticket",
        version="2",
        recipe=Recipe(
            epochs=10,
            features=FeatureSettings(general_words=20_000, ngrams=40_000),
        ),
        licence="banking77: CC BY 4.0",
        about="""
Reads a customer's message to a bank and says which of 77 intents it has.

Bad at: messages with several wishes, banking outside cards, transfers and top-ups, any language
but English. Some labels of its training set are known to be wrong (Ying and Thomas 2022).
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/ticket-banking and return its folder."""
    train, dev = (
        gather(data, SOURCES, split, ("intent",), told["seed"]) for split in ("train", "dev")
    )
    return ship(shipment(), train, dev, vectors, told)
