"""weights/email: spam, whether an answer is wanted, and whose work it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather

# A customer-support queue is some team's; no public set says which team a real mail is for.
_QUEUES = {
    "ACCOUNT": "accounts",
    "NEWSLETTER": "accounts",
    "ORDER": "orders",
    "DELIVERY": "orders",
    "SHIPPING_ADDRESS": "orders",
    "CANCELLATION_FEE": "orders",
    "INVOICE": "billing",
    "PAYMENT": "billing",
    "REFUND": "billing",
    "CONTACT": "customer_care",
    "FEEDBACK": "customer_care",
}
_LEGAL = {"legal advice", "regulations and regulators (includes price caps)"}
_MANAGEMENT = {
    "internal projects -- progress and strategy",
    "internal company operations",
    "internal company policy",
    "alliances / partnerships",
    "meeting minutes",
}


def _mailing_list(row: Row) -> dict[str, str]:
    found = {"spam": row["label"]}
    if row["label"] == "ham":
        found["team"] = "other"
    return found


def _bitext(row: Row) -> dict[str, str]:
    return {"team": _QUEUES[row["queue"]], "spam": "ham"}


def _enron(row: Row) -> dict[str, str]:
    topics = set(row["topics"])
    found = {"spam": "ham"}
    if row["label"].startswith("Employment"):
        found["team"] = "hr"
    elif topics & _LEGAL:
        found["team"] = "legal"
    elif topics & _MANAGEMENT:
        found["team"] = "management"
    elif row["label"].startswith("Purely Personal"):
        found["team"] = "other"
    return found


SOURCES = (
    Source("email_request", lambda row: {"wants_answer": row["label"]}),
    Source("mailinglists", _mailing_list),
    Source("enron_categories", _enron),
    Source("bitext_support", _bitext, most=2500),
    Source(
        "it_tickets_assignment",
        lambda _: {"team": "it_support", "spam": "ham"},
        text=lambda row: str(row["title"]),
        most=1500,
    ),
    Source("newsgroups20", lambda _: {"team": "other", "spam": "ham"}, most=1500),
)


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="email",
        kind="email",
        version="1",
        heads={
            "spam": ("spam", "ham"),
            "wants_answer": ("yes", "no"),
            "team": (
                *("accounts", "billing", "customer_care", "hr", "it_support", "legal"),
                *("management", "orders", "other"),
            ),
        },
        recipe=Recipe(
            epochs=6,
            balance=0.2,
            features=FeatureSettings(general_words=20_000, document_words=25_000, ngrams=60_000),
        ),
        licence=(
            "mailinglists: PDDL 1.0 / CC0 as packaged; email_request: Apache 2.0; bitext_support: "
            "CDLA-Sharing 1.0; enron_categories, it_tickets_assignment and newsgroups20: licence "
            "not stated at the source (amber)"
        ),
        about="""
Reads an email: `spam` or ham, whether somebody `wants_answer` (asked sentence by sentence: one that
asks is enough; quoted text is left out where the mail says what is quoted), and which `team` it is
for.

There is no public set of business mail with the team it went to. `team` is put together from other
sets: a shop's support queues (accounts, billing, customer_care, orders; texts from templates),
titles of real IT tickets (it_support), topics and genres that annotators gave to mail of one
company in 2001 (legal, management, hr; a few hundred mails), and mailing lists and newsgroups
(other). Every team comes from a source of its own, so the model may know teams by their source's
style, and dev, drawn from the same sources, says more than the model deserves. Take it as a start:
train on your own mail.

`wants_answer` was learned from single sentences, and `spam` from mail of 2002. Bad at: today's
phishing, newsletters one has asked for, polite requests without a question, any language but
English.
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/email and return its folder."""
    heads = ("spam", "wants_answer", "team")
    train, dev = (gather(data, SOURCES, split, heads, told["seed"]) for split in ("train", "dev"))
    return ship(shipment(), train, dev, vectors, told)
