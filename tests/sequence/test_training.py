"""The loop: seeded, resumable, early stopping, clipping; batches of like length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sequence.buckets import bucketed
from sequence.checkpoint import load_checkpoint
from sequence.device import choose_device, set_threads
from sequence.errors import CheckpointError, DeviceError
from sequence.training import DivergedError, Progress, TrainingSettings, train

torch.manual_seed(0)
X = torch.randn(64, 3)
Y = X @ torch.tensor([1.0, -2.0, 0.5])


class Line:
    """Learn a plane; dev is the training data, which is all this needs."""

    def __init__(self, *, scores: Sequence[float] | None = None, stop_after: int = 10**9) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.Linear(4, 1))
        self.scores = list(scores or [])
        self.stop_after = stop_after
        self.largest_gradient = 0.0

    def batches(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return eight batches in an order of the generator's."""
        return np.split(generator.permutation(64), 8)

    def loss(self, batch: np.ndarray) -> Tensor:
        """Return the squared error."""
        return (self.model(X[batch]).squeeze(1) - Y[batch]).square().mean()

    def score(self) -> dict[str, float]:
        """Return what the test dictates, or the negative error."""
        self.stop_after -= 1
        if self.stop_after < 0:
            raise KeyboardInterrupt
        if self.scores:
            return {"score": self.scores.pop(0)}
        return {"score": -float((self.model(X).squeeze(1) - Y).square().mean())}


def weights(task: Line) -> Tensor:
    """Return all weights as one vector."""
    return nn.utils.parameters_to_vector(task.model.parameters()).detach()


SETTINGS = TrainingSettings(epochs=6, learning_rate=0.02, patience=0, average=0.9)


def test_it_learns_and_says_how() -> None:
    """The error falls, and the curve of it is kept."""
    task = Line()
    seen: list[Progress] = []

    history = train(task.model, task, SETTINGS, on_step=seen.append)

    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert len(seen) == 48
    assert (seen[-1].epoch, seen[-1].step) == (6, 8)
    assert not task.model.training


def test_the_same_seed_gives_the_same_weights() -> None:
    """A training can be run again; another seed is another training."""
    first, second, other = Line(), Line(), Line()
    train(first.model, first, SETTINGS)
    train(second.model, second, SETTINGS)
    train(other.model, other, TrainingSettings(epochs=6, learning_rate=0.02, patience=0, seed=1))

    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_a_resumed_training_is_the_one_that_never_stopped(tmp_path: Path) -> None:
    """Stopped after three epochs and started again, it ends with the very same weights."""
    whole = Line()
    train(whole.model, whole, SETTINGS)

    stopped = Line(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        train(stopped.model, stopped, SETTINGS, checkpoint=tmp_path / "c.safetensors")
    resumed = Line()
    history = train(resumed.model, resumed, SETTINGS, checkpoint=tmp_path / "c.safetensors")

    assert len(history.epochs) == 6
    assert torch.equal(weights(whole), weights(resumed))
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """Resuming with other settings would be a training that nobody can run again."""
    path = tmp_path / "c.safetensors"
    task = Line()
    train(task.model, task, SETTINGS, checkpoint=path)

    with pytest.raises(CheckpointError, match="settings"):
        train(task.model, task, TrainingSettings(epochs=2), checkpoint=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(path)


def test_it_stops_when_dev_no_longer_improves_and_keeps_the_best() -> None:
    """Two epochs without a better score end it; the weights are the best epoch's."""
    settings = TrainingSettings(epochs=10, learning_rate=0.02, patience=2)
    task, until_best = Line(scores=[1, 3, 2, 2, 9, 9]), Line(scores=[1, 3])
    history = train(task.model, task, settings)

    assert history.stopped_early
    assert (len(history.epochs), history.best_epoch, history.best_score) == (4, 2, 3)
    with pytest.raises(IndexError):
        # the same two epochs of the same ten, cut off afterwards
        train(until_best.model, _cut(until_best), settings)
    assert torch.equal(weights(task), weights(until_best))


def _cut(task: Line) -> Line:
    """Make the third look at dev an error, so that two epochs' weights can be seen."""
    batches = task.batches
    calls = iter([batches, batches])

    def limited(generator: np.random.Generator) -> list[np.ndarray]:
        chosen = next(calls, None)
        if chosen is None:
            raise IndexError
        return chosen(generator)

    task.batches = limited  # type: ignore[method-assign]
    return task


def test_gradients_are_clipped() -> None:
    """One wild batch moves the weights no further than a tame one may."""

    class Wild(Line):
        def loss(self, batch: np.ndarray) -> Tensor:
            return super().loss(batch) * 1e12

    tame, wild = Line(), Wild()
    settings = TrainingSettings(epochs=1, learning_rate=0.01, clip_norm=1.0)
    train(wild.model, wild, settings)

    assert weights(wild).isfinite().all()
    assert (weights(wild) - weights(tame)).abs().max() < 0.2


def test_a_loss_that_is_no_number_is_said() -> None:
    """A diverged training stops with a sentence, and never saves NaN as a model."""

    class Broken(Line):
        def loss(self, batch: np.ndarray) -> Tensor:
            return super().loss(batch) * float("nan")

    task = Broken()
    with pytest.raises(DivergedError, match="learning rate"):
        train(task.model, task, SETTINGS)


@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.integers(1, 9),
    st.integers(1, 80),
    st.booleans(),
)
def test_buckets_hold_everything_once_within_their_budget(
    lengths: list[int], items: int, steps: int, shuffled: bool
) -> None:
    """No item is lost or doubled, and no batch of two is over its budget of padded steps."""
    array = np.array(lengths, dtype=np.int64)
    generator = np.random.default_rng(0) if shuffled else None

    batches = bucketed(array, items=items, steps=steps, shuffle=generator)

    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= items
        assert len(batch) == 1 or array[batch].max() * len(batch) <= steps


def test_buckets_waste_little() -> None:
    """Of a thousand mixed lengths, nearly all steps that are computed are real ones."""
    lengths = np.random.default_rng(0).integers(1, 200, 1000)
    batches = bucketed(lengths, items=32, steps=3200)
    padded = sum(int(lengths[b].max()) * len(b) for b in batches)

    assert lengths.sum() / padded > 0.9


def test_a_gpu_that_is_not_there_is_said() -> None:
    """Asking for CUDA on a machine without it is a sentence, not a crash in a layer."""
    assert choose_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(DeviceError, match="auto"):
            choose_device("cuda")
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
