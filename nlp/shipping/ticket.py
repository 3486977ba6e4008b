"""weights/ticket: queue and intent in a customer-support taxonomy, and what is outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.calibration import OUT_OF_SCOPE
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather

# Intents of other taxonomies that a shop's customer service has too: neither in nor out of scope.
_SHARED_CLINC = {
    *("order", "order_status", "cancel", "report_lost_card", "user_name", "change_user_name"),
    *("bill_balance", "pay_bill", "account_blocked", "greeting", "goodbye", "thank_you"),
    *("yes", "no", "maybe", "repeat"),
}
_SHARED_BANKING = {
    *("request_refund", "Refund_not_showing_up", "edit_personal_details", "passcode_forgotten"),
    *("terminate_account", "transaction_charged_twice", "unable_to_verify_identity"),
}
_OUTSIDE = {"queue": OUT_OF_SCOPE, "intent": OUT_OF_SCOPE}


def _bitext(row: Row) -> dict[str, str]:
    return {"queue": row["queue"], "intent": row["label"]}


def _clinc(row: Row) -> dict[str, str] | None:
    return None if row["label"] in _SHARED_CLINC else _OUTSIDE


def _banking(row: Row) -> dict[str, str] | None:
    return None if row["label"] in _SHARED_BANKING else _OUTSIDE


def _outside(_: Row) -> dict[str, str]:
    return _OUTSIDE


def _start(row: Row) -> str:
    return str(row["text"])[:300]


SOURCES = (
    Source("bitext_support", _bitext),
    Source("clinc150", _clinc, most=1500),
    Source("banking77", _banking, most=800),
    Source("it_tickets_assignment", _outside, text=lambda row: str(row["title"]), most=500),
    Source("newsgroups20", _outside, text=_start, most=400),
    Source("email_request", _outside, most=400),
    Source("sentences_3domain", _outside, most=300),
    Source("sst2", _outside, most=200),
)


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="ticket",
        kind="ticket",
        version="1",
        recipe=Recipe(
            epochs=10,
            balance=0.1,
            out_of_scope=OUT_OF_SCOPE,
            features=FeatureSettings(general_words=20_000, ngrams=30_000),
        ),
        licence=(
            "bitext_support: CDLA-Sharing 1.0; clinc150: CC BY 3.0; banking77 and "
            "sentences_3domain: CC BY 4.0; email_request: Apache 2.0; it_tickets_assignment, "
            "newsgroups20 and sst2: licence not stated at the source (amber)"
        ),
        about="""
Reads a customer's message to a shop: `queue` (11 departments) and `intent` (27 wishes), or that it
is out of scope: no business of that taxonomy.

Its in-scope texts are templates with blanks filled in (`bitext_support`), and dev is made of the
same templates: the scores on them say little about real customers. What is real here are the texts
out of scope: questions to a bank and to an assistant, IT tickets, mails, reviews. Intents of those
sets that a shop has as well were left out of training.

Bad at: messages with several wishes, long stories, anything it was given no template for, any
language but English. Train a model on your own labels (`mailroom train`) for a real help desk.
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/ticket and return its folder."""
    heads = ("queue", "intent")
    train, dev = (gather(data, SOURCES, split, heads, told["seed"]) for split in ("train", "dev"))
    return ship(shipment(), train, dev, vectors, told)
