"""How many threads the numbers of a process are worked on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sequence.device import set_threads

__all__ = ["one_thread", "set_threads"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute inside the block with one thread, for answers of a millisecond.

    On busy cores two threads wait for each other longer than both compute: a transaction took
    72 ms with two and 0.5 ms with one, at a load of eight on two cores.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
