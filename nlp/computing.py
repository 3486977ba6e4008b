"""The environment of a process that computes for minutes, on all cores of a machine.

No torch is loaded here: the variables must be there before it is.
"""

from __future__ import annotations

import os

_SPINS = 1_000  # turns of a loop, some microseconds


def computing_environment() -> dict[str, str]:
    """Return this process's environment, with threads that spin a moment and then sleep.

    A training's threads meet some thousand times a second. Where they sleep at once, two of them
    took up to twice as long as one over the same steps; where they spin on, two on cores that
    others use took four times as long. With a thousand turns they are up to a tenth faster than
    one on free cores (`benchmarks/results/batches.md`). GNU's OpenMP lets a number of turns
    overrule `OMP_WAIT_POLICY`, which a worker sets for itself.
    """
    return {**os.environ, "GOMP_SPINCOUNT": str(_SPINS)}
