"""One option picks the encoder: Elman, LSTM or GRU, from one end or both, or a transformer.

Shapes: B sequences, T steps, D input size, H output size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from sequence.padded import Padded
from sequence.recurrent import Cell, Recurrent
from sequence.transformer import Transformer

EncoderName = Literal["rnn", "lstm", "gru", "birnn", "bilstm", "bigru", "transformer", "none"]
ENCODERS: tuple[str, ...] = get_args(EncoderName)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which encoder, and its size. `hidden_size` is of one direction."""

    name: EncoderName = "bilstm"
    hidden_size: int = 128
    num_layers: int = 1
    dropout: float = 0.0
    heads: int = 4  # of a transformer


class Identity(nn.Module):
    """No encoder: every step keeps its own vector, so that pooling sees a bag of them."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, x_BTD: Padded) -> Padded:
        """Return the sequences as they came, with zeros in the padding."""
        return x_BTD.cleared()


Encoder = Recurrent | Transformer | Identity


def build_encoder(config: EncoderConfig, input_size: int) -> Encoder:
    """Return the encoder that `config` names; `.output_size` is H."""
    if config.name == "none":
        return Identity(input_size)
    if config.name == "transformer":
        return Transformer(
            Transformer.Config(
                input_size=input_size,
                hidden_size=config.hidden_size,
                num_layers=config.num_layers,
                heads=config.heads,
                dropout=config.dropout,
            )
        )
    if config.name not in ENCODERS:
        raise ValueError(f"no encoder {config.name!r}; there are {', '.join(ENCODERS)}")
    both = config.name.startswith("bi")
    cell: Cell = config.name.removeprefix("bi")  # type: ignore[assignment]
    return Recurrent(
        Recurrent.Config(
            input_size=input_size,
            cell=cell,
            hidden_size=config.hidden_size,
            num_layers=config.num_layers,
            bidirectional=both,
            dropout=config.dropout,
        )
    )
