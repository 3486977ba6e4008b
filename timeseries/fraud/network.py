"""The sequence model for fraud: a card's last transactions, attended to by the new one.

A GRU (or LSTM, or any encoder of `sequence`) reads the transactions before, the new one's
features ask which of them matter (additive attention, Bahdanau et al. 2015), and both together
give the odds of fraud.

Shapes: B transactions, T steps before, S size of a step, F features, H encoder size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sequence import Padded
from sequence.encoder import EncoderConfig, EncoderName, build_encoder


class FraudNetwork(nn.Module):
    """Return the log odds of fraud and the attention on each transaction before."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the network is made of."""

        features: int
        step_size: int
        encoder: EncoderName = "gru"
        hidden_size: int = 32
        num_layers: int = 1
        width: int = 64
        dropout: float = 0.1

    centre: Tensor  # of the training's features
    spread: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("centre", torch.zeros(config.features))
        self.register_buffer("spread", torch.ones(config.features))
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
        self.now = nn.Sequential(
            nn.Linear(config.features, config.width),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
        )
        self.key, self.question = nn.Linear(size, 32), nn.Linear(config.width, 32, bias=False)
        self.weigh = nn.Linear(32, 1, bias=False)
        self.out = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.width + size, config.width),
            nn.ReLU(),
            nn.Linear(config.width, 1),
        )

    def normalise(self, features_BF: Tensor) -> Tensor:
        """Return features tamed for a network: signed logarithms, then standardised."""
        tamed_BF = torch.sign(features_BF) * torch.log1p(features_BF.abs())
        return ((tamed_BF - self.centre) / self.spread).clamp(-6, 6)

    def fit_scale(self, features_BF: Tensor) -> None:
        """Take the features' mean and spread from the training rows."""
        tamed_BF = torch.sign(features_BF) * torch.log1p(features_BF.abs())
        self.centre.copy_(tamed_BF.mean(0))
        self.spread.copy_(tamed_BF.std(0).clamp_min(1e-3))

    def forward(self, features_BF: Tensor, before_BTS: Padded) -> tuple[Tensor, Tensor]:
        """Return the log odds (B,) and the weight of each step before (B, T); 0 in padding."""
        now_BW = self.now(self.normalise(features_BF))
        h_BTH = self.encoder(before_BTS)
        score_BT = self.weigh(
            torch.tanh(self.key(h_BTH.values) + self.question(now_BW).unsqueeze(1))
        ).squeeze(2)
        mask_BT = before_BTS.mask
        # one more place, of score 0, to look at nothing: a new card has no steps at all
        score_BT = score_BT.masked_fill(~mask_BT, torch.finfo(score_BT.dtype).min)
        open_B1 = score_BT.new_zeros(len(score_BT), 1)
        weights_BT = torch.softmax(torch.cat([score_BT, open_B1], dim=1), dim=1)[:, :-1]
        weights_BT = weights_BT * mask_BT
        read_BH = torch.bmm(weights_BT.unsqueeze(1), h_BTH.values).squeeze(1)
        odds_B: Tensor = self.out(torch.cat([now_BW, read_BH], dim=1)).squeeze(1)
        return odds_B, weights_BT
