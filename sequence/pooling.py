"""One vector from a sequence: last real state, mean, max, additive and multi-head attention.

Shapes: B sequences, T steps, H size of a step, K heads of attention, C parts (a long sequence
may be read in several parts, which stand one after the other in the batch), G sequences made
of them.

Every pooling reads a Padded and returns (B, output_size). `pool_parts` gives the same vector
that one long sequence would give when its steps are spread over several rows: attention's
softmax, mean and max run over all parts of a sequence, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from sequence.padded import Padded

PoolingName = Literal["last", "mean", "max", "attention", "multihead"]
POOLINGS: tuple[str, ...] = get_args(PoolingName)
_LOWEST = torch.finfo(torch.float16).min  # also fits a half: a masked score, never a real one


class Summary(NamedTuple):
    """What one part says: values (B, output_size) and, for weighted means, how much it weighs."""

    values: Tensor
    log_mass: Tensor | None = None  # (B, K): log of the sum of the weights before the softmax
    chosen: Tensor | None = None  # weights of the steps (B, T, K)

    @classmethod
    def joined(cls, parts: Sequence[Summary]) -> Summary:
        """Return the summaries of several batches as one."""
        masses = [part.log_mass for part in parts if part.log_mass is not None]
        return cls(
            torch.cat([part.values for part in parts]), torch.cat(masses) if masses else None
        )


class Pooling(nn.Module):
    """The base: a subclass gives `summarise` and, if parts do not average, `merge`."""

    output_size: int

    def summarise(self, x_BTH: Padded) -> Summary:
        """Return the vector of every row and the mass behind it."""
        raise NotImplementedError(f"{type(self).__name__} has no summarise")

    def merge(self, parts: Summary, counts: Tensor) -> Tensor:
        """Return (G, output_size) from parts; `counts` (G,) says how many rows each has."""
        if parts.log_mass is None:
            raise TypeError(f"{type(self).__name__} must say how its parts are merged")
        group_C = _groups(counts)
        top_GK = _segment_max(parts.log_mass, group_C, len(counts))
        mass_CK = torch.exp(parts.log_mass - top_GK[group_C])
        heads = mass_CK.shape[1]
        values_CKV = parts.values.view(len(parts.values), heads, -1)
        weighted = (values_CKV * mass_CK.unsqueeze(2)).flatten(1)
        total_GV = weighted.new_zeros(len(counts), weighted.shape[1]).index_add(
            0, group_C, weighted
        )
        mass_GK = mass_CK.new_zeros(len(counts), heads).index_add(0, group_C, mass_CK)
        merged = total_GV.view(len(counts), heads, -1) / mass_GK.clamp_min(1e-9).unsqueeze(2)
        return merged.flatten(1)

    def forward(self, x_BTH: Padded) -> Tensor:
        """Return one vector a sequence; of an empty sequence zeros."""
        return self.summarise(x_BTH).values

    def pool_parts(self, x_CTH: Padded, counts: Tensor) -> Tensor:
        """Return one vector a sequence whose steps stand in `counts` rows one after the other."""
        return self.merged(self.summarise(x_CTH), counts)

    def merged(self, parts: Summary, counts: Tensor) -> Tensor:
        """Return one vector a sequence from what its parts say."""
        return parts.values if len(counts) == len(parts.values) else self.merge(parts, counts)

    def contributions(
        self, x_CTH: Padded, parts: Summary, counts: Tensor, direction_GV: Tensor
    ) -> Tensor:
        """Return what each step adds to <direction, pooled vector>, (C, T); padding adds nothing.

        Every pooling here weighs or selects steps, so that the contributions of a sequence add
        up to its pooled vector's product with the direction exactly. `parts` is what `summarise`
        said of the same steps.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot say what a step adds")


def _groups(counts: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def _segment_max(values_CV: Tensor, group_C: Tensor, groups: int) -> Tensor:
    index = group_C.unsqueeze(1).expand_as(values_CV)
    start = values_CV.new_full((groups, values_CV.shape[1]), _LOWEST)
    return start.scatter_reduce(0, index, values_CV, "amax")


def _keep_first(here_CTH: Tensor, group_C: Tensor, counts: Tensor) -> None:
    """Leave only the first 1 of each sequence and feature, in place."""
    seen_GH = here_CTH.new_zeros(len(counts), here_CTH.shape[2])
    tied = (seen_GH.index_add_(0, group_C, here_CTH.sum(1)) > 1).any(1)
    ends = counts.cumsum(0).tolist()
    # few: a maximum stands twice where a text repeats itself
    for sequence in tied.nonzero().flatten().tolist():
        start = ends[sequence - 1] if sequence else 0
        own = here_CTH[start : ends[sequence]].flatten(0, 1)
        if len(own):
            own.mul_(own.cumsum(0) <= 1)


class LastState(Pooling):
    """The state after the last real step; of two directions, each one's own last.

    The backward direction ends at the first step, so its half is taken there: `out[:, -1]`
    would be padding for a short row and one single step of the backward direction for any.
    """

    def __init__(self, size: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.output_size = size
        self.forward_size = size // 2 if bidirectional else size

    def summarise(self, x_BTH: Padded) -> Summary:
        """Return the last states of every row."""
        rows_B = torch.arange(len(x_BTH), device=x_BTH.values.device)
        if x_BTH.values.shape[1] == 0:
            return Summary(x_BTH.values.new_zeros(len(x_BTH), self.output_size))
        ends_BH = x_BTH.values[rows_B, (x_BTH.lengths - 1).clamp_min(0)]
        if self.forward_size < self.output_size:
            starts_BH = x_BTH.values[:, 0, self.forward_size :]
            ends_BH = torch.cat([ends_BH[:, : self.forward_size], starts_BH], dim=1)
        return Summary(ends_BH * (x_BTH.lengths > 0).unsqueeze(1))

    def merge(self, parts: Summary, counts: Tensor) -> Tensor:
        """Return the last part's forward half beside the first part's backward half."""
        ends_G = counts.cumsum(0) - 1
        starts_G = ends_G - counts + 1
        last_GH = parts.values[ends_G, : self.forward_size]
        return torch.cat([last_GH, parts.values[starts_G, self.forward_size :]], dim=1)

    def contributions(
        self, x_CTH: Padded, parts: Summary, counts: Tensor, direction_GV: Tensor
    ) -> Tensor:
        """Return all of it at the last step, of a backward half at the first."""
        ends_G = counts.cumsum(0) - 1
        starts_G = ends_G - counts + 1
        added_CT = x_CTH.values.new_zeros(x_CTH.values.shape[:2])
        last_G = (x_CTH.lengths[ends_G] - 1).clamp_min(0)
        split = self.forward_size
        forward = x_CTH.values[ends_G, last_G, :split] * direction_GV[:, :split]
        backward = x_CTH.values[starts_G, 0, split:] * direction_GV[:, split:]
        added_CT[ends_G, last_G] += forward.sum(1)
        added_CT[starts_G, 0] += backward.sum(1)
        return added_CT.masked_fill(~x_CTH.mask, 0)


class Mean(Pooling):
    """The mean of the real steps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def summarise(self, x_BTH: Padded) -> Summary:
        """Return the mean of every row and the log of its length."""
        lengths_B1 = x_BTH.lengths.clamp_min(1).unsqueeze(1).to(x_BTH.values.dtype)
        return Summary(x_BTH.cleared().values.sum(1) / lengths_B1, lengths_B1.log())

    def contributions(
        self, x_CTH: Padded, parts: Summary, counts: Tensor, direction_GV: Tensor
    ) -> Tensor:
        """Return each step's product with the direction over the sequence's length."""
        group_C = _groups(counts)
        total_G = torch.zeros_like(counts).index_add(0, group_C, x_CTH.lengths)
        product_CT = torch.einsum("cth,ch->ct", x_CTH.values, direction_GV[group_C])
        product_CT = product_CT / total_G.clamp_min(1)[group_C].unsqueeze(1)
        return product_CT.masked_fill(~x_CTH.mask, 0)


class Max(Pooling):
    """The largest value of each feature over the real steps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def summarise(self, x_BTH: Padded) -> Summary:
        """Return the maxima of every row."""
        if x_BTH.values.shape[1] == 0:
            return Summary(x_BTH.values.new_zeros(len(x_BTH), self.output_size))
        filled = x_BTH.values
        if not x_BTH.full:
            filled = filled.masked_fill(~x_BTH.mask.unsqueeze(2), _LOWEST)
        # not max(), which also looks for the step and takes twenty times as long
        return Summary(filled.amax(1) * (x_BTH.lengths > 0).unsqueeze(1))

    def merge(self, parts: Summary, counts: Tensor) -> Tensor:
        """Return the maxima over a sequence's parts."""
        return _segment_max(parts.values, _groups(counts), len(counts))

    def contributions(
        self, x_CTH: Padded, parts: Summary, counts: Tensor, direction_GV: Tensor
    ) -> Tensor:
        """Return, at each step, the features whose maximum stands there, the first time."""
        group_C = _groups(counts)
        best_GH = self.merged(parts, counts)
        # 1 where the maximum stands, 0 elsewhere: comparing to booleans takes six times as long
        here_CTH = (x_CTH.values - best_GH[group_C].unsqueeze(1)).sign_().add_(1)
        if not x_CTH.full:
            here_CTH.masked_fill_(~x_CTH.mask.unsqueeze(2), 0)
        _keep_first(here_CTH, group_C, counts)
        return here_CTH.mul_((best_GH * direction_GV)[group_C].unsqueeze(1)).sum(2)


class _Attention(Pooling):
    """What the attention poolings share: a masked softmax over steps, one a head."""

    def scores(self, x_BTH: Padded) -> Tensor:
        """Return a score of each step for each head (B, T, K); of padding, anything."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def values(self, x_BTH: Padded, weights_BTK: Tensor) -> Tensor:
        """Return each head's weighted mean of its slice of the steps, side by side (B, H)."""
        if weights_BTK.shape[2] == 1:
            return torch.bmm(weights_BTK.transpose(1, 2), x_BTH.values).flatten(1)
        slices_BTKV = self.slices(x_BTH.values, weights_BTK.shape[2])
        return (slices_BTKV * weights_BTK.unsqueeze(3)).sum(1).flatten(1)

    def masked_scores(self, x_BTH: Padded) -> Tensor:
        """Return the scores, lowest in the padding: no softmax gives it weight."""
        scores_BTK = self.scores(x_BTH)
        return (
            scores_BTK if x_BTH.full else scores_BTK.masked_fill(~x_BTH.mask.unsqueeze(2), _LOWEST)
        )

    def weights(self, x_BTH: Padded) -> Tensor:
        """Return how much of each head's attention every step gets (B, T, K): sums to 1."""
        weights_BTK = torch.softmax(self.masked_scores(x_BTH), dim=1)
        return weights_BTK.masked_fill(~x_BTH.mask.unsqueeze(2), 0)

    def summarise(self, x_BTH: Padded) -> Summary:
        """Return the weighted mean of every row and the log of the softmax's denominator."""
        if x_BTH.values.shape[1] == 0:
            zeros = x_BTH.values.new_zeros(len(x_BTH), self.output_size)
            return Summary(zeros, zeros[:, :1] + _LOWEST)
        x_BTH = x_BTH.cleared()
        scores_BTK = self.masked_scores(x_BTH)
        log_mass_BK = torch.logsumexp(scores_BTK.float(), dim=1).to(scores_BTK.dtype)
        weights_BTK = torch.exp(scores_BTK - log_mass_BK.unsqueeze(1))
        if not x_BTH.full:
            weights_BTK = weights_BTK.masked_fill(~x_BTH.mask.unsqueeze(2), 0)
        return Summary(self.values(x_BTH, weights_BTK), log_mass_BK, weights_BTK)

    def sequence_weights(self, parts: Summary, counts: Tensor) -> Tensor:
        """Return the attention of every step among all steps of its sequence (C, T, K)."""
        if parts.chosen is None or parts.log_mass is None:
            raise TypeError("no summary of an attention")
        if len(counts) == len(parts.values):
            return parts.chosen
        group_C = _groups(counts)
        top_GK = _segment_max(parts.log_mass, group_C, len(counts))
        mass_CK = torch.exp(parts.log_mass - top_GK[group_C])
        sums_GK = torch.zeros_like(top_GK).index_add(0, group_C, mass_CK)
        return parts.chosen * (mass_CK / sums_GK.clamp_min(1e-9)[group_C]).unsqueeze(1)

    def contributions(
        self, x_CTH: Padded, parts: Summary, counts: Tensor, direction_GV: Tensor
    ) -> Tensor:
        """Return each step's attention times its product with the direction, over the heads."""
        weights_CTK = self.sequence_weights(parts, counts)
        heads = weights_CTK.shape[2]
        direction_CV = direction_GV[_groups(counts)]
        if heads == 1:
            products_CT = torch.bmm(x_CTH.cleared().values, direction_CV.unsqueeze(2)).squeeze(2)
            return weights_CTK.squeeze(2) * products_CT
        direction_CKV = direction_CV.unflatten(1, (heads, -1))
        slices_CTKV = self.slices(x_CTH.values, heads)
        products_CTK = (slices_CTKV * direction_CKV.unsqueeze(1)).sum(3)
        return (weights_CTK * products_CTK).sum(2).masked_fill(~x_CTH.mask, 0)

    def slices(self, values_CTH: Tensor, heads: int) -> Tensor:
        """Return the part of each step that each head reads (C, T, K, V)."""
        return values_CTH.unflatten(2, (heads, -1))


class AdditiveAttention(_Attention):
    """Additive attention, score = v . tanh(W h + b) (Bahdanau et al. 2015; Yang et al. 2016)."""

    def __init__(self, size: int, *, hidden_size: int = 64) -> None:
        super().__init__()
        self.output_size = size
        self.project = nn.Linear(size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def scores(self, x_BTH: Padded) -> Tensor:
        """Return one score a step (B, T, 1)."""
        scores: Tensor = self.score(torch.tanh(self.project(x_BTH.values)))
        return scores


class MultiHeadAttention(_Attention):
    """K learned questions, each with its own key; head k answers with its slice of the step."""

    def __init__(self, size: int, *, heads: int = 4) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"{heads} heads do not divide a size of {size}")
        self.output_size = size
        self.heads = heads
        self.key = nn.Linear(size, size)
        self.question = nn.Parameter(torch.randn(heads, size // heads) * (size // heads) ** -0.5)

    def scores(self, x_BTH: Padded) -> Tensor:
        """Return every head's score of each step (B, T, K)."""
        keys_BTKV = self.key(x_BTH.values).unflatten(2, (self.heads, -1))
        return (keys_BTKV * self.question).sum(3) * self.question.shape[1] ** -0.5


def build_pooling(name: str, size: int, *, bidirectional: bool = False) -> Pooling:
    """Return the pooling of that name for steps of `size`."""
    if name == "last":
        return LastState(size, bidirectional=bidirectional)
    if name == "multihead":
        return MultiHeadAttention(size)
    classes = {"mean": Mean, "max": Max, "attention": AdditiveAttention}
    if name not in classes:
        raise ValueError(f"no pooling {name!r}; there are {', '.join(POOLINGS)}")
    return classes[name](size)
