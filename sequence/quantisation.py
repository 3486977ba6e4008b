"""Large tables as 8-bit integers, one scale a row; the rest as half floats.

For files only: a model computes in 32 bits. A row's largest value becomes 127, so that an entry
is off by at most half of the row's scale.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

_INTEGERS, _SCALES = ".int8", ".scale"


def compress(state: dict[str, Tensor], tables: Collection[str] = ()) -> dict[str, Tensor]:
    """Return `state` for a file: `tables` (two-dimensional) in 8 bits, other floats in 16."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if name in tables:
            scale_R = tensor.abs().amax(1).float() / 127
            safe_R1 = scale_R.clamp_min(1e-12).unsqueeze(1)
            packed[name + _INTEGERS] = (tensor / safe_R1).round().clamp(-127, 127).to(torch.int8)
            packed[name + _SCALES] = scale_R
        elif tensor.is_floating_point():
            packed[name] = tensor.half().contiguous()
        else:
            packed[name] = tensor.contiguous()
    return packed


def expand(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the 32-bit state that `compress` was given, as near as 8 and 16 bits come."""
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(_INTEGERS):
            base = name.removesuffix(_INTEGERS)
            state[base] = tensor.float() * packed[base + _SCALES].unsqueeze(1)
        elif tensor.is_floating_point() and not name.endswith(_SCALES):
            state[name] = tensor.float()
        elif not name.endswith(_SCALES):
            state[name] = tensor
    return state
