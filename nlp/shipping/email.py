"""weights/email: spam, whether an answer is wanted, and whose work it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.calibration import OUT_OF_SCOPE
from nlp.examples import Examples
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping import ticket
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather

CUSTOMERS = ("bitext_support", "clinc150", "banking77", "email_request")
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


def _newsgroup(row: Row) -> dict[str, str]:
    technical = row["label"].startswith("comp.") and row["label"] != "comp.graphics"
    return {"team": "it_support" if technical else "other", "spam": "ham"}


HEADS = ("spam", "wants_answer", "team")
SOURCES = (
    Source("email_request", lambda row: {"wants_answer": row["label"]}),
    Source("mailinglists", _mailing_list),
    Source("enron_categories", _enron),
    Source("newsgroups20", _newsgroup, most=2500),
)
TITLES = Source(
    "it_tickets_assignment",
    lambda _: {"team": "it_support", "spam": "ham"},
    text=lambda row: str(row["title"]),
    most=2000,
)


def _customers(found: Mapping[str, Examples], most: int, seed: int) -> Examples:
    """Return customers' wishes as mails (with greeting and company) to the team of their queue."""
    whole = ticket.joined(found[name] for name in CUSTOMERS)
    teams: list[str | None] = [
        "other" if queue == OUT_OF_SCOPE else _QUEUES[str(queue)] for queue in whole.labels["queue"]
    ]
    ham: list[str | None] = ["ham"] * len(whole)
    nothing: list[str | None] = [None] * len(whole)
    known = Examples(whole.texts, {"spam": ham, "wants_answer": nothing, "team": teams})
    return ticket.in_company(known, ticket.company(found), most, seed)


def _mix(
    data: Path, split: str, neighbours: ticket.Neighbours | None, seed: int
) -> tuple[dict[str, Examples], ticket.Neighbours]:
    found = gather(data, SOURCES, split, HEADS, seed)
    wishes, neighbours = ticket.mix(data, split, neighbours, seed)
    found["customers, in company"] = _customers(wishes, 6000 if split == "train" else 800, seed)
    titles = gather(data, [TITLES], split, HEADS, seed)["it_tickets_assignment"]
    found["it_tickets_assignment"] = titles
    found["it tickets, in company"] = ticket.in_company(
        titles, ticket.company(wishes), len(titles), seed
    )
    return found, neighbours


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="email",
        kind="email",
        version="2",
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
            features=FeatureSettings(
                general_words=20_000, document_words=25_000, ngrams=120_000, spelling=False
            ),
            solved=True,
        ),
        taught=("wants_answer",),
        licence=(
            "mailinglists: PDDL 1.0 / CC0 as packaged; email_request: Apache 2.0; bitext_support: "
            "CDLA-Sharing 1.0; banking77 and sentences_3domain: CC BY 4.0; clinc150: CC BY 3.0; "
            "enron_categories, it_tickets_assignment and newsgroups20: licence "
            "not stated at the source (amber)"
        ),
        about="""
Reads an email: `spam` or ham, whether somebody `wants_answer` (asked sentence by sentence: one that
asks is enough; quoted text is left out where the mail says what is quoted), and which `team` it is
for.

There is no public set of business mail with the team it went to. `team` is put together from
other sets: customers' wishes with the queues of a shop (accounts, billing, customer_care, orders;
templates, and real questions of other sets that MiniLM finds close to these), titles of real IT
tickets and newsgroups about computers (it_support), topics and genres that annotators gave to mail
of one company in 2001 (legal, management, hr; a few hundred mails), and mailing lists, other
newsgroups and questions that are no shop's business (other). Greetings and other sentences were put
around the short ones. Teams still differ by source, so dev, drawn from the same sources, says more
than the model deserves. Take it as a start: train on your own mail.

`wants_answer` was learned from single sentences, and `spam` from mail of 2002. Bad at: today's
phishing, newsletters one has asked for, polite requests without a question, any language but
English.
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/email and return its folder."""
    train, neighbours = _mix(data, "train", None, told["seed"])
    dev, _ = _mix(data, "dev", neighbours, told["seed"])
    return ship(shipment(), train, dev, vectors, told)
