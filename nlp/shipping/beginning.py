"""weights/beginning: what every training of one's own begins from.

Sentences of the public sets' training rows, as they stand, and what MiniLM makes of them; no
label is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from nlp.beginning import NAME, TABLE, WORDS, Beginning
from nlp.models.text_classifier import TextClassifier
from nlp.pretraining import Meanings, PretrainingSettings, pretrain
from nlp.sentences import sentences
from nlp.shipping._making import say_progress
from nlp.shipping._sources import rows
from nlp.teacher import SentenceEncoder, embed
from nlp.tokens import words
from nlp.vectors import read_vectors
from nlp.weights import SHIPPED
from sequence.artifact import save_artifact
from sequence.quantisation import compress
from sequence.training import History

SETS = {  # fields that are read
    "imdb": ("text",),
    "sst2": ("text",),
    "reviews_multidomain": ("text",),
    "sentences_3domain": ("text",),
    "banking77": ("text",),
    "clinc150": ("text",),
    "bitext_support": ("text",),
    "it_tickets_anonymised": ("text",),
    "hadoop_priority": ("text",),
    "newsgroups20": ("text",),
    "mailinglists": ("text",),
    "enron_categories": ("text",),
    "email_request": ("text",),
    "cuad": ("text",),
    "contract_nli": ("text",),
    "sec_ner": ("text",),
    "it_tickets_assignment": ("title", "body"),
}
LICENCE = (
    "imdb, sst2, reviews_multidomain, newsgroups20, enron_categories and it_tickets_assignment: "
    "licence not stated at the source (amber); the other texts: open licences (CC BY 3.0 and 4.0, "
    "CDLA-Sharing 1.0, MIT, PDDL 1.0, Apache 2.0); vectors: PDDL 1.0; teacher: Apache 2.0"
)
_MOST = {"cuad": 30_000}  # characters of a text: contracts would outweigh everything else
_TOGETHER = 100  # words of some sentences that are read as one
_LONG, _CUT = 110, 600  # words past which a piece is cut, to so many characters
_ALONE = 0.6  # share of sentences that stay alone
_BLOCK = 20_000  # texts that the teacher's cache keeps together
_LINE_BREAK = re.compile(r"<br\s*/?>")


def texts(data: Path, seed: int) -> list[str]:
    """Return sentences and short runs of them, each once, in random order."""
    random = Random(seed)
    found: dict[str, str] = {}
    for name, fields in SETS.items():
        for row in rows(data, name, "train"):
            for field in fields:
                plain = _LINE_BREAK.sub("\n", str(row[field]))[: _MOST.get(name)]
                for piece in _pieces(plain, random):
                    found.setdefault(piece.lower(), piece)
    chosen = list(found.values())
    random.shuffle(chosen)
    return chosen


def _pieces(text: str, random: Random) -> Iterator[str]:
    """Yield the text's sentences: most alone, others in runs of two to five."""
    own = [text[start:end].replace("\n", " ") for start, end in sentences(text)]
    sizes = [len(words(sentence)) for sentence in own]
    start = 0
    while start < len(own):
        wanted = 1 if random.random() < _ALONE else random.randint(2, 5)
        end, size = start + 1, sizes[start]
        while end < min(len(own), start + wanted) and size + sizes[end] <= _TOGETHER:
            size += sizes[end]
            end += 1
        piece = " ".join(own[start:end])
        if size > _LONG:  # one sentence without an end: a list, a table
            piece = piece[:_CUT]
        letters = sum(character.isalpha() for character in piece)
        if len(words(piece)) >= 2 and letters >= len(piece.replace(" ", "")) / 2:
            yield piece
        start = end


def _meanings(asked: list[str]) -> Meanings:
    encoder, cache = SentenceEncoder(), user_cache_path("mailroom") / "teachers"
    blocks = [asked[start : start + _BLOCK] for start in range(0, len(asked), _BLOCK)]
    read = [embed(block, encoder=encoder, cache=cache, windows=1) for block in blocks]
    return np.concatenate(read).astype(np.float16)


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/beginning and return its folder."""
    asked = texts(data, told["seed"])
    known = {word for text in asked for word in words(text.lower())}
    network = TextClassifier.Config(words=0, heads={})
    begun, history = pretrain(
        asked,
        _meanings(asked),
        read_vectors(vectors, words=known),
        network,
        PretrainingSettings(seed=told["seed"]),
        on_step=say_progress,
    )
    return save(begun, history, len(asked))


def save(begun: Beginning, history: History, count: int) -> Path:
    """Write what was learned from so many texts, and return its folder."""
    folder = SHIPPED / NAME
    save_artifact(
        folder,
        config={
            "format": 1,
            "name": NAME,
            "version": "1",
            "model": None,
            "source": f"{begun.source}, and {count:,} sentences as MiniLM reads them",
            "languages": ["en"],
            "licence": LICENCE,
            "network": begun.network.to_json(),
            "history": history.to_json(),
        },
        tensors=compress(begun.state, [TABLE]),
        card=_card(count, len(begun.words), history.epochs[history.best_epoch - 1]),
        files={WORDS: "\n".join(begun.words).encode()},
        replace=True,
    )
    return folder


def _card(count: int, vocabulary: int, scores: Mapping[str, float]) -> str:
    return f"""# Beginning

{vocabulary:,} words with vectors of 100 numbers, a BiLSTM of 128 units a direction, and attention
and max pooling, taught to imitate the sentence encoder all-MiniLM-L6-v2 on {count:,} sentences
and short runs of them. No label was read. `mailroom train` begins from it, unless another shape
of network or other vectors (`--vectors`) are asked for.

On 2,000 sentences set aside, a linear map of its pooled vector has a mean cosine of
{scores["score"]:.3f} with the encoder's vector; {scores["found"]:.1%} of them are nearest to their
own of the 2,000.

Bad at: any language but English; meaning that hangs on words the vocabulary lacks.

## Data

Training rows of {", ".join(f"`{name}`" for name in SETS)}. {LICENCE}.

Made by `python -m nlp.shipping beginning --data FOLDER --vectors glove.6B.100d.f16.npy`.
"""
