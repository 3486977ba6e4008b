"""What a training begins from: a network that was taught what sentences mean, without any label.

`weights/beginning` holds words with their vectors, a BiLSTM and its poolings, trained so that a
linear map of what they make of a sentence is what a sentence encoder makes of it
(`nlp.pretraining`). A classifier of the same shape takes them over; few labels then go further,
also where no teacher is installed.

Shapes: N documents, P pooled vector, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nlp.models.text_classifier import TextClassifier
from nlp.vectors import WordVectors
from sequence.artifact import MANIFEST, load_artifact
from sequence.encoder import EncoderConfig
from sequence.quantisation import expand

NAME = "beginning"  # of the folder in weights/
WORDS = "vocabulary.txt"
LAYERS = ("encoder.", "poolings.")  # what is taken over beside the words' vectors
TABLE = "word_vectors.weight"
STRENGTH = 5.0  # of a label against a small head: scikit-learn's C
_STEPS = 100  # of L-BFGS; by then the loss no longer moves
_FEW, _FEW_EACH = 2_000, 40  # rows in all, and of a label, that still are few


@dataclass(frozen=True)
class Beginning:
    """Words, the unknown one first, and the layers that read them."""

    words: list[str]
    network: TextClassifier.Config
    state: dict[str, Tensor]
    source: str  # what a card says it is

    def over(self, vectors: WordVectors | None) -> WordVectors:
        """Return its own words' vectors, most frequent first, and behind them others' of `vectors`.

        The unknown word is not among them. Vectors of another length are not taken.
        """
        own, matrix = self.words[1:], self.state[TABLE].numpy()[1:]
        if vectors is None or vectors.size != matrix.shape[1]:
            return WordVectors(own, matrix, self.source)
        known = set(own)
        others = [i for i, word in enumerate(vectors.words) if word not in known]
        return WordVectors(
            [*own, *(vectors.words[i] for i in others)],
            np.concatenate([matrix, vectors.matrix[others]]),
            self.source,
        )

    def fits(self, encoder: EncoderConfig, poolings: tuple[str, ...]) -> bool:
        """Say whether a classifier is of the shape that can take the layers over."""
        return (encoder, poolings) == (self.network.encoder, self.network.poolings)

    def give(self, model: TextClassifier) -> None:
        """Let a classifier that `fits` take over the layers and the unknown word's vector.

        Its other words have their vectors from its builder: its vocabulary is its own.
        """
        own = model.state_dict()
        with torch.no_grad():
            model.word_vectors.weight[0] = self.state[TABLE][0]
            for name, values in self.state.items():
                if name.startswith(LAYERS):
                    own[name].copy_(values)


def shipped_beginning() -> Beginning | None:
    """Return the beginning that comes with the product, or None where it was left out."""
    from nlp.weights import SHIPPED

    folder = SHIPPED / NAME
    if not (folder / MANIFEST).is_file():
        return None
    artifact = load_artifact(folder)
    return Beginning(
        artifact.files[WORDS].decode("utf-8").split("\n"),
        TextClassifier.Config.from_json(artifact.config["network"]),
        expand(artifact.tensors),
        str(artifact.config["source"]),
    )


def solve_head(
    pooled_NP: Tensor, labels_N: NDArray[np.int64], labels: int
) -> tuple[Tensor, Tensor]:
    """Return weights (L, P) and bias (L,) of a logistic regression on pooled vectors.

    A head that starts from noise pulls the layers below it about before it knows where the
    classes are; one that starts here does not.
    """
    numbers = torch.from_numpy(labels_N)
    weight = torch.zeros(labels, pooled_NP.shape[1], requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        logits_NL = functional.linear(pooled_NP, weight, bias)
        fit = functional.cross_entropy(logits_NL, numbers, reduction="sum")
        total = STRENGTH * fit + weight.square().sum() / 2
        total.backward()
        return total

    solver.step(loss)
    return weight.detach(), bias.detach()


def is_few(rows: int, labels: int) -> bool:
    """Say whether rows are so few that a solved head starts better than one from noise."""
    return rows <= max(_FEW, _FEW_EACH * labels)
