"""Embedding, BiLSTM, attention and max pooling beside a bag of hashed n-grams; one head a question.

The two branches each give class scores, and the scores add up: what each word contributed to an
answer can be told exactly, and on dev the two are weighed against each other.

Shapes: G documents, C parts of them, T words of a part, D word vector, H encoder state,
P pooled vector, F n-grams, L labels of all heads together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nlp.batch import TextBatch
from nlp.lexicon import UNKNOWN
from sequence import Padded
from sequence.encoder import EncoderConfig, build_encoder
from sequence.pooling import Summary, build_pooling
from sequence.training import TrainingSettings

if TYPE_CHECKING:
    from nlp.reader import ModelReader
    from sequence.artifact import Artifact

_LARGE = 1_000_000  # entries past which moving a whole table every step costs more than the rest
_SLICE = 32_768  # padded words whose states are in memory at once, of a very long document


class Scores(NamedTuple):
    """Class scores of both branches (G, L); a branch that is not there is None."""

    sequence: Tensor | None
    ngrams: Tensor | None

    @property
    def total(self) -> Tensor:
        """The sum of the branches there are."""
        return torch.stack([branch for branch in self if branch is not None]).sum(0)


class Told(NamedTuple):
    """What was found on the way to the scores: evidence is made of it."""

    states: Padded  # of every word of every part (C, T, H)
    parts: list[Summary]  # what each pooling chose among them
    pooled: Tensor  # one vector a document (G, P)


class TextClassifier(nn.Module):
    """Class scores of every head for a batch of documents."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the model is made of."""

        words: int  # rows of the word table; row 0 is the unknown word
        word_size: int = 100
        encoder: EncoderConfig = field(default_factory=EncoderConfig)
        poolings: tuple[str, ...] = ("attention", "max")
        ngrams: int = 0  # rows of the n-gram table; 0: no such branch
        ngram_size: int = 0  # 0: scores straight from the table; else vectors of this size
        heads: Mapping[str, int]  # labels of each
        dropout: float = 0.4  # of word vectors (half of it) and of pooled ones
        word_dropout: float = 0.05  # words read as unknown while training

        def to_json(self) -> dict[str, Any]:
            """Return plain values."""
            return asdict(self) | {"heads": dict(self.heads), "poolings": list(self.poolings)}

        @classmethod
        def from_json(cls, values: Mapping[str, Any]) -> TextClassifier.Config:
            """Return the config that `to_json` wrote."""
            known = dict(values)
            known["encoder"] = EncoderConfig(**known["encoder"])
            known["poolings"] = tuple(known["poolings"])
            return cls(**known)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        labels = sum(config.heads.values())
        self.labels = labels
        self.word_vectors = _table(config.words, config.word_size)
        nn.init.normal_(self.word_vectors.weight, std=0.1)
        self.encoder = build_encoder(config.encoder, config.word_size)
        size = self.encoder.output_size
        both = config.encoder.name.startswith("bi")
        poolings = [build_pooling(name, size, bidirectional=both) for name in config.poolings]
        self.poolings = nn.ModuleList(poolings)
        pooled = sum(pooling.output_size for pooling in poolings)
        self.head = nn.Linear(pooled, labels) if pooled else None
        self.ngram_table: nn.Embedding | None = None
        self.ngram_head: nn.Linear | None = None
        if config.ngrams:
            self.ngram_table = _table(config.ngrams, config.ngram_size or labels)
            nn.init.zeros_(self.ngram_table.weight)
            if config.ngram_size:
                nn.init.normal_(self.ngram_table.weight, std=0.1)
                self.ngram_head = nn.Linear(config.ngram_size, labels, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.word_dropout = nn.Dropout(config.dropout / 2)

    def states(self, batch: TextBatch) -> Padded:
        """Return the encoder's state at every word of every part (C, T, H)."""
        ids_CT = batch.words_CT.values
        if self.training and self.config.word_dropout:
            lost = torch.rand(ids_CT.shape, device=ids_CT.device) < self.config.word_dropout
            ids_CT = ids_CT.masked_fill(lost, UNKNOWN)
        return self.encode(batch.words_CT.with_values(self.word_vectors(ids_CT)))

    def encode(self, vectors_CTD: Padded) -> Padded:
        """Return the encoder's states for word vectors."""
        dropped = vectors_CTD.with_values(self.word_dropout(vectors_CTD.values))
        states: Padded = self.encoder(dropped)
        return states

    def pool(self, states_CTH: Padded, parts_G: Tensor) -> Tensor:
        """Return one vector a document (G, P), over all of its parts."""
        pooled = [
            pooling.pool_parts(states_CTH, parts_G)  # type: ignore[operator]
            for pooling in self.poolings
        ]
        return torch.cat(pooled, dim=1)

    def keep_ngrams(self, scores_FL: Tensor) -> None:
        """Give every n-gram its class scores, once and for all: training leaves them as they are.

        Only for a branch that scores straight from its table (`ngram_size` 0).
        """
        if self.ngram_table is None or self.ngram_head is not None:
            raise ValueError("this model's n-grams have no scores of their own")
        with torch.no_grad():
            self.ngram_table.weight.copy_(scores_FL)
        self.ngram_table.weight.requires_grad_(False)

    @property
    def keeps_ngrams(self) -> bool:
        """Whether training leaves the n-gram branch as it is."""
        return self.ngram_table is not None and not self.ngram_table.weight.requires_grad

    def ngram_scores(self, batch: TextBatch) -> Tensor | None:
        """Return the n-gram branch's class scores (G, L)."""
        if self.ngram_table is None:
            return None
        bags = functional.embedding_bag(
            batch.rows_F,
            self.ngram_table.weight,
            batch.offsets_G,
            mode="sum",
            per_sample_weights=batch.weights_F.to(self.ngram_table.weight.dtype),
            sparse=self.ngram_table.sparse,
        )
        return bags if self.ngram_head is None else self.ngram_head(self.dropout(bags))

    def forward(self, batch: TextBatch) -> Scores:
        """Return the class scores of both branches; in training, of those that learn."""
        ngrams = None if self.training and self.keeps_ngrams else self.ngram_scores(batch)
        if self.head is None:
            return Scores(None, ngrams)
        pooled_GP = self.pool(self.states(batch), batch.parts_G)
        return Scores(self.head(self.dropout(pooled_GP)), ngrams)

    def scores_and_states(self, batch: TextBatch, *, keep: int) -> tuple[Scores, Told | None]:
        """Return what `forward` does, and what is behind it, for reading only.

        The encoder goes over the parts in slices, so that a document of any length is read in
        bounded memory; states of more than `keep` words are let go (None).
        """
        ngrams = self.ngram_scores(batch)
        if self.head is None:
            return Scores(None, ngrams), None
        steps = max(1, batch.words_CT.values.shape[1])
        rows = max(1, _SLICE // steps)
        if len(batch.words_CT) * steps > keep:
            return Scores(self.head(self._pool_in_slices(batch, rows)), ngrams), None
        states = self.states(batch)
        parts = [pooling.summarise(states) for pooling in self.poolings]  # type: ignore[operator]
        pooled = [
            pooling.merged(own, batch.parts_G)  # type: ignore[operator]
            for pooling, own in zip(self.poolings, parts, strict=True)
        ]
        pooled_GP = torch.cat(pooled, dim=1)
        return Scores(self.head(pooled_GP), ngrams), Told(states, parts, pooled_GP)

    def scores_and_pooled(self, batch: TextBatch) -> tuple[Scores, Tensor | None]:
        """Return what `forward` does and one vector a document (G, P), for reading only."""
        ngrams = self.ngram_scores(batch)
        if self.head is None:
            return Scores(None, ngrams), None
        steps = max(1, batch.words_CT.values.shape[1])
        pooled_GP = self._pool_in_slices(batch, max(1, _SLICE // steps))
        return Scores(self.head(pooled_GP), ngrams), pooled_GP

    def _pool_in_slices(self, batch: TextBatch, rows: int) -> Tensor:
        """Return one vector a document (G, P), holding no more than `rows` parts' states."""
        found: list[list[Summary]] = [[] for _ in self.poolings]
        words = zip(
            batch.words_CT.values.split(rows), batch.words_CT.lengths.split(rows), strict=True
        )
        for ids, lengths in words:
            states = self.encode(Padded(self.word_vectors(ids), lengths))
            for pooling, own in zip(self.poolings, found, strict=True):
                own.append(pooling.summarise(states))  # type: ignore[operator]
        return torch.cat(
            [
                pooling.merge(Summary.joined(own), batch.parts_G)  # type: ignore[operator]
                for pooling, own in zip(self.poolings, found, strict=True)
            ],
            dim=1,
        )

    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """Return parameters by how fast they may move: tables apart from layers.

        A word's vector starts from something known and moves slowly; an n-gram's score of a
        label starts from nothing and is seen seldom. (Not so an n-gram's vector, from which a
        layer makes scores: at ten times the rate it has the answer by heart before the encoder
        has learned, which on banking77 ended training after one epoch.) Weight decay would pull
        tables to zero between sightings.
        """
        ngram_rate = 1.0 if self.config.ngram_size else 10.0
        tables = {"word_vectors.weight": 0.5, "ngram_table.weight": ngram_rate}
        groups: list[dict[str, Any]] = [{"params": []}]
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            if name in tables:
                rate = settings.learning_rate * tables[name]
                sparse = parameter.numel() > _LARGE
                groups.append(
                    {"params": [parameter], "lr": rate, "weight_decay": 0.0, "sparse": sparse}
                )
            else:
                groups[0]["params"].append(parameter)
        return [group for group in groups if group["params"]]

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tensors that are kept in 8 bits."""
        return ("word_vectors.weight", "ngram_table.weight")


def _table(rows: int, size: int) -> nn.Embedding:
    """Return a table; the gradient of a large one names only the rows that a batch holds."""
    return nn.Embedding(rows, size, sparse=rows * size > _LARGE)


def make_reader(artifact: Artifact, *, kind: str, device: torch.device) -> ModelReader:
    """Return the reader of a weights folder of this model."""
    from nlp.classifier_reader import make_reader as make  # it builds on this module

    return make(artifact, kind=kind, device=device)
