"""Fitting a fraud detector: the sequence model, boosted trees beside it, and their blend.

The week before the labels end is held back first, behind a delay as long as the labels': it
chooses the blend, the calibration and the alert threshold. Then both are fitted again on all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sequence import Padded
from sequence.encoder import EncoderName
from sequence.training import Progress, TrainingSettings, train
from timeseries.errors import TooShort
from timeseries.fraud import boosted, features, protocol
from timeseries.fraud.detector import Detector
from timeseries.fraud.features import NAMES, Transactions
from timeseries.fraud.network import FraudNetwork
from timeseries.fraud.sequences import STEP_SIZE, CardSequences

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WARM_UP = 30  # days at the start whose windows are not full yet
VALIDATION = 7  # days
GOOD_ROWS = 150_000  # of the frauds' opposite, at most, in the network's training


@dataclass(frozen=True, kw_only=True)
class FraudSettings:
    """How to fit; the defaults are what the dev weeks chose."""

    delay: int = 7  # days until a label is known
    encoder: EncoderName = "gru"
    hidden_size: int = 32
    epochs: int = 6
    learning_rate: float = 2e-3
    budget: int = 100  # cards alerted a day
    trees: bool = True  # gradient boosting beside the network, where LightGBM is installed
    seed: int = 0
    threads: int = 1


@dataclass
class Fitted:
    """A detector, and the table of how each part did in the week held back."""

    detector: Detector
    table: list[dict[str, float | str]] = field(default_factory=list)


def fit(
    transactions: Transactions,
    settings: FraudSettings,
    *,
    labels_until: int | None = None,
    on_step: Callable[[str, Progress | None], None] | None = None,
) -> Fitted:
    """Return a detector for the days to come.

    `labels_until` is the last day (from 1970-01-01) whose labels are known; by default the last
    day less the delay. Raises TooShort when there are too few days or frauds.
    """
    tell = on_step or (lambda what, progress: None)
    day = transactions.day
    last = int(day.max()) - settings.delay if labels_until is None else labels_until
    usual = float(np.median(transactions.amount))
    tell("features", None)
    told = Transactions(
        transactions.seconds,
        transactions.card,
        transactions.terminal,
        transactions.amount,
        np.where(day <= last, transactions.fraud, -1),
    )
    matrix = features.build(told, settings.delay, usual)
    data = _Data(told, matrix)
    start = _first_day(day, last, told.fraud)
    held = (day > last - VALIDATION) & (day <= last) & (told.fraud >= 0)
    before = (day >= start) & (day <= last - VALIDATION - settings.delay) & (told.fraud >= 0)
    _enough(told, before, held)
    tell("first fit", None)
    parts = _fit_parts(data, before, settings, tell)
    detector, table = _blend(data, parts, held, usual, settings)
    tell("last fit", None)
    final = _fit_parts(data, (day >= start) & (day <= last) & (told.fraud >= 0), settings, tell)
    detector.network, detector.trees = final.network, final.trees
    if detector.weight >= 1:
        detector.trees = None
    return Fitted(detector, table)


@dataclass
class _Parts:
    network: FraudNetwork
    trees: boosted.Trees | None


class _Data:
    """A history's features and sequences, taken by row."""

    def __init__(self, transactions: Transactions, matrix: Floats) -> None:
        self.transactions = transactions
        self.matrix = matrix
        self.sequences = CardSequences(
            transactions.card, transactions.seconds, features.steps(matrix)
        )

    def tensors(self, rows: Ints) -> tuple[Tensor, Padded]:
        values, lengths = self.sequences.take(rows)
        return (
            torch.from_numpy(self.matrix[rows].astype(np.float32)),
            Padded(torch.from_numpy(values), torch.from_numpy(lengths)),
        )


def _first_day(day: Ints, last: int, fraud: Ints) -> int:
    # short histories give a third of their days to fill the windows
    span = last - int(day.min())
    return int(day.min()) + min(WARM_UP, span // 3)


def _enough(transactions: Transactions, before: Mask, held: Mask) -> None:
    frauds = int((transactions.fraud[before] == 1).sum())
    if frauds < 20 or not (transactions.fraud[held] == 1).any():
        raise TooShort(
            f"{frauds} known frauds to learn from and "
            f"{int((transactions.fraud[held] == 1).sum())} to check on: at least 20 and 1 are "
            "needed, over some five weeks"
        )


def _fit_parts(
    data: _Data,
    rows: Mask,
    settings: FraudSettings,
    tell: Callable[[str, Progress | None], None],
) -> _Parts:
    chosen = np.flatnonzero(rows)
    target = data.transactions.fraud[chosen] == 1
    trees = None
    if settings.trees and boosted.installed():
        trees = boosted.fit(data.matrix[chosen], target, settings.seed, settings.threads)
    generator = np.random.default_rng(settings.seed)
    good = chosen[~target]
    few = generator.choice(good, min(len(good), GOOD_ROWS), replace=False)
    sample = np.sort(np.concatenate([chosen[target], few]))
    network = _fit_network(data, sample, len(good) / len(few), settings, tell)
    return _Parts(network, trees)


class _Task:
    """The network's training: weighted log loss; the sample's own last tenth is its dev."""

    def __init__(self, network: FraudNetwork, data: _Data, rows: Ints, weight: float) -> None:
        cut = int(len(rows) * 0.9)
        self.network, self.data = network, data
        self.rows, self.dev = rows[:cut], rows[cut:]
        self.weight = weight

    def batches(self, generator: np.random.Generator) -> Sequence[Ints]:
        order = generator.permutation(self.rows)
        return np.array_split(order, max(1, len(order) // 512))

    def loss(self, batch: Ints) -> Tensor:
        target = torch.from_numpy((self.data.transactions.fraud[batch] == 1).astype(np.float32))
        odds, _ = self.network(*self.data.tensors(batch))
        weight = torch.where(target > 0, 1.0, self.weight)
        return nn.functional.binary_cross_entropy_with_logits(odds, target, weight=weight)

    def score(self) -> dict[str, float]:
        odds = predict_network(self.network, self.data, self.dev)
        fraud = self.data.transactions.fraud[self.dev] == 1
        found = protocol.average_precision(fraud, odds)
        return {"score": 0.0 if np.isnan(found) else found}


def _fit_network(
    data: _Data,
    rows: Ints,
    weight: float,
    settings: FraudSettings,
    tell: Callable[[str, Progress | None], None],
) -> FraudNetwork:
    torch.manual_seed(settings.seed)
    config = FraudNetwork.Config(
        features=len(NAMES),
        step_size=STEP_SIZE,
        encoder=settings.encoder,
        hidden_size=settings.hidden_size,
    )
    network = FraudNetwork(config)
    network.fit_scale(torch.from_numpy(data.matrix[rows].astype(np.float32)))
    training = TrainingSettings(
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        decay="cosine",
        average=0.995,
        weight_decay=1e-4,
        seed=settings.seed,
    )
    train(
        network,
        _Task(network, data, rows, weight),
        training,
        on_step=lambda progress: tell("network", progress),
    )
    return network


def predict_network(network: FraudNetwork, data: _Data, rows: Ints) -> Floats:
    """Return the network's log odds for the rows."""
    network.eval()
    found = []
    with torch.inference_mode():
        for batch in np.array_split(rows, max(1, -(-len(rows) // 4096))):
            found.append(network(*data.tensors(batch))[0].numpy())
    return np.concatenate(found).astype(np.float64)


def _blend(
    data: _Data, parts: _Parts, held: Mask, usual: float, settings: FraudSettings
) -> tuple[Detector, list[dict[str, float | str]]]:
    """Return a detector whose blend, calibration and threshold the week held back chose."""
    rows = np.flatnonzero(held)
    network = predict_network(parts.network, data, rows)
    weight, candidates = 1.0, {"network": network}
    if parts.trees is not None:
        trees = parts.trees.predict(data.matrix[rows])
        candidates["boosted"] = trees
        candidates |= {f"blend {w:g}": w * network + (1 - w) * trees for w in (0.2, 0.35, 0.5)}
    whole = data.transactions
    chosen = protocol.eligible(whole.day, whole.card, whole.fraud == 1, held, delay=settings.delay)
    inside = chosen[rows]
    table: list[dict[str, float | str]] = []
    for name, odds in candidates.items():
        told = whole.take(rows[inside])
        found = protocol.measure(
            told.day, told.card, told.fraud == 1, told.amount, odds[inside], budget=settings.budget
        )
        table.append({"model": name, **found})
    best = max(table, key=lambda line: float(line["average_precision"]) + float(line["auroc"]))
    name = str(best["model"])
    if name != "network":
        weight = 0.0 if name == "boosted" else float(name.split()[1])
    for line in table:
        line["chosen"] = float(line is best)
    odds = candidates[name]
    slope, intercept = calibrate(odds, whole.fraud[rows] == 1)
    probability = 1 / (1 + np.exp(-(slope * odds + intercept)))
    threshold = protocol.threshold_for_budget(
        whole.day[rows], whole.card[rows], probability, settings.budget
    )
    detector = Detector(
        network=parts.network,
        trees=parts.trees,
        weight=weight,
        slope=slope,
        intercept=intercept,
        threshold=threshold,
        delay=settings.delay,
        usual_amount=usual,
        typical=np.median(data.matrix[rows], axis=0),
    )
    return detector, table


def calibrate(odds: Floats, fraud: Mask) -> tuple[float, float]:
    """Return slope and intercept that make log odds into calibrated ones (Platt 1999)."""
    x, y = torch.from_numpy(odds), torch.from_numpy(fraud.astype(np.float64))
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(parameters[0] * x + parameters[1], y)
        loss.backward()
        return loss

    search.step(closure)
    slope, intercept = parameters.detach().tolist()
    return float(max(slope, 1e-3)), float(intercept)
