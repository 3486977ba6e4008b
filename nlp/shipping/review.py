"""weights/review: positive or negative, from films, books, goods and places."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.distillation import Budget
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather

SIDES = {"pos": "positive", "neg": "negative"}


def _side(row: Row) -> dict[str, str]:
    return {"sentiment": SIDES[row["label"]]}


SOURCES = (
    Source("imdb", _side),
    Source("sst2", _side),
    Source("reviews_multidomain", _side),
    Source("sentences_3domain", _side),
)


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="review",
        kind="review",
        version="4",
        begins=True,
        heads={"sentiment": ("positive", "negative")},
        recipe=Recipe(
            items=64,
            epochs=6,
            teacher="tuned",  # of its sentences too, which are few beside the reviews
            balance=0.0,
            features=FeatureSettings(
                general_words=15_000, document_words=30_000, ngrams=120_000, spelling=False
            ),
        ),
        # an hour of one core for the teacher; of every review some sentences to label
        budget=Budget(tuning=8_000_000, most_epochs=5, labelling=10_000_000, most_variants=7),
        licence=(
            "imdb, sst2 and reviews_multidomain: licence not stated at the source (amber); "
            "sentences_3domain: CC BY 4.0; weights/beginning: see its card (amber)"
        ),
        about="""
Says whether a review is positive or negative, with a score from -1 to 1, for a document and for
each of its sentences.

Bad at: irony, comparisons ("better than the last one, which was awful"), reviews that weigh both
sides, texts that are no reviews (it has no "neutral": what it is unsure of needs review), any
language but English.
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/review and return its folder."""
    heads = ("sentiment",)
    train, dev = (gather(data, SOURCES, split, heads, told["seed"]) for split in ("train", "dev"))
    return ship(shipment(), train, dev, vectors, told)
