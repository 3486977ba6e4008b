"""Training the demand network, and asking it.

Rows of one series and origin share one reading of the past: batches are made of such pairs.

Shapes: R rows, P pairs (series, origin), L steps of the past, C values of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sequence import Padded
from sequence.encoder import EncoderName
from sequence.training import Progress, TrainingSettings, train
from timeseries.demand.network import QUANTILES, DemandNetwork, quantile_loss
from timeseries.demand.rows import Rows
from timeseries.demand.scale import Aim, Prepared, Scale

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STEP_SIZE = 5


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How the network is trained."""

    encoder: EncoderName = "gru"
    hidden_size: int = 48
    num_layers: int = 1
    past: int = 56  # steps of the past that are read
    epochs: int = 8
    learning_rate: float = 2e-3
    pairs: int = 48  # series and origins in a batch
    dropout: float = 0.1
    seed: int = 0


class Questions:
    """Rows grouped by series and origin, as tensors."""

    def __init__(
        self,
        scale: Scale,
        rows: Rows,
        prepared: Prepared,
        past: int,
        codes: Ints | None = None,
    ) -> None:
        """`codes` is each series' number in the network, from 1, 0 for one it never met."""
        self.scale, self.past = scale, past
        self.codes = np.arange(1, len(scale.panel) + 1) if codes is None else codes
        code = rows.series * (rows.origin.max(initial=0) + 2) + rows.origin
        self.order = np.argsort(code, kind="stable")
        _, first, count = np.unique(code[self.order], return_index=True, return_counts=True)
        self.first, self.count = first, count
        self.rows, self.prepared = rows, prepared
        self.by_size = _unit_of_past(scale, rows)
        names = list(prepared.categories)
        self.category_places = [prepared.names.index(name) for name in names]
        number = set(self.category_places)
        self.feature_places = [i for i in range(len(prepared.names)) if i not in number]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, pairs: Ints) -> tuple[Ints, tuple[Padded, Tensor, Tensor, Tensor, Tensor]]:
        """Return the rows of these pairs, and what the network reads of them."""
        chosen = np.concatenate(
            [self.order[self.first[i] : self.first[i] + self.count[i]] for i in pairs]
        )
        pair = np.repeat(np.arange(len(pairs)), self.count[pairs])
        heads = self.order[self.first[pairs]]
        matrix = self.prepared.matrix[chosen]
        codes = np.nan_to_num(matrix[:, self.category_places], nan=-1).astype(np.int64) + 1
        return chosen, (
            self._past(heads),
            torch.from_numpy(pair),
            torch.from_numpy(matrix[:, self.feature_places]),
            torch.from_numpy(codes),
            torch.from_numpy(self.codes[self.rows.series[chosen]]),
        )

    def _past(self, heads: Ints) -> Padded:
        """Return the last `past` steps up to each head row's origin, oldest first."""
        series, origin = self.rows.series[heads], self.rows.origin[heads]
        builder, panel = self.scale.builder, self.scale.panel
        first = np.argmax(np.isfinite(panel.y), axis=1)[series]
        length = np.clip(origin - first + 1, 0, self.past)
        moment = origin[:, None] - length[:, None] + 1 + np.arange(self.past)[None]
        inside = np.clip(moment, 0, panel.y.shape[1] - 1)
        place = series[:, None], inside
        centre, size = self.by_size
        value = (builder.value[place] - centre[heads][:, None]) / size[heads][:, None]
        known = np.isfinite(value)
        season = max(panel.grid.season, 1)
        angle = 2 * np.pi * (inside % season) / season
        steps = np.stack(
            [
                np.clip(np.where(known, value, 0), -8, 8),
                known.astype(float),
                np.nan_to_num(builder.event[place]),
                np.sin(angle),
                np.cos(angle),
            ],
            axis=2,
        ).astype(np.float32)
        return Padded(torch.from_numpy(steps), torch.from_numpy(length.astype(np.int64))).cleared()


def _unit_of_past(scale: Scale, rows: Rows) -> tuple[Floats, Floats]:
    """Return what is taken off a value of the past and what it is divided by, for each row."""
    sums, squares = scale.builder.sums, scale.builder.squares
    width = 8 * max(scale.panel.grid.season, 4)
    mean = sums.mean(rows.series, rows.origin, width)[0]
    square = squares.mean(rows.series, rows.origin, width)[0]
    if scale.aim == "percentage":
        deviation = np.sqrt(np.maximum(square - mean**2, 0.01))
        return np.nan_to_num(mean), np.nan_to_num(deviation, nan=1.0)
    size = np.sqrt(np.maximum(square, 1e-6))
    return np.zeros(len(rows)), np.nan_to_num(np.maximum(size, 0.05), nan=1.0)


class _Task:
    def __init__(
        self,
        network: DemandNetwork,
        questions: Questions,
        target: Floats,
        weight: Floats,
        aim: Aim,
        settings: NetworkSettings,
    ) -> None:
        self.network, self.questions = network, questions
        self.target = torch.from_numpy(target.astype(np.float32))
        self.weight = torch.from_numpy(weight.astype(np.float32))
        self.aim, self.settings = aim, settings
        # dev: the latest origins, which the others' horizons hardly touch
        origin = questions.rows.origin[questions.order[questions.first]]
        cut = np.quantile(origin, 0.92)
        pairs = np.arange(len(questions))
        late = origin > cut
        few = late.sum() < 20 or (~late).sum() < 20
        self.pairs = pairs if few else pairs[~late]
        self.dev = pairs[late] if not few else pairs[-200:]

    def batches(self, generator: np.random.Generator) -> Sequence[Ints]:
        order = generator.permutation(self.pairs)
        return np.array_split(order, max(1, len(order) // self.settings.pairs))

    def loss(self, batch: Ints) -> Tensor:
        rows, asked = self.questions.take(batch)
        return self._loss(self.network(*asked), torch.from_numpy(rows))

    def _loss(self, out_RQ: Tensor, rows: Tensor) -> Tensor:
        target, weight = self.target[rows], self.weight[rows]
        if self.aim == "percentage":
            point = torch.expm1((out_RQ[:, 0] - target).clamp(-4, 3)).abs()
        else:
            point = (out_RQ[:, 0] - target).square()
        return (weight * point).sum() / weight.sum() + quantile_loss(out_RQ[:, 1:], target)

    def score(self) -> dict[str, float]:
        rows, out = [], []
        for batch in np.array_split(self.dev, max(1, len(self.dev) // 256)):
            chosen, asked = self.questions.take(batch)
            rows.append(torch.from_numpy(chosen))
            out.append(self.network(*asked))
        return {"score": -float(self._loss(torch.cat(out), torch.cat(rows)))}


def fit(
    scale: Scale,
    rows: Rows,
    prepared: Prepared,
    sales: Floats,
    weight: Floats | None,
    settings: NetworkSettings,
    *,
    on_step: Callable[[Progress], None] | None = None,
) -> DemandNetwork:
    """Return a network trained on the rows and their sales."""
    torch.manual_seed(settings.seed)
    questions = Questions(scale, rows, prepared, settings.past)
    categories = [
        int(np.nan_to_num(prepared.matrix[:, place]).max(initial=0)) + 1
        for place in questions.category_places
    ]
    config = DemandNetwork.Config(
        features=len(questions.feature_places),
        step_size=STEP_SIZE,
        categories=tuple(categories),
        series=len(scale.panel) if len(scale.panel) > 1 else 0,
        encoder=settings.encoder,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        dropout=settings.dropout,
    )
    network = DemandNetwork(config)
    network.fit_scale(torch.from_numpy(prepared.matrix[:, questions.feature_places]))
    training = TrainingSettings(
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        decay="cosine",
        average=0.998,
        weight_decay=1e-3,
        patience=3,
        seed=settings.seed,
    )
    own = np.ones(len(rows)) if weight is None else weight
    task = _Task(network, questions, prepared.target(sales), own, scale.aim, settings)
    train(network, task, training, on_step=on_step)
    return network


def predict(
    network: DemandNetwork,
    scale: Scale,
    rows: Rows,
    prepared: Prepared,
    past: int,
    codes: Ints | None = None,
) -> tuple[Floats, Floats]:
    """Return point forecasts (R,) and quantiles (R, Q), in sales."""
    questions = Questions(scale, rows, prepared, past, codes)
    found = np.empty((len(rows), 1 + len(QUANTILES)))
    network.eval()
    limits = torch.tensor(network.config.categories)
    with torch.inference_mode():
        for batch in np.array_split(np.arange(len(questions)), max(1, len(questions) // 256)):
            chosen, (past_BLC, pair, features, categories, series) = questions.take(batch)
            # a value that training never met is unknown, not out of range
            categories = torch.where(categories > limits, 0, categories)
            found[chosen] = network(past_BLC, pair, features, categories, series).numpy()
    points = prepared.forecast(found[:, 0])
    quantiles = np.stack([prepared.forecast(column) for column in found[:, 1:].T], axis=1)
    return points, quantiles
