"""One training loop for every sequence model.

Seeded and resumable (an epoch's randomness comes from the seed and the epoch's number alone, so
a resumed training takes the same steps as one that never stopped), gradient clipping, warm-up
and decay of the learning rate, a running average of the weights, early stopping on dev, mixed
precision on a GPU, a callback for progress, and the loss curve as a result.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sequence.checkpoint import (
    State,
    load_checkpoint,
    optimizer_state,
    restore_optimizer,
    save_checkpoint,
)
from sequence.device import multiplies_bfloat16
from sequence.errors import CheckpointError, SequenceError

Batch = TypeVar("Batch")
_AVERAGE_EVERY = 10  # steps


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train; what is trained stands in the model's own config."""

    epochs: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 1.0  # of all gradients together; 0: no clipping
    warmup: float = 0.05  # share of the training in which the rate climbs from 0
    decay: Literal["none", "linear", "cosine"] = "linear"
    patience: int = 3  # epochs without a better score before it stops; 0: never
    average: float = 0.0  # running average of the weights: 0.999 keeps that much a step; 0: none
    seed: int = 0
    mixed_precision: bool = True  # on a GPU, and on a CPU that multiplies bfloat16 natively


class Task(Protocol[Batch]):
    """What is learned: batches, the loss of one, and the score on dev."""

    def batches(self, generator: np.random.Generator) -> Sequence[Batch]:
        """Return one epoch's batches, shuffled with `generator` only."""

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch, a scalar with a gradient."""

    def score(self) -> dict[str, float]:
        """Return measures on dev; `score` among them is what early stopping maximises."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands, once a step: epochs and steps count from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    best: float | None
    epochs_done: Sequence[Mapping[str, float]] = ()  # what each said of itself: loss, dev's scores


@dataclass
class History:
    """What happened: one entry an epoch, and which was the best."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float | None = None
    stopped_early: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a config or a report."""
        return asdict(self)


class DivergedError(SequenceError):
    """The loss is no longer a number: a smaller learning rate is wanted."""

    code = "training_diverged"


def train(
    model: nn.Module,
    task: Task[Batch],
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> History:
    """Train `model` in place, on the device it is on; it ends with its best epoch's weights.

    With `checkpoint`, every epoch's end is kept there, and a file found there is resumed.
    Raises CheckpointError when that file is of another training, DivergedError when the loss
    stops being a number.
    """
    run = _Run(model, task, settings)
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    while not run.finished:
        run.epoch(on_step)
        if checkpoint is not None:
            run.save(checkpoint)
    run.take_best()
    return run.history


class _Run(Generic[Batch]):
    """The state of one training between two epochs."""

    def __init__(self, model: nn.Module, task: Task[Batch], settings: TrainingSettings) -> None:
        self.model, self.task, self.settings = model, task, settings
        self.device = next(model.parameters()).device
        self.optimizers = _optimizers(model, settings)
        self.base_rates = [group["lr"] for group in self.groups]
        # a sparse gradient has no norm to clip by: only rows that a batch holds move at all
        self.clipped = [p for group in self.optimizers[0].param_groups for p in group["params"]]
        on_gpu = self.device.type == "cuda"
        self.amp = settings.mixed_precision and (on_gpu or multiplies_bfloat16())
        half = self.amp and on_gpu and not torch.cuda.is_bf16_supported()
        self.half_type = torch.float16 if half else torch.bfloat16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.history = History()
        self.best: State = {}
        self.average: State = _copy(model) if settings.average else {}
        self.steps_taken = 0

    @property
    def groups(self) -> list[dict[str, Any]]:
        # looked up anew each time: an optimizer that takes a state back makes new groups
        return [group for one in self.optimizers for group in one.param_groups]

    @property
    def done(self) -> int:
        return len(self.history.epochs)

    @property
    def finished(self) -> bool:
        patience = self.settings.patience
        waited = self.done - self.history.best_epoch
        self.history.stopped_early = 0 < patience <= waited and self.done < self.settings.epochs
        return self.history.stopped_early or self.done >= self.settings.epochs

    def epoch(self, on_step: Callable[[Progress], None] | None) -> None:
        """Take every step of the next epoch, then look at dev."""
        number = self.done
        started = time.perf_counter()
        torch.manual_seed(self.settings.seed * 1_000_003 + number)
        generator = np.random.default_rng([self.settings.seed, number])
        batches = self.task.batches(generator)
        self.model.train()
        total = 0.0
        for i, batch in enumerate(batches):
            self._set_rate((number + i / len(batches)) / self.settings.epochs)
            loss = self._step(batch)
            total += loss
            if on_step is not None:
                best, past = self.history.best_score, self.history.epochs
                at = number + 1, self.settings.epochs, i + 1, len(batches)
                on_step(Progress(*at, loss, best, past))
        trained = time.perf_counter()
        self._look_at_dev(
            {
                "epoch": number + 1,
                "loss": total / max(1, len(batches)),
                "seconds": trained - started,
            }
        )

    def _step(self, batch: Batch) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        half = torch.autocast(self.device.type, dtype=self.half_type)
        with half if self.amp else contextlib.nullcontext():
            loss = self.task.loss(batch)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise DivergedError(f"the loss became {value}: try a smaller learning rate")
        self.scaler.scale(loss).backward()
        if self.settings.clip_norm:
            self.scaler.unscale_(self.optimizers[0])
            nn.utils.clip_grad_norm_(self.clipped, self.settings.clip_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        self.steps_taken += 1
        if self.average and self.steps_taken % _AVERAGE_EVERY == 0:
            self._average()
        return value

    def _average(self) -> None:
        """Move the running average; every few steps, for it touches every weight there is."""
        done = self.steps_taken / _AVERAGE_EVERY
        # a young average trusts new weights more, or it would remember the random start
        keep = min(self.settings.average**_AVERAGE_EVERY, (1 + done) / (10 + done))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - keep)

    def _set_rate(self, at: float) -> None:
        """Set the learning rate for the point `at` of the whole training, 0 to 1."""
        warmup = self.settings.warmup
        if at < warmup:
            factor = (at + 1e-3) / (warmup + 1e-3)
        else:
            left = (1 - at) / max(1 - warmup, 1e-9)
            curve = {"none": 1.0, "linear": left, "cosine": 0.5 - 0.5 * np.cos(np.pi * left)}
            factor = max(curve[self.settings.decay], 0.01)
        for group, rate in zip(self.groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def _look_at_dev(self, entry: dict[str, float]) -> None:
        current = _copy(self.model) if self.average else None
        if self.average:
            self.model.load_state_dict(self.average)
        self.model.eval()
        with torch.no_grad():
            entry.update(self.task.score())
        self.history.epochs.append(entry)
        best = self.history.best_score
        if best is None or entry["score"] > best:
            self.history.best_score = entry["score"]
            self.history.best_epoch = self.done
            self.best = _copy(self.model)
        if current is not None:
            self.model.load_state_dict(current)

    def take_best(self) -> None:
        self.model.load_state_dict(self.best or _copy(self.model))
        self.model.eval()

    def _facts(self) -> dict[str, Any]:
        shapes = {name: list(tensor.shape) for name, tensor in self.model.state_dict().items()}
        return {"settings": asdict(self.settings), "shapes": shapes}

    def save(self, path: Path) -> None:
        """Keep everything the next epoch depends on."""
        states = {
            "model": _copy(self.model),
            "best": self.best,
            "average": self.average,
        }
        for i, optimizer in enumerate(self.optimizers):
            states[f"optimizer{i}"] = optimizer_state(optimizer)
        facts = self._facts() | {
            "history": self.history.to_json(),
            "steps_taken": self.steps_taken,
            "scaler": self.scaler.state_dict(),
        }
        save_checkpoint(path, states, facts)

    def resume(self, path: Path) -> None:
        """Take the state of `path`, if it is of this very training."""
        states, facts = load_checkpoint(path)
        for name, value in self._facts().items():
            if facts.get(name) != value:
                raise CheckpointError(f"{path} is of another training: its {name} differ")
        self.model.load_state_dict(states["model"])
        self.best = states["best"]
        self.average = {
            name: tensor.to(self.device) for name, tensor in states.get("average", {}).items()
        }
        for i, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, states.get(f"optimizer{i}", {}))
        self.history = History(**facts["history"])
        self.steps_taken = facts["steps_taken"]
        if facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])


def _optimizers(model: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """Return AdamW over the model's own parameter groups, or all parameters as one.

    Groups marked `sparse` (large tables of which a batch touches few rows) go to a second
    optimizer that moves those rows only.
    """
    own = getattr(model, "parameter_groups", None)
    groups: list[dict[str, Any]] = (
        own(settings) if own is not None else [{"params": list(model.parameters())}]
    )
    sparse = [g for g in groups if g.get("sparse")]
    dense = [g for g in groups if not g.get("sparse")]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            dense, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
    ]
    if sparse:
        rows = [{"params": g["params"], "lr": g.get("lr", settings.learning_rate)} for g in sparse]
        optimizers.append(torch.optim.SparseAdam(rows, lr=settings.learning_rate))
    return optimizers


def _copy(model: nn.Module) -> State:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
