"""weights/recognition: which kind of document a text is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.recognition import CHARACTERS
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather


def _kind(name: str) -> dict[str, str]:
    return {"kind": name}


def _start(row: Row) -> str:
    return str(row["text"])[:CHARACTERS]


def _source(name: str, kind: str, most: int) -> Source:
    return Source(name, lambda _: _kind(kind), text=_start, most=most)


_GREETINGS = ("Hi {0},", "Hello {0},", "Dear {0},", "Dear Sir or Madam,", "{0},", "Hi all,", "Hi,")
_CLOSINGS = (
    "Thanks, {0}",
    "Best regards\n{0}",
    "Regards,\n{0}",
    "Best, {0}",
    "Thank you\n{0}",
    "{0}",
)
_NAMES = ("Ann", "Bob", "Mr Smith", "Jane", "Tom", "Dr Lee", "Maria", "team", "John", "Sue")


def _letter(row: Row) -> str:
    """Return a request from a mail with a greeting and a closing around it, as mails have them."""
    pick = zlib.crc32(str(row["id"]).encode())
    greeting = _GREETINGS[pick % len(_GREETINGS)].format(_NAMES[pick // 7 % len(_NAMES)])
    closing = _CLOSINGS[pick // 70 % len(_CLOSINGS)].format(_NAMES[pick // 420 % len(_NAMES)])
    gap = ("\n\n", " ", "\n")[pick // 4200 % 3]
    return gap.join((greeting, str(row["text"]), closing))


SOURCES = (
    Source("email_request", lambda _: _kind("email"), text=_letter, most=1500),
    _source("imdb", "review", 2500),
    _source("reviews_multidomain", "review", 2500),
    _source("sentences_3domain", "review", 1500),
    _source("sst2", "review", 800),
    _source("bitext_support", "ticket", 2500),
    _source("banking77", "ticket", 2000),
    _source("it_tickets_anonymised", "ticket", 1000),
    Source(
        "it_tickets_assignment",
        lambda _: _kind("ticket"),
        text=lambda row: str(row["title"])[:CHARACTERS],
        most=1500,
    ),
    _source("mailinglists", "email", 2500),
    _source("enron_categories", "email", 1078),
    _source("newsgroups20", "email", 1500),
    _source("cuad", "contract", 400),
    _source("contract_nli", "contract", 100),
)


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="recognition",
        kind="recognition",
        version="1",
        recipe=Recipe(
            epochs=12,
            encoder="none",
            poolings=(),
            balance=0.4,
            teacher="none",
            features=FeatureSettings(
                general_words=0, document_words=0, ngrams=25_000, spelling=False
            ),
        ),
        licence=(
            "bitext_support: CDLA-Sharing 1.0; mailinglists: PDDL 1.0 / CC0; banking77, cuad, "
            "contract_nli and sentences_3domain: CC BY 4.0; it_tickets_anonymised: MIT; imdb, "
            "reviews_multidomain, sst2, it_tickets_assignment, enron_categories and newsgroups20: "
            "licence not stated at the source (amber); email_request: Apache 2.0"
        ),
        about="""
Says which kind of document a text is (review, ticket, email or contract) from its first
characters, when nobody said it. Words and pairs of words only. Short mails are requests from real
mails with greetings and closings of ours around them.

Bad at: a ticket sent by mail (both are true), complaints about a product (a review or a ticket),
mails without greeting and signature, any language but English.
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/recognition and return its folder."""
    train, dev = (
        gather(data, SOURCES, split, ("kind",), told["seed"]) for split in ("train", "dev")
    )
    return ship(shipment(), train, dev, vectors, told)
