"""weights/ticket: queue and intent in a customer-support taxonomy, and what is outside of it.

The only public set of such a taxonomy is made of templates. A model of templates alone tells
templates from everything else, and calls every real customer out of scope. So real questions of
other sets join in: those that MiniLM finds close to some templates get the intent of these
(a teacher's label, not a person's), those that are like none are out of scope, and what lies
between is left out. And wishes come in company, with a greeting and other sentences around them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlp.calibration import OUT_OF_SCOPE
from nlp.examples import Examples
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.shipping._making import Shipment, ship
from nlp.shipping._sources import Row, Source, gather, joined

HEADS = ("queue", "intent")
TEMPLATES = "bitext_support"
ALIKE, UNLIKE = 0.62, 0.42  # cosine to the nearest template, from which and up to which
NEAREST, AGREED = 5, 4  # templates asked, and how many must have the same intent
WRAPPED = "in company"  # the name under which texts with sentences around them are measured

_GREETINGS = (
    "Hello,",
    "Hi,",
    "Hi there,",
    "Dear team,",
    "Good morning,",
    "Hey",
    "To whom it may concern:",
)
_CLOSINGS = (
    "Thanks",
    "Thank you",
    "Best regards,\nJane",
    "Cheers, Tom",
    "Regards",
    "Many thanks,\nA. Smith",
)


def _nothing(_: Row) -> dict[str, str]:
    return {"asked": "of MiniLM"}


REAL = (
    Source("clinc150", _nothing, most=6000),
    Source("banking77", _nothing, most=5000),
    Source("it_tickets_assignment", _nothing, text=lambda row: str(row["title"]), most=2000),
    Source("email_request", _nothing, most=2500),
    Source("sentences_3domain", _nothing, most=1000),
    Source("newsgroups20", _nothing, text=lambda row: str(row["text"])[:300], most=500),
)


def _bitext(row: Row) -> dict[str, str]:
    return {"queue": row["queue"], "intent": row["label"]}


class Neighbours:
    """What MiniLM finds close to the templates."""

    def __init__(self, templates: Examples, cache: Path) -> None:
        from nlp.teacher import SentenceEncoder

        self.encoder, self.cache = SentenceEncoder(), cache
        self.templates = templates
        self.intents = np.array(templates.labels["intent"])
        self.vectors = self._embed(templates.texts)

    def _embed(self, texts: Sequence[str]) -> Any:
        from nlp.teacher import embed

        return embed(texts, encoder=self.encoder, cache=self.cache, windows=1)

    def label(self, texts: Sequence[str]) -> Examples:
        """Return the texts that are clearly in or out of scope, with queue and intent."""
        queues = dict(
            zip(self.templates.labels["intent"], self.templates.labels["queue"], strict=True)
        )
        kept, labels = [], []
        close = self._embed(texts) @ self.vectors.T
        for text, row in zip(texts, close, strict=True):
            order = np.argsort(-row)[:NEAREST]
            names, counts = np.unique(self.intents[order], return_counts=True)
            best = str(names[counts.argmax()])
            if row[order[0]] <= UNLIKE:
                labels.append({"queue": OUT_OF_SCOPE, "intent": OUT_OF_SCOPE})
            elif row[order[0]] >= ALIKE and counts.max() >= AGREED:
                labels.append({"queue": str(queues[best]), "intent": best})
            else:
                continue
            kept.append(text)
        return Examples(kept, {head: [answer[head] for answer in labels] for head in HEADS})


def in_company(examples: Examples, company: Sequence[str], count: int, seed: int) -> Examples:
    """Return `count` of the texts with a greeting, other sentences and a closing around them."""
    generator = np.random.default_rng([seed, 5])
    rows = generator.permutation(len(examples))[:count]
    chosen = examples.select(rows)
    texts = []
    for text in chosen.texts:
        before = [str(s) for s in generator.choice(company, generator.integers(0, 3))]
        after = [str(s) for s in generator.choice(company, generator.integers(0, 2))]
        body = " ".join([*before, text[:1].upper() + text[1:].rstrip(".") + ".", *after])
        greeting = str(generator.choice(_GREETINGS)) if generator.random() < 0.7 else ""
        closing = str(generator.choice(_CLOSINGS)) if generator.random() < 0.6 else ""
        gap = "\n\n" if generator.random() < 0.6 else " "
        texts.append(gap.join(part for part in (greeting, body, closing) if part))
    return Examples(texts, chosen.labels)


def mix(
    data: Path, split: str, neighbours: Neighbours | None, seed: int
) -> tuple[dict[str, Examples], Neighbours]:
    """Return a split's examples by source; training's templates are what all texts are held to."""
    found = gather(data, [Source(TEMPLATES, _bitext)], split, HEADS, seed)
    if neighbours is None:
        neighbours = Neighbours(found[TEMPLATES], Path(tempfile.gettempdir()) / "mailroom-teacher")
    for name, examples in gather(data, REAL, split, ("asked",), seed).items():
        found[name] = neighbours.label(examples.texts)
    whole = joined(found.values())
    found[WRAPPED] = in_company(whole, company(found), len(whole) // 2, seed)
    return found, neighbours


def company(found: Mapping[str, Examples]) -> list[str]:
    """Return short sentences that no queue is concerned with."""
    return [
        text
        for name in ("email_request", "sentences_3domain")
        for text, intent in zip(found[name].texts, found[name].labels["intent"], strict=True)
        if intent == OUT_OF_SCOPE and len(text) < 120
    ]


def shipment() -> Shipment:
    """Return what the model is made of."""
    return Shipment(
        name="ticket",
        kind="ticket",
        version="1",
        recipe=Recipe(
            epochs=8,
            balance=0.2,
            teacher="none",  # its labels are a teacher's already
            out_of_scope=OUT_OF_SCOPE,
            false_rejection=0.015,  # in and out are far apart: no need to turn away one in twenty
            features=FeatureSettings(general_words=25_000, ngrams=40_000),
        ),
        licence=(
            "bitext_support: CDLA-Sharing 1.0; clinc150: CC BY 3.0; banking77 and "
            "sentences_3domain: CC BY 4.0; email_request: Apache 2.0; it_tickets_assignment and "
            "newsgroups20: licence not stated at the source (amber)"
        ),
        about=f"""
Reads a customer's message to a shop: `queue` (11 departments) and `intent` (27 wishes), or that it
is out of scope: no business of that taxonomy.

The taxonomy is that of `bitext_support`, whose texts are templates with blanks filled in. Scores on
it say little: dev is made of the same templates. The texts of the other sets are real. Nobody
labelled them for this taxonomy: MiniLM did. Those close to the templates (cosine of at least
{ALIKE}, {AGREED} of the {NEAREST} nearest of one intent) got that intent, those far from all (at
most {UNLIKE}) are out of scope, the rest was left out. So scores on them say how well the model
agrees with MiniLM on clear cases, and not how it does on unclear ones. `{WRAPPED}` are texts of all
sets with greetings and other people's sentences around them.

Bad at: messages with several wishes (it names one), anything between two intents, wishes that no
template has, any language but English. For a real help desk train a model on your own labels
(`mailroom train`).
""",
    )


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/ticket and return its folder."""
    train, neighbours = mix(data, "train", None, told["seed"])
    dev, _ = mix(data, "dev", neighbours, told["seed"])
    return ship(shipment(), train, dev, vectors, told)
