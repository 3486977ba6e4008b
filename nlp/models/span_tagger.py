"""Embedding, BiLSTM and attention over a window: which labels each of its words belongs to.

A word's score for a label is its own plus the window's: attention reads the whole window for
each label's sake and says whether such a clause is here at all; the words say where.

Shapes: B windows, T words, D word vector, H encoder state, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from nlp.lexicon import UNKNOWN
from sequence import Padded
from sequence.encoder import EncoderConfig, build_encoder
from sequence.training import TrainingSettings

if TYPE_CHECKING:
    from nlp.reader import ModelReader
    from sequence.artifact import Artifact


class TagBatch(NamedTuple):
    """Windows as numbers: word ids, hashed spellings and shapes, all (B, T)."""

    words_BT: Padded
    spellings_BT: Tensor
    shapes_BT: Tensor


class TagScores(NamedTuple):
    """Logits: of every word and label (B, T, L), and of every window and label (B, L)."""

    words: Tensor
    windows: Tensor


class SpanTagger(nn.Module):
    """Logits of every label for every word of a window."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the tagger is made of."""

        words: int  # rows of the word table; row 0 is the unknown word
        labels: int
        word_size: int = 100
        spellings: int = 4096  # rows of the table of hashed spellings
        spelling_size: int = 24
        shapes: int = 16
        shape_size: int = 8
        encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(hidden_size=160))
        dropout: float = 0.4
        word_dropout: float = 0.03

        def to_json(self) -> dict[str, Any]:
            """Return plain values."""
            return asdict(self)

        @classmethod
        def from_json(cls, values: Mapping[str, Any]) -> SpanTagger.Config:
            """Return the config that `to_json` wrote."""
            return cls(**(dict(values) | {"encoder": EncoderConfig(**values["encoder"])}))

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.word_vectors = nn.Embedding(config.words, config.word_size)
        self.spelling_vectors = nn.Embedding(config.spellings, config.spelling_size)
        self.shape_vectors = nn.Embedding(config.shapes, config.shape_size)
        for table in (self.word_vectors, self.spelling_vectors, self.shape_vectors):
            nn.init.normal_(table.weight, std=0.1)
        size = config.word_size + config.spelling_size + config.shape_size
        self.encoder = build_encoder(config.encoder, size)
        states = self.encoder.output_size
        self.keys = nn.Linear(states, config.labels)  # one attention a label
        self.readers = nn.Parameter(torch.randn(config.labels, states) * states**-0.5)
        self.bias = nn.Parameter(torch.full((config.labels,), -3.0))
        self.word_head = nn.Linear(states, config.labels)
        nn.init.constant_(self.word_head.bias, -3.0)
        self.dropout = nn.Dropout(config.dropout)
        self.input_dropout = nn.Dropout(config.dropout / 2)

    def forward(self, batch: TagBatch) -> TagScores:
        """Return the logits of words and of windows; what stands in the padding means nothing."""
        ids_BT = batch.words_BT.values
        if self.training and self.config.word_dropout:
            lost = torch.rand(ids_BT.shape, device=ids_BT.device) < self.config.word_dropout
            ids_BT = ids_BT.masked_fill(lost, UNKNOWN)
        x_BTD = torch.cat(
            [
                self.word_vectors(ids_BT),
                self.spelling_vectors(batch.spellings_BT),
                self.shape_vectors(batch.shapes_BT),
            ],
            dim=-1,
        )
        states = self.encoder(batch.words_BT.with_values(self.input_dropout(x_BTD)))
        y_BTH = self.dropout(states.values)
        keys_BTL = self.keys(y_BTH).masked_fill(~states.mask.unsqueeze(2), -1e4)
        read_BLH = keys_BTL.softmax(1).transpose(1, 2) @ y_BTH
        windows_BL = (read_BLH * self.readers).sum(2) + self.bias
        return TagScores(self.word_head(y_BTH) + windows_BL.unsqueeze(1), windows_BL)

    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """Return parameters by how fast they may move: known word vectors move slowly."""
        slow = [self.word_vectors.weight]
        rest = [p for n, p in self.named_parameters() if n != "word_vectors.weight"]
        return [
            {"params": rest},
            {"params": slow, "lr": settings.learning_rate * 0.3, "weight_decay": 0.0},
        ]

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tensors that are kept in 8 bits."""
        return ("word_vectors.weight", "spelling_vectors.weight")


def make_reader(artifact: Artifact, *, kind: str, device: torch.device) -> ModelReader:
    """Return the reader of a weights folder of this model."""
    from nlp.tagger_reader import make_tagger_reader  # it builds on this module

    return make_tagger_reader(artifact, kind=kind, device=device)
