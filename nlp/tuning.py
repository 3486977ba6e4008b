"""A teacher tuned on the labels: the sentence encoder itself is trained, then labels any text.

Also texts that nobody labelled, which is where a small model learns most (Tang et al. 2019,
"Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", arXiv 1903.12136).
Seeded, resumable, cached. Needs the extra `train`.

Shapes: N texts, B windows of a batch, D encoder width, C classes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nlp.errors import Unfinished
from nlp.teacher import SentenceEncoder, all_windows, batches, content_key, remembered
from sequence.device import multiplies_bfloat16

KEEP_EVERY = 300.0  # seconds between two checkpoints
Progress = Callable[[int, int, float], None]  # steps done, steps in all, running loss


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a teacher is trained."""

    epochs: int = 5
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1  # share of the steps
    batch_size: int = 32
    window: int = 128  # tokens read at once; of a longer text a random window each epoch
    long_share: float = 1.0  # of texts longer than half a window, how many an epoch takes
    smoothing: float = 0.05  # label smoothing
    seed: int = 0


class TunedTeacher(nn.Module):
    """A sentence encoder with a linear layer of class scores on its mean vector."""

    def __init__(self, encoder: SentenceEncoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = encoder.network
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.width, classes)
        self.kept: Path | None = None  # where `tune` keeps it; opinions stand beside it

    def forward(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Return the class scores of each window, (B, C)."""
        scores_BC: Tensor = self.head(self.dropout(self.encoder.pooled(ids)))
        return scores_BC

    def scores(
        self, texts: Sequence[str], *, window: int = 128, windows: int = 4
    ) -> NDArray[np.float32]:
        """Return class scores for each text, (N, C): the length-weighted mean of its windows'.

        A teacher that is kept keeps them too: on many texts they cost as much as the training.
        """
        opinions = None
        if self.kept and texts:
            key = content_key([self.kept.stem, str(window), str(windows), *texts])
            opinions = self.kept.with_name(f"opinions-{key}.npy")
        return remembered(opinions, lambda: self._scores(texts, window, windows))

    @torch.inference_mode()
    def _scores(self, texts: Sequence[str], window: int, windows: int) -> NDArray[np.float32]:
        self.eval()
        pieces, owner = all_windows(self.encoder, texts, window, windows)
        sums_NC = torch.zeros(len(texts), self.head.out_features)
        weights_N1 = torch.zeros(len(texts), 1)
        for group in batches([len(piece) for piece in pieces], 8192, 256):
            with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
                scores_BC = self([pieces[i] for i in group]).float()
            weight_B1 = torch.tensor([[float(len(pieces[i]))] for i in group])
            rows = torch.tensor([owner[i] for i in group])
            sums_NC.index_add_(0, rows, scores_BC * weight_B1)
            weights_N1.index_add_(0, rows, weight_B1)
        return np.asarray((sums_NC / weights_N1).numpy(), dtype=np.float32)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return what training changes: all but the word pieces' vectors.

        Those are half of the weights and a few hundred rows each would hardly move them.
        """
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if "embeddings." not in name
        }

    def save(self, path: Path) -> None:
        """Keep what training changed in one safetensors file."""
        _save({name: value.detach() for name, value in self.trainable().items()}, path, {})

    def load(self, path: Path) -> None:
        """Put back what `save` kept."""
        parameters = self.trainable()
        for name, value in load_file(path).items():
            parameters[name].data.copy_(value)


def tune(
    texts: Sequence[str],
    targets: NDArray[Any],
    *,
    encoder: SentenceEncoder,
    tuning: Tuning | None = None,
    cache: Path | None = None,
    seconds: float = math.inf,
    progress: Progress | None = None,
) -> TunedTeacher:
    """Train the encoder on labels and return the teacher.

    `targets` are class numbers (N,) or rows of class probabilities (N, C). With `cache`, a finished
    teacher is kept there under a hash of its inputs and a second call loads it; a call that was
    killed, or ran past `seconds` (it raises `Unfinished`), is taken up where it last kept its
    state. `encoder` itself is changed.
    """
    tuning = tuning or Tuning()
    targets_NC = _one_hot(targets)
    teacher = TunedTeacher(encoder, targets_NC.shape[1])
    digest = hashlib.sha256(targets_NC.numpy().tobytes()).hexdigest()
    key = content_key([encoder.fingerprint, json.dumps(asdict(tuning)), digest, *texts])
    kept = teacher.kept = cache / f"teacher-{key}.safetensors" if cache else None
    if kept and kept.exists():
        teacher.load(kept)
        return teacher
    _Run(teacher, texts, targets_NC, tuning, kept).train(seconds, progress)
    if kept:
        teacher.save(kept)
        kept.with_suffix(".state").unlink(missing_ok=True)
    return teacher


def _one_hot(targets: NDArray[Any]) -> Tensor:
    """Return targets as rows of probabilities."""
    if targets.ndim == 1:
        return functional.one_hot(torch.from_numpy(targets.astype(np.int64))).float()
    return torch.from_numpy(targets.astype(np.float32))


class _Run:
    """One training run: seeded, checkpointed, the same order of batches when it goes on."""

    def __init__(
        self,
        teacher: TunedTeacher,
        texts: Sequence[str],
        targets_NC: Tensor,
        tuning: Tuning,
        kept: Path | None,
    ) -> None:
        self.teacher, self.tuning, self.targets_NC = teacher, tuning, targets_NC
        self.state = kept.with_suffix(".state") if kept else None
        self.ids = teacher.encoder.token_ids(texts)
        self.turns = np.random.default_rng((tuning.seed, 3)).random(len(self.ids))
        torch.manual_seed(tuning.seed)
        parameters = teacher.trainable()
        for name, parameter in teacher.named_parameters():
            parameter.requires_grad_(name in parameters)
        head = [value for name, value in parameters.items() if name.startswith("head.")]
        body = [value for name, value in parameters.items() if not name.startswith("head.")]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": body, "lr": tuning.learning_rate},
                {"params": head, "lr": tuning.head_learning_rate},
            ],
            weight_decay=tuning.weight_decay,
            fused=True,
        )
        self.starts = np.cumsum([0, *(len(self._order(i)) for i in range(tuning.epochs))])
        self.steps = int(self.starts[-1])
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        """Return the share of the learning rate at a step: up in a line, then down to nothing."""
        rising = max(1, round(self.steps * self.tuning.warm_up))
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (self.steps - step) / max(1, self.steps - rising))

    def _order(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch: similar lengths together, in random order.

        A little noise on the lengths keeps the same texts from meeting in every epoch. Long
        texts take turns when an epoch takes only a share of them.
        """
        random = np.random.default_rng((self.tuning.seed, epoch))
        lengths = np.array([min(len(ids), self.tuning.window) for ids in self.ids])
        noisy = lengths * random.uniform(0.85, 1.15, len(lengths)) + random.random(len(lengths))
        order = np.argsort(noisy)
        if self.tuning.long_share < 1:
            share, turn = self.tuning.long_share, self.turns + epoch * self.tuning.long_share
            taken = (turn + share).astype(int) > turn.astype(int)
            order = order[(taken | (lengths <= self.tuning.window / 2))[order]]
        size = self.tuning.batch_size
        groups = [order[i : i + size].tolist() for i in range(0, len(order), size)]
        random.shuffle(groups)
        return groups

    def _window(self, ids: Sequence[int], random: np.random.Generator) -> list[int]:
        """Return the text, or a random window of it that keeps the marks at its ends."""
        room = self.tuning.window - 2
        spare = len(ids) - 2 - room
        if spare <= 0:
            return list(ids)
        # the ends of a long text say more than its middle: reach beyond them and clip
        start = int(np.clip(random.integers(-room // 2, spare + room // 2 + 1), 0, spare)) + 1
        return [ids[0], *ids[start : start + room], ids[-1]]

    def _upcoming(self, done: int) -> Iterator[tuple[int, list[int], np.random.Generator]]:
        for epoch in range(self.tuning.epochs):
            if self.starts[epoch + 1] <= done:
                continue
            for i, group in enumerate(self._order(epoch)):
                step = int(self.starts[epoch]) + i
                if step >= done:
                    yield step, group, np.random.default_rng((self.tuning.seed, 7, step))

    def train(self, seconds: float, progress: Progress | None) -> None:
        """Take every step that is left, or raise `Unfinished` with the state kept."""
        done, started, running = self._resume(), time.monotonic(), 0.0
        kept = started
        self.teacher.train()
        for step, group, random in self._upcoming(done):
            if time.monotonic() - started > seconds:
                self._keep(step)
                raise Unfinished(f"Stopped after {step} of {self.steps} steps.")
            if time.monotonic() - kept > KEEP_EVERY:
                self._keep(step)
                kept = time.monotonic()
            pieces = [self._window(self.ids[i], random) for i in group]
            loss = self._step(pieces, self.targets_NC[group])
            running = loss if step == done else 0.98 * running + 0.02 * loss
            if progress and step % 20 == 0:
                progress(step + 1, self.steps, running)

    def _step(self, pieces: list[list[int]], targets_BC: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            scores_BC = self.teacher(pieces)
        loss = functional.cross_entropy(
            scores_BC.float(), targets_BC, label_smoothing=self.tuning.smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.teacher.trainable().values(), 1.0)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def _keep(self, step: int) -> None:
        """Write weights, both moments of Adam, and where we are."""
        if not self.state:
            return
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.teacher.trainable().items():
            tensors[f"weight/{name}"] = parameter.detach()
            for moment in ("exp_avg", "exp_avg_sq", "step"):
                if parameter in self.optimizer.state:
                    tensors[f"{moment}/{name}"] = self.optimizer.state[parameter][moment]
        _save(tensors, self.state, {"step": str(step)})

    def _resume(self) -> int:
        """Read what `_keep` wrote; return the number of steps already taken."""
        if not self.state or not self.state.exists():
            return 0
        tensors = load_file(self.state)
        with safe_open(self.state, "pt") as opened:
            done = int(opened.metadata()["step"])
        for name, parameter in self.teacher.trainable().items():
            parameter.data.copy_(tensors[f"weight/{name}"])
            if f"exp_avg/{name}" in tensors:
                self.optimizer.state[parameter] = {
                    moment: tensors[f"{moment}/{name}"]
                    for moment in ("exp_avg", "exp_avg_sq", "step")
                }
        self.scheduler.last_epoch = done
        for group, base in zip(self.optimizer.param_groups, self.scheduler.base_lrs, strict=True):
            group["lr"] = base * self._rate(done)
        torch.manual_seed(self.tuning.seed + done)
        return done


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata)
    temporary.replace(path)
