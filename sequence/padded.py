"""Sequences of different lengths in one tensor, with the lengths beside it.

Shapes: B sequences, T steps (of the longest), anything after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Padded:
    """`values` is (B, T, ...), `lengths` (B,) says how many steps of each row are real.

    What stands behind a row's length is padding: no layer of this room lets it reach a result.
    """

    values: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        """Refuse tensors that cannot belong together (shapes only: cheap on any device)."""
        if self.values.dim() < 2 or self.lengths.shape != self.values.shape[:1]:
            raise ValueError(
                f"values of shape {tuple(self.values.shape)} need one length a row, "
                f"not lengths of shape {tuple(self.lengths.shape)}"
            )

    @classmethod
    def from_list(cls, sequences: Sequence[Tensor], *, padding: float = 0.0) -> Padded:
        """Return the sequences, each (T_i, ...), as one Padded; a T_i may be 0."""
        if not sequences:
            raise ValueError("no sequences to pad")
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        values = torch.nn.utils.rnn.pad_sequence(
            list(sequences), batch_first=True, padding_value=padding
        )
        return cls(values, lengths.to(values.device))

    @cached_property
    def mask(self) -> Tensor:
        """(B, T), True where a step is real."""
        steps_T = torch.arange(self.values.shape[1], device=self.values.device)
        return steps_T < self.lengths.unsqueeze(1)

    def with_values(self, values: Tensor) -> Padded:
        """Return other values of the same sequences: the lengths stay."""
        return Padded(values, self.lengths)

    @cached_property
    def full(self) -> bool:
        """Whether no row has padding: known on a CPU only, for looking would stop a GPU."""
        if self.values.device.type != "cpu" or not len(self.lengths):
            return False
        return int(self.lengths.min()) == self.values.shape[1]

    def cleared(self) -> Padded:
        """Return the same sequences with zeros in the padding, whatever stood there."""
        if self.full:
            return self
        extra = (1,) * (self.values.dim() - 2)
        return self.with_values(
            self.values.masked_fill(~self.mask.view(*self.mask.shape, *extra), 0)
        )

    def reversed(self) -> Padded:
        """Return every sequence's real steps in reverse order; padding stays behind them.

        Applied twice it gives the sequences back. A layer that reads forwards reads this
        backwards, without ever starting in the padding.
        """
        steps_T = torch.arange(self.values.shape[1], device=self.values.device)
        last_B1 = self.lengths.unsqueeze(1) - 1
        order_BT = torch.where(steps_T <= last_B1, last_B1 - steps_T, steps_T)
        # whole steps are copied: gather would look each of their numbers up
        starts_B1 = torch.arange(len(self.values), device=self.values.device).unsqueeze(1)
        rows = (order_BT + starts_B1 * self.values.shape[1]).flatten()
        return self.with_values(
            self.values.flatten(0, 1).index_select(0, rows).view(self.values.shape)
        )

    def to(self, device: torch.device | str) -> Padded:
        """Return the same sequences on `device`."""
        return Padded(
            self.values.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True)
        )

    def to_list(self) -> list[Tensor]:
        """Return each sequence with its real steps only."""
        return [
            row[:length] for row, length in zip(self.values, self.lengths.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.values)
