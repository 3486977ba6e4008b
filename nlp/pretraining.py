"""Teaching a network what sentences mean, without any label: it imitates a sentence encoder.

A head of the encoder's width stands on the pooled vector, and its direction is drawn towards the
encoder's own vector of the sentence (Tang et al. 2019 do so with class scores). Beside it every
sentence is to find its own vector among those of its batch, which keeps apart what means nearly
the same. The head is let go afterwards: what it stood on is what a training begins from.

Shapes: N texts, M width of the sentence encoder, G texts of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nlp.batch import make_batch
from nlp.beginning import LAYERS, TABLE, Beginning
from nlp.features import UNKNOWN_WORD, normalised, word_table
from nlp.fitting import Types, predict
from nlp.lexicon import Lexicon, NgramTable
from nlp.models.text_classifier import TextClassifier
from nlp.tokens import words
from nlp.vectors import WordVectors
from sequence.buckets import bucketed
from sequence.training import History, Progress, TrainingSettings, train

Meanings = NDArray[np.float16]  # unit vectors of a sentence encoder (N, M)

HEAD = "meaning"
_WEIGHT = 10.0  # of the direction's loss beside the finding's
_SHARPNESS = 20.0  # of similarities among which a sentence finds its own
_OFTEN = 20  # texts that a word without a vector must be in to get one
_OWN = 0.8  # share of the vocabulary for words of the texts; the rest: frequent ones of the vectors


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """How much is learned, and how."""

    vocabulary: int = 30_000
    items: int = 64
    steps: int = 8192  # padded words of a batch, at most
    part_length: int = 128
    aside: int = 2_000  # texts that only measure
    epochs: int = 4
    learning_rate: float = 2e-3
    dropout: float = 0.05
    seed: int = 0


class Imitation:
    """What `sequence.training.train` asks for: sentences, and what they should mean."""

    def __init__(
        self,
        model: TextClassifier,
        lexicon: Lexicon,
        documents: Types,
        meanings: Meanings,
        settings: PretrainingSettings,
    ) -> None:
        self.model, self.lexicon, self.settings = model, lexicon, settings
        aside = settings.aside
        self.dev, self.train = documents[:aside], documents[aside:]
        self.dev_meanings = torch.from_numpy(meanings[:aside]).float()
        self.meanings = torch.from_numpy(meanings[aside:])
        self.lengths = np.array([len(document) for document in self.train], dtype=np.int64)

    def batches(self, generator: np.random.Generator) -> Sequence[NDArray[np.int64]]:
        """Return row numbers of texts of like length, in a new order."""
        settings = self.settings
        return bucketed(self.lengths, items=settings.items, steps=settings.steps, shuffle=generator)

    def loss(self, batch: NDArray[np.int64]) -> Tensor:
        """Return how far the directions are off, and how hard they are to tell apart."""
        documents = [self.train[i] for i in batch]
        inputs = make_batch(documents, self.lexicon, part_length=self.settings.part_length)
        said_GM = functional.normalize(self.model(inputs).sequence.float(), dim=1)
        meant_GM = self.meanings[torch.from_numpy(batch)].float()
        off = 1 - (said_GM * meant_GM).sum(1).mean()
        found = functional.cross_entropy(
            _SHARPNESS * said_GM @ meant_GM.T, torch.arange(len(documents))
        )
        return _WEIGHT * off + found

    def score(self) -> dict[str, float]:
        """Return the mean cosine on texts set aside, and how many find their own among them."""
        scores = predict(self.model, self.lexicon, self.dev, self.settings.part_length).sequence
        if scores is None:
            raise ValueError("a model without an encoder has no meaning to imitate")
        alike = functional.normalize(scores, dim=1) @ self.dev_meanings.T
        own = torch.arange(len(self.dev))
        return {
            "score": float(alike.diagonal().mean()),
            "found": float((alike.argmax(1) == own).float().mean()),
        }


def pretrain(
    texts: Sequence[str],
    meanings: Meanings,
    vectors: WordVectors,
    network: TextClassifier.Config,
    settings: PretrainingSettings,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Beginning, History]:
    """Return what trainings may begin from: `network`'s layers, taught on texts in random order.

    The words of `network` and its head are chosen here.
    """
    documents = normalised([words(text) for text in texts])
    vocabulary = _vocabulary(documents, vectors, settings.vocabulary)
    lexicon = Lexicon(vocabulary, NgramTable.empty(), spelling=False, limit=10**9)
    config = {**network.to_json(), "words": len(vocabulary), "heads": {HEAD: meanings.shape[1]}}
    config["dropout"] = settings.dropout
    torch.manual_seed(settings.seed)
    model = TextClassifier(TextClassifier.Config.from_json(config))
    table = word_table(vocabulary, vectors, vectors.size, settings.seed)
    with torch.no_grad():
        model.word_vectors.weight.copy_(torch.from_numpy(table))
    task = Imitation(model, lexicon, lexicon.encode(documents), meanings, settings)
    history = train(
        model,
        task,
        TrainingSettings(
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            weight_decay=0.01,
            average=0.999,
            seed=settings.seed,
        ),
        on_step=on_step,
    )
    state = {k: v for k, v in model.state_dict().items() if k == TABLE or k.startswith(LAYERS)}
    return Beginning(vocabulary, model.config, state, vectors.source), history


def _vocabulary(documents: Sequence[Sequence[str]], vectors: WordVectors, size: int) -> list[str]:
    counts = Counter(word for document in documents for word in set(document))
    known = set(vectors.words)
    own = [word for word, n in counts.most_common() if word in known or n >= _OFTEN]
    chosen = dict.fromkeys([UNKNOWN_WORD, *own[: int(size * _OWN)], *vectors.words])
    return list(chosen)[:size]
