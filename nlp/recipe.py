"""How a text classifier of one's own is trained: the options of `mailroom train`, and defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nlp.features import FeatureSettings
from sequence.encoder import EncoderConfig, EncoderName


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training does, besides its data."""

    encoder: EncoderName = "bilstm"
    hidden_size: int = 128
    num_layers: int = 1
    poolings: tuple[str, ...] = ("attention", "max")
    dropout: float = 0.4
    features: FeatureSettings | None = None  # None: by the length of the texts
    solved: bool | None = None  # n-gram branch solved before training; None: for long texts
    epochs: int | None = None  # None: by the amount of text
    patience: int = 5
    items: int = 32
    part_length: int = 128
    learning_rate: float = 2e-3
    average: float = 0.998  # of the weights over the steps; 0: none
    smoothing: float = 0.05  # of labels
    balance: float = 0.2  # 0: rows count alike; 1: labels count alike
    teacher: str = "auto"  # auto: where the extra `train` is installed; "none"; "frozen"
    trust: float = 0.5  # share of the teacher's opinion beside a label
    out_of_scope: str | None = None  # the label of rows that are no business of the model
    false_rejection: float = 0.05  # in-scope rows that may be taken for out of scope
    precision: float = 0.95  # what is not marked for review should be right so often
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @property
    def encoder_config(self) -> EncoderConfig:
        """The encoder that is asked for, and its size."""
        return EncoderConfig(
            name=self.encoder, hidden_size=self.hidden_size, num_layers=self.num_layers
        )

    def epochs_for(self, rows: int, words: int) -> int:
        """Return how often to go over the data: many times over little, few over much.

        Bounded by words read in all, which is what a training's time is made of, and by steps:
        small data needs enough of them.
        """
        if self.epochs is not None:
            return self.epochs
        by_words = 12_000_000 // max(1, words)
        by_steps = 6_000 * self.items // max(1, rows)
        # eight for what a teacher labelled: on banking77 dev still rose after four
        least = max(4, min(8, by_words, 700_000 // max(1, rows)))
        return int(min(max(least, min(by_words, by_steps)), 60))
