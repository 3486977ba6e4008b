"""The sequence model for demand: an encoder over the past, a direct decoder for every step ahead.

One network for all series. An encoder of `sequence` (LSTM, GRU, Elman or transformer, one
option) reads a series' last steps, scaled to the series; attention and the last state sum them
up; a decoder answers each moment ahead at once from that, what is known of the moment
(calendar, promotion, price, holidays, and the same features the trees get) and embeddings of
the series and its facts. It gives a point forecast and quantiles (multi-horizon quantile
forecasts: Wen et al. 2017; entity embeddings: Guo and Berkhahn 2016).

Shapes: B series at an origin, L steps of the past, C values of a step, R rows asked, F features,
K categories, Q quantiles, H encoder size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sequence import Padded
from sequence.encoder import EncoderConfig, EncoderName, build_encoder
from sequence.pooling import build_pooling

QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


class DemandNetwork(nn.Module):
    """Return a point and quantiles, in the model's scale, for each row asked."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the network is made of."""

        features: int
        step_size: int
        categories: tuple[int, ...] = ()  # how many values each category has
        series: int = 0  # series with an embedding of their own; 0: none
        encoder: EncoderName = "gru"
        hidden_size: int = 48
        num_layers: int = 1
        width: int = 128
        dropout: float = 0.1

    centre: Tensor  # of the training's features
    spread: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("centre", torch.zeros(config.features))
        self.register_buffer("spread", torch.ones(config.features))
        bidirectional = config.encoder.startswith("bi")
        self.encoder = build_encoder(
            EncoderConfig(
                name=config.encoder,
                hidden_size=config.hidden_size,
                num_layers=config.num_layers,
                dropout=config.dropout if config.num_layers > 1 else 0.0,
            ),
            config.step_size,
        )
        size = self.encoder.output_size
        self.last = build_pooling("last", size, bidirectional=bidirectional)
        self.attention = build_pooling("attention", size)
        sizes = [(count + 1, min(16, 2 + count // 4)) for count in config.categories]
        self.facts = nn.ModuleList(nn.Embedding(count, width) for count, width in sizes)
        self.own = nn.Embedding(config.series + 1, 12) if config.series else None
        inside = config.features + 2 * size + sum(width for _, width in sizes)
        inside += 12 if config.series else 0
        self.decoder = nn.Sequential(
            nn.Linear(inside, config.width),
            nn.LayerNorm(config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, 1 + len(QUANTILES)),
        )

    def fit_scale(self, features_RF: Tensor) -> None:
        """Take the features' mean and spread from training rows; NaN is left out."""
        known = torch.isfinite(features_RF)
        count = known.sum(0).clamp_min(1)
        clean = torch.where(known, features_RF, 0)
        self.centre.copy_(clean.sum(0) / count)
        gap = torch.where(known, features_RF - self.centre, 0)
        self.spread.copy_((gap.square().sum(0) / count).sqrt().clamp_min(1e-4))

    def forward(
        self,
        past_BLC: Padded,
        pair_R: Tensor,
        features_RF: Tensor,
        categories_RK: Tensor,
        series_R: Tensor,
    ) -> Tensor:
        """Return (R, 1 + Q): the point, then the quantiles in order.

        `pair_R` says which of the B pasts a row belongs to; categories are codes from 1, 0 for
        unknown, and so are series.
        """
        read_BLH = self.encoder(past_BLC)
        summary_BH = torch.cat([self.last(read_BLH), self.attention(read_BLH)], dim=1)
        scaled_RF = ((features_RF - self.centre) / self.spread).clamp(-5, 5)
        parts = [torch.nan_to_num(scaled_RF), summary_BH[pair_R]]
        parts += [table(categories_RK[:, i]) for i, table in enumerate(self.facts)]
        if self.own is not None:
            parts.append(self.own(series_R))
        out_RQ = self.decoder(torch.cat(parts, dim=1))
        # quantiles are the lowest plus steps upwards, so that they never cross
        lowest_R1, steps_RQ = out_RQ[:, 1:2], nn.functional.softplus(out_RQ[:, 2:])
        quantiles_RQ = torch.cat([lowest_R1, lowest_R1 + steps_RQ.cumsum(1)], dim=1)
        return torch.cat([out_RQ[:, :1], quantiles_RQ], dim=1)


def quantile_loss(quantiles_RQ: Tensor, target_R: Tensor) -> Tensor:
    """Return the mean pinball loss over rows and `QUANTILES`."""
    levels_Q = torch.tensor(QUANTILES, device=target_R.device)
    error_RQ = target_R.unsqueeze(1) - quantiles_RQ
    return torch.maximum(levels_Q * error_RQ, (levels_Q - 1) * error_RQ).mean()
