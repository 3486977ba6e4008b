"""A training's state in one safetensors file, so that it can go on where it stopped.

Tensors carry a prefix for what they are of (`model/`, `average/`, `best/`, `optimizer/`); what
is not a tensor stands as JSON in the file's metadata. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sequence.errors import CheckpointError

State = dict[str, Tensor]


def save_checkpoint(path: Path, states: dict[str, State], facts: dict[str, Any]) -> None:
    """Write named tensor states and JSON facts to `path`; whole, or not at all."""
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group, state in states.items()
        for name, tensor in state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path) -> tuple[dict[str, State], dict[str, Any]]:
    """Return the states and facts of a checkpoint; CheckpointError when it is none."""
    states: dict[str, State] = {}
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            for key in list(file.keys()):
                group, name = key.split("/", 1)
                states.setdefault(group, {})[name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of ours: {error}") from error
    return states, facts


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return the optimizer's tensors by parameter number; settings are written elsewhere."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Put the tensors of `optimizer_state` back into a new optimizer of the same parameters."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for key, tensor in state.items():
        number, name = key.split("/", 1)
        whole["state"].setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict(whole)
