"""The environment of a process that computes for minutes, on all cores of a machine.

No torch is loaded here: the variables must be there before it is.
"""

from __future__ import annotations

import os

_SPINS = 1_000  # turns of a loop, some microseconds


def computing_environment() -> dict[str, str]:
    """Return this process's environment, with threads that spin a moment and then sleep.

    A training's threads meet some thousand times a second. Where they sleep at once, two of them
    took twice as long as one over the same steps; where they spin on, two on cores that others
    use took four times as long. After a thousand turns they are as fast as one thread on busy
    cores, and a tenth to a quarter faster on free ones. What this process does itself
    (`OMP_WAIT_POLICY`, which GNU's OpenMP heeds only where no number of turns is given) is not
    passed on.
    """
    return {**os.environ, "GOMP_SPINCOUNT": str(_SPINS)}
