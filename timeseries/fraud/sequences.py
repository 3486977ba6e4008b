"""A card's last transactions as a padded sequence, for many transactions at once.

Shapes: N transactions, K steps kept, S values of a step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from timeseries.fraud.features import DAY, STEP_NAMES, group_starts

Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

KEPT = 12  # transactions before the one that is scored
STEP_SIZE = len(STEP_NAMES) + 1  # and how long ago it was


class CardSequences:
    """Finds, for any transaction, the steps of its card's last transactions before it."""

    def __init__(self, card: Ints, seconds: Ints, steps: Floats32) -> None:
        order = np.lexsort((np.arange(len(card)), card))
        self.order, self.steps, self.seconds = order, steps, seconds
        _, position = group_starts(card[order])
        self.place = np.empty(len(card), dtype=np.int64)  # a row's place in the sorted rows
        self.place[order] = np.arange(len(card))
        self.before = np.empty(len(card), dtype=np.int64)  # how many of its card come before it
        self.before[order] = position

    def take(self, rows: Ints) -> tuple[Floats32, Ints]:
        """Return (len(rows), KEPT, STEP_SIZE) oldest first, and the lengths."""
        lengths = np.minimum(self.before[rows], KEPT)
        values = np.zeros((len(rows), KEPT, STEP_SIZE), dtype=np.float32)
        for back in range(KEPT):
            has = back < lengths
            there = self.order[self.place[rows[has]] - (lengths[has] - back)]
            values[has, back, :-1] = self.steps[there]
            ago = (self.seconds[rows[has]] - self.seconds[there]) / DAY
            values[has, back, -1] = np.log1p(ago)
        return values, lengths
