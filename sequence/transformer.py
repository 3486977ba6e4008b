"""A small transformer encoder over padded sequences.

Shapes: B sequences, T steps, D input size, H model size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sequence.padded import Padded


def positions(steps: int, size: int, device: torch.device) -> Tensor:
    """Return sines and cosines (steps, size) that tell positions apart (Vaswani et al. 2017)."""
    step_T1 = torch.arange(steps, device=device, dtype=torch.float32).unsqueeze(1)
    half = (size + 1) // 2
    rate = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / max(half, 1)))
    return torch.cat([torch.sin(step_T1 * rate), torch.cos(step_T1 * rate)], dim=1)[:, :size]


class Transformer(nn.Module):
    """Pre-norm self-attention layers; no step attends to padding."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a transformer encoder is made of."""

        input_size: int
        hidden_size: int = 128
        num_layers: int = 2
        heads: int = 4
        dropout: float = 0.1

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.output_size = config.hidden_size
        self.project = nn.Linear(config.input_size, config.hidden_size)
        layer = nn.TransformerEncoderLayer(
            config.hidden_size,
            config.heads,
            dim_feedforward=2 * config.hidden_size,
            dropout=config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer,
            config.num_layers,
            norm=nn.LayerNorm(config.hidden_size),
            enable_nested_tensor=False,
        )

    def forward(self, x_BTD: Padded) -> Padded:
        """Return a vector of each step, H wide; zeros in the padding."""
        x_BTD = x_BTD.cleared()  # attention multiplies padding by 0: it must not be NaN
        h_BTH = self.project(x_BTD.values)
        if 0 in h_BTH.shape[:2]:
            return x_BTD.with_values(h_BTH)
        h_BTH = h_BTH + positions(h_BTH.shape[1], h_BTH.shape[2], h_BTH.device).to(h_BTH.dtype)
        padding_BT = ~x_BTD.mask
        padding_BT[:, 0] &= x_BTD.lengths > 0  # an empty row attends to itself, and is cleared
        y_BTH = self.layers(h_BTH, src_key_padding_mask=padding_BT)
        return x_BTD.with_values(y_BTH).cleared()
