"""Values and lengths together: what a Padded keeps, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sequence import Padded


@given(st.lists(st.integers(0, 7), min_size=1, max_size=5))
def test_sequences_come_back_as_they_went_in(lengths: list[int]) -> None:
    """Padding and its removal lose no step, of empty sequences either."""
    sequences = [torch.randn(length, 2) for length in lengths]

    back = Padded.from_list(sequences).to_list()

    assert all(torch.equal(a, b) for a, b in zip(sequences, back, strict=True))


def test_reversing_keeps_padding_behind() -> None:
    """A reversed sequence starts with its last real step, never with padding."""
    padded = Padded.from_list([torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])])

    assert padded.reversed().values.tolist() == [[2.0, 1.0, 0.0], [3.0, 2.0, 1.0]]
    assert torch.equal(padded.reversed().reversed().values, padded.values)


def test_clearing_removes_even_nan() -> None:
    """What stood in the padding is gone, also where multiplying by a mask would keep it."""
    values = torch.tensor([[[1.0], [float("nan")]]])

    assert Padded(values, torch.tensor([1])).cleared().values.tolist() == [[[1.0], [0.0]]]


def test_lengths_must_belong_to_the_values() -> None:
    """A length too few is refused where it happens, not three layers later."""
    with pytest.raises(ValueError, match="one length a row"):
        Padded(torch.zeros(2, 3), torch.tensor([3]))
    with pytest.raises(ValueError, match="no sequences"):
        Padded.from_list([])
