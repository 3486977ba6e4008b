"""From class scores to probabilities that mean what they say; fitted on dev.

Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"), with one scale
for each branch of the model, so that dev also says how far to trust each. Where one temperature is
too sure of its surest answers and too modest about others, a second parameter lets it follow the
confidence: that of a top answer is then calibrated as by Kull et al. 2017 ("Beta calibration"),
while no answer changes. What is out of scope
is told by a small logistic regression over three signs of it, its threshold set at a stated rate
of false rejection.

Shapes: G documents, L labels (in scope).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nlp import measures

Floats = NDArray[np.float32]
BIAS_ROWS = 200  # of dev; with fewer, a bias would follow chance
# Of 8 and 16 mails a class of newsgroups20 a model knows 66.8 and 74.5 % with a third, 63.8 and
# 72.0 % with 1 (`benchmarks/results/text-models.md`)
SOLVED_SCALE = 0.4
LOG_ODDS = (-4.0, 8.0)  # of a top answer, between which sharpness follows them
STEEPEST = 0.12  # slope of sharpness: below 1 / 8, or the surer of two answers may end up less sure
FOLDS = 5
SHARPNESS_ROWS = 6_000  # that are enough for two numbers; more would only take time
OUT_OF_SCOPE = "out_of_scope"  # the value of a head whose question the text does not belong to


@dataclass(frozen=True, kw_only=True)
class OutOfScope:
    """How a head tells what is not its business."""

    weights: tuple[float, ...]  # of the signs, the last one a constant
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    threshold: float  # rejected when the probability is above it
    false_rejection: float  # the share of in-scope rows that the threshold may reject
    label: str  # what such rows are called in the user's file


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """One head's: scales of the branches, the threshold of doubt, what is out of scope."""

    sequence: float = 1.0
    ngrams: float = 1.0
    bias: tuple[float, ...] = ()  # added to each label's score; empty: nothing
    sharpness: tuple[float, float] = (0.0, 0.0)  # of all scores together: see `sharpened`
    threshold: float = 0.5  # below it a person should look
    precision: float = 0.95  # what the threshold was chosen for, on dev
    out_of_scope: OutOfScope | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Return what `to_json` wrote."""
        known = dict(values)
        known["bias"] = tuple(known.get("bias", ()))
        known["sharpness"] = tuple(known.get("sharpness", (0.0, 0.0)))
        scope = known.pop("out_of_scope", None)
        if scope is not None:
            lists = {k: tuple(v) for k, v in scope.items() if isinstance(v, list)}
            known["out_of_scope"] = OutOfScope(**(scope | lists))
        return cls(**known)


def softmax(scores: Floats) -> Floats:
    """Return probabilities along the last axis."""
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), dtype=np.float32)


def log_softmax(scores: Floats) -> Floats:
    """Return log-probabilities along the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), dtype=np.float32)


def temperature(scores: Floats, truth: NDArray[np.integer]) -> float:
    """Return what to divide scores by so that the truth becomes most likely."""
    candidates = np.geomspace(0.05, 5, 60)
    losses = [measures.nll(softmax(scores / t), truth) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def fit_scales(
    sequence: Floats | None,
    ngrams: Floats | None,
    truth: NDArray[np.int64],
    *,
    solved: bool = False,
) -> tuple[float, float]:
    """Return the scale of each branch's scores that makes the truth most likely.

    A branch that is missing keeps scale 1. With fewer than 20 rows, too few to tell, both have
    the scale they are expected to have: 1, but less for n-grams that were `solved`, whose scores
    are probabilities on their own and say part of what the other branch says.
    """
    branches = [b for b in (sequence, ngrams) if b is not None]
    expected = (1.0, SOLVED_SCALE if solved and sequence is not None else 1.0)
    if len(truth) < 20:
        return expected
    prior = [e for e, b in zip(expected, (sequence, ngrams), strict=True) if b is not None]
    inputs = [torch.from_numpy(np.ascontiguousarray(b)).double() for b in branches]
    target = torch.from_numpy(truth)
    log_prior = torch.tensor(prior, dtype=torch.float64).log()
    log_scales = log_prior.clone().requires_grad_()
    search = torch.optim.LBFGS([log_scales], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        scales = log_scales.clamp(-4, 3).exp()
        scores = torch.stack([s * x for s, x in zip(scales, inputs, strict=True)]).sum(0)
        # a pull towards what is expected: on few rows dev alone would overfit
        pull = (log_scales - log_prior).square().sum() / len(truth)
        value = functional.cross_entropy(scores, target) + pull
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    found = iter(log_scales.detach().clamp(-4, 3).exp().tolist())
    return (
        next(found) if sequence is not None else 1.0,
        next(found) if ngrams is not None else 1.0,
    )


def fit_bias(scores: Floats, truth: NDArray[np.int64]) -> float:
    """Return what to add to the second of two labels' scores so that most of dev is right.

    Rows of several sources were put together, perhaps, and one label is rarer among them than
    where the two are hard to tell apart. 0 with too few rows to say.
    """
    if len(truth) < BIAS_ROWS:
        return 0.0
    best, chosen = -np.inf, 0.0
    for bias in sorted(np.arange(-2.0, 2.25, 0.25).tolist(), key=abs):
        values = softmax(scores + np.array([0.0, bias], dtype=np.float32))
        worth = measures.worth(values, truth)
        if worth > best:
            best, chosen = worth, bias
    return chosen


def sharpened(scores: Floats, sharpness: tuple[float, float]) -> Floats:
    """Return scores (N, L) times exp(level + slope x log-odds of the row's top answer).

    Of the two numbers the first says how sure to be of an even chance, the second how that changes
    for surer answers. The order of a row's labels stays as it is.
    """
    if sharpness == (0.0, 0.0):
        return scores
    level, slope = sharpness
    return scores * np.exp(level + slope * _log_odds(scores))[:, None].astype(np.float32)


def fit_sharpness(scores: Floats, truth: NDArray[np.int64]) -> tuple[float, float]:
    """Return the sharpness that makes it most likely that top answers are as right as they say.

    (0, 0) where folds of the rows do not confirm that it pays: with few of them, or with few
    mistakes, it would follow chance.
    """
    if len(truth) > SHARPNESS_ROWS:
        some = np.linspace(0, len(truth) - 1, SHARPNESS_ROWS).astype(int)
        scores, truth = scores[some], truth[some]
    right = scores.argmax(1) == truth
    if not FOLDS <= right.sum() <= len(right) - FOLDS:
        return 0.0, 0.0
    fold = np.arange(len(right)) % FOLDS
    gained = 0.0
    for number in range(FOLDS):
        apart = fold == number
        found = _fit_sharpness(scores[~apart], right[~apart])
        gained += _surprise(scores[apart], right[apart])
        gained -= _surprise(sharpened(scores[apart], found), right[apart])
    return _fit_sharpness(scores, right) if gained > 0 else (0.0, 0.0)


def _fit_sharpness(scores: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    inputs, odds = (torch.from_numpy(a).double() for a in (scores, _log_odds(scores)))
    target = torch.from_numpy(right).double()
    found = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([found], max_iter=60, line_search_fn="strong_wolfe")

    def bounded() -> torch.Tensor:
        return torch.stack([found[0], STEEPEST * torch.tanh(found[1] / STEEPEST)])

    def loss() -> torch.Tensor:
        search.zero_grad()
        level, slope = bounded()
        sharp = functional.softmax(inputs * (level + slope * odds).exp().unsqueeze(1), dim=1)
        top = sharp.amax(1).clamp(1e-6, 1 - 1e-6)
        # as if 20 more rows spoke for leaving it as it is
        value = functional.binary_cross_entropy(top, target) + 20 * found.square().sum() / len(top)
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    level, slope = bounded().tolist()
    return float(level), float(slope)


def _log_odds(scores: Floats) -> NDArray[np.float64]:
    """Return the log-odds of each row's top answer, within bounds."""
    top = _top(scores)
    return np.clip(np.log(top / (1 - top)), *LOG_ODDS)


def _surprise(scores: Floats, right: NDArray[np.bool_]) -> float:
    """Return the summed negative log of how likely the top answers were right, or wrong."""
    top = _top(scores)
    return float(-np.log(np.where(right, top, 1 - top)).sum())


def _top(scores: Floats) -> NDArray[np.float64]:
    """Return the probability of each row's top answer, never quite 0 or 1."""
    return np.clip(softmax(scores).max(1).astype(np.float64), 1e-6, 1 - 1e-6)


def scope_signs(scores: Floats, rejected_class: Floats | None) -> NDArray[np.float64]:
    """Return the signs of being out of scope (G, 2 or 3): the higher, the likelier.

    The log-odds of the model's own class for it, where it has one; how little the best label
    stands out; how weak all scores are (the free energy of Liu et al. 2020).
    """
    energy = scores.max(1) + np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1))
    top = softmax(scores).max(1).astype(np.float64)
    signs = [-np.log(top / np.maximum(1 - top, 1e-6)), -energy]
    if rejected_class is not None:
        signs.append(rejected_class - energy)
    return np.stack(signs, axis=1).astype(np.float64)


def fit_out_of_scope(
    signs: NDArray[np.float64], outside: NDArray[np.bool_], label: str, false_rejection: float
) -> OutOfScope:
    """Return how to tell what is out of scope, and the threshold that rejects so few in scope."""
    centre, scale = signs.mean(0), np.maximum(signs.std(0), 1e-6)
    inputs = np.column_stack([(signs - centre) / scale, np.ones(len(signs))])
    weights = _logistic(inputs, outside.astype(np.float64))
    probability = 1 / (1 + np.exp(-inputs @ weights))
    inside = np.sort(probability[~outside])[::-1]
    allowed = int(np.floor(false_rejection * len(inside)))
    threshold = float(inside[allowed]) if allowed < len(inside) else 0.0
    return OutOfScope(
        weights=tuple(weights.tolist()),
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        threshold=threshold,
        false_rejection=false_rejection,
        label=label,
    )


def scope_probability(signs: NDArray[np.float64], rule: OutOfScope) -> Floats:
    """Return each row's probability of being out of scope."""
    inputs = (signs - np.array(rule.centre)) / np.array(rule.scale)
    weights = np.array(rule.weights)
    logits = np.clip(inputs @ weights[:-1] + weights[-1], -30, 30)
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


def _logistic(inputs: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a logistic regression's weights by Newton's method, with a slight pull to zero."""
    weights = np.zeros(inputs.shape[1])
    pull = np.eye(inputs.shape[1])
    pull[-1, -1] = 1e-6
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (probability - truth) + pull @ weights
        curvature = (inputs * (probability * (1 - probability))[:, None]).T @ inputs + pull
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def doubt_threshold(
    confidence: Floats, right: NDArray[np.bool_], precision: float, labels: int
) -> float:
    """Return the confidence under which a person should look, so that the rest is right enough.

    Never below what a coin would give: an answer barely better than its rival is in doubt even
    if dev forgave it.
    """
    floor = 0.6 if labels <= 2 else 0.4
    return max(floor, measures.threshold_for(confidence, right, precision))
