"""How well the intervals hold: each held-back round against errors of the other rounds.

Rows of one round err together (a spring in which everyone sells more): how many sales lay in
intervals can be told honestly only of rounds that they were not measured on.

Shapes: R rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from timeseries import intervals
from timeseries.demand.forecaster import Held
from timeseries.demand.scale import Aim
from timeseries.intervals import LEVELS, Conformal

Floats = npt.NDArray[np.float64]

FEWEST = 50  # rows that an error's quantiles need


def others(
    held: Held, centre: Floats, aim: Aim
) -> Iterator[tuple[npt.NDArray[np.bool_], Conformal]]:
    """Yield each round's rows, and intervals around `centre` measured on the other rounds.

    Nothing where there is one round only, or next to nothing beside it.
    """
    for number in np.unique(held.round):
        inside = held.round == number
        if (~inside).sum() < FEWEST:
            continue
        rest = (column[~inside] for column in (held.truth, centre, held.spread, held.ahead))
        yield inside, intervals.fit(*rest, logarithm=aim == "percentage")


def covered(held: Held, aim: Aim) -> dict[str, float]:
    """Return for each level (`0.8`, `0.95`) the share of held-back rows so covered."""
    inside: dict[float, list[npt.NDArray[np.bool_]]] = {level: [] for level in LEVELS}
    for rows, conformal in others(held, held.middle, aim):
        truth = held.truth[rows]
        for level, found in inside.items():
            low, high = conformal.interval(
                held.middle[rows], held.spread[rows], held.ahead[rows], level
            )
            found.append((truth >= low) & (truth <= high))
    return {
        f"{level:g}": float(np.concatenate(parts).mean())
        for level, parts in inside.items()
        if parts
    }
