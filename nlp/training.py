"""From labelled texts to a trained, calibrated classifier.

Words and n-grams are chosen, the network is trained with early stopping on dev, the branches are
scaled and thresholds set on dev. Nothing here reads files or knows commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp import ngram_branch
from nlp.calibration import (
    OUT_OF_SCOPE,
    Calibration,
    doubt_threshold,
    fit_bias,
    fit_out_of_scope,
    fit_scales,
)
from nlp.classifier import Classifier, apply, blend, in_scope, signs_of
from nlp.examples import Examples, class_weights, label_names, targets, truth
from nlp.features import (
    choose_ngrams,
    choose_words,
    is_long,
    normalised,
    settings_for,
    word_table,
)
from nlp.fitting import ClassifierTask, FittingSettings, Goal
from nlp.lexicon import Lexicon
from nlp.models.text_classifier import Scores, TextClassifier
from nlp.panel import log_softmax
from nlp.recipe import Recipe
from nlp.tokens import words
from nlp.vectors import WordVectors
from sequence.encoder import EncoderConfig
from sequence.training import History, Progress, TrainingSettings, train

GROWTHS = (0.0, 0.5, 1.0)  # how much more n-grams may say of long texts: powers of their words
DIRECT = 64  # up to so many labels an n-gram scores them itself; beyond, it has a vector


@dataclass(frozen=True)
class Trained:
    """A classifier and how its training went."""

    classifier: Classifier
    history: History
    scores: Scores  # of dev
    truth: dict[str, NDArray[np.int64]]  # dev's labels by the classifier's own numbers


def train_classifier(
    examples: Examples,
    dev: Examples,
    recipe: Recipe,
    *,
    vectors: WordVectors | None = None,
    heads: dict[str, tuple[str, ...]] | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Trained:
    """Return a classifier trained on `examples`, everything chosen on `dev`.

    A row whose label is `recipe.out_of_scope` teaches what is no business of the model. `heads`
    fixes the labels and their order; without it they are those of the examples.
    """
    examples, dev = (_with_scope(e, recipe.out_of_scope) for e in (examples, dev))
    heads = heads or label_names(examples)
    documents = normalised([words(text) for text in examples.texts])
    numbers = {head: truth(examples.labels[head], names) for head, names in heads.items()}
    # made-up texts show what a teacher thinks of words, not which words people use
    written = np.flatnonzero(np.max(list(numbers.values()), axis=0) >= 0)
    if not len(written):  # nothing but texts that a teacher read
        written = np.arange(len(examples))
    real = [documents[i] for i in written]
    features = recipe.features or settings_for(real)
    vocabulary = choose_words(real, vectors, features)
    alone = next(iter(numbers.values()))[written] if len(heads) == 1 else None
    if alone is not None and (alone < 0).any():
        alone = None
    ngrams = choose_ngrams(real, alone, features)
    torch.manual_seed(recipe.seed)
    model = _build(recipe, heads, len(vocabulary), len(ngrams.keys), vectors)
    size = model.config.word_size
    table = torch.from_numpy(word_table(vocabulary, vectors, size, recipe.seed))
    with torch.no_grad():
        model.word_vectors.weight.copy_(table)
    model.to(device)
    goals = _goals(examples, dev, heads, recipe)
    lexicon = Lexicon(vocabulary, ngrams, spelling=features.spelling, limit=10**9)
    task = ClassifierTask(
        model,
        lexicon,
        lexicon.encode(documents),
        lexicon.encode([words(text) for text in dev.texts]),
        goals,
        FittingSettings(items=recipe.items, part_length=recipe.part_length),
    )
    if _is_solved(recipe, model.config, real):
        _solve_ngrams(task, numbers, written)
    total = sum(len(document) for document in documents)
    settings = TrainingSettings(
        epochs=recipe.epochs_for(len(documents), total),
        learning_rate=recipe.learning_rate,
        weight_decay=0.01,
        patience=recipe.patience,
        average=recipe.average,
        seed=recipe.seed,
    )
    history = train(model, task, settings, checkpoint=checkpoint, on_step=on_step)
    model.to("cpu")
    classifier = Classifier(
        model,
        vocabulary,
        ngrams,
        heads,
        {head: Calibration() for head in heads},
        spelling=features.spelling,
        part_length=recipe.part_length,
    )
    scores = classifier.scores(dev.texts)
    dev_truth = {head: goal.truth for head, goal in goals.items()}
    lengths = np.array([len(document) for document in task.dev], dtype=np.int64)
    scores = calibrate(classifier, scores, lengths, dev_truth, recipe)
    return Trained(classifier, history, scores, dev_truth)


def _with_scope(examples: Examples, label: str | None) -> Examples:
    """Return the examples with the user's name for out of scope replaced by ours."""
    if label is None:
        return examples
    renamed = {
        head: [OUT_OF_SCOPE if value == label else value for value in values]
        for head, values in examples.labels.items()
    }
    return Examples(examples.texts, renamed, examples.taught)


def _build(
    recipe: Recipe,
    heads: dict[str, tuple[str, ...]],
    words: int,
    ngrams: int,
    vectors: WordVectors | None,
) -> TextClassifier:
    labels = {head: len(names) for head, names in heads.items()}
    return TextClassifier(
        TextClassifier.Config(
            words=words,
            word_size=vectors.size if vectors else 100,
            encoder=EncoderConfig(
                name=recipe.encoder, hidden_size=recipe.hidden_size, num_layers=recipe.num_layers
            ),
            poolings=recipe.poolings,
            ngrams=ngrams,
            ngram_size=0 if sum(labels.values()) <= DIRECT else DIRECT,
            heads=labels,
            dropout=recipe.dropout,
        )
    )


def _is_solved(
    recipe: Recipe, config: TextClassifier.Config, documents: Sequence[Sequence[str]]
) -> bool:
    """Say whether the n-gram branch is solved before the network trains."""
    if not config.ngrams or config.ngram_size or not ngram_branch.solvable():
        return False
    return is_long(documents) if recipe.solved is None else recipe.solved


def _solve_ngrams(
    task: ClassifierTask, numbers: dict[str, NDArray[np.int64]], written: NDArray[np.int64]
) -> None:
    """Give the model's n-grams the scores that suit the labels of what people wrote."""
    train = ngram_branch.ngram_matrix([task.train[i] for i in written], task.lexicon)
    dev = ngram_branch.ngram_matrix(task.dev, task.lexicon)
    solved = [
        ngram_branch.solve(train, numbers[head][written], dev, goal.truth, goal.targets.shape[1])
        for head, goal in task.goals.items()
    ]
    task.model.keep_ngrams(torch.from_numpy(np.concatenate(solved, axis=1)))


def _goals(
    examples: Examples, dev: Examples, heads: dict[str, tuple[str, ...]], recipe: Recipe
) -> dict[str, Goal]:
    goals = {}
    for head, names in heads.items():
        numbers = truth(examples.labels[head], names)
        goals[head] = Goal(
            targets(examples, head, names, trust=recipe.trust, smoothing=recipe.smoothing),
            class_weights(numbers, len(names), recipe.balance),
            truth(dev.labels.get(head, [None] * len(dev)), names),
        )
    return goals


def calibrate(
    classifier: Classifier,
    scores: Scores,
    lengths: NDArray[np.int64],
    dev_truth: dict[str, NDArray[np.int64]],
    recipe: Recipe,
) -> Scores:
    """Fit on dev how branches are weighed, every head's threshold of doubt and rule for scope.

    `lengths` are dev's words. Returns dev's scores with n-grams weighed by them.
    """
    best = -np.inf
    for growth in GROWTHS if scores.sequence is not None and scores.ngrams is not None else (0.0,):
        weight = replace(classifier.ngrams, growth=growth).weight_of(lengths)
        grown = _times(scores, weight)
        fitted, worth = {}, []
        for head, labels in classifier.heads.items():
            known = np.flatnonzero(dev_truth[head] >= 0)
            own = Scores(*(None if branch is None else branch[known] for branch in grown))
            numbers, columns = dev_truth[head][known], classifier.columns[head]
            fitted[head] = _calibration(own, columns, labels, numbers, recipe)
            if len(known):
                worth.append(_worth(blend(own, columns, fitted[head]), numbers))
        if best < float(np.mean(worth or [0.0])):
            best = float(np.mean(worth or [0.0]))
            classifier.grow(growth)
            classifier.calibration.update(fitted)
            chosen = grown
    return chosen


def _times(scores: Scores, weight: NDArray[np.float32]) -> Scores:
    """Return scores with those of n-grams weighed."""
    if scores.ngrams is None:
        return scores
    return Scores(scores.sequence, scores.ngrams * torch.from_numpy(weight).unsqueeze(1))


def _worth(blended: NDArray[np.float32], numbers: NDArray[np.int64]) -> float:
    """Return what early stopping goes by, too: accuracy, and a little of the loss."""
    loss = -log_softmax(blended)[np.arange(len(numbers)), numbers].mean()
    return float((blended.argmax(1) == numbers).mean() - 0.02 * loss)


def _calibration(
    scores: Scores,
    columns: slice,
    labels: tuple[str, ...],
    numbers: NDArray[np.int64],
    recipe: Recipe,
) -> Calibration:
    inside = in_scope(labels)
    place = {column: i for i, column in enumerate(inside)}
    within = np.array([place.get(int(number), -1) for number in numbers], dtype=np.int64)
    rows = np.flatnonzero(within >= 0)

    def branch(values: Any) -> Any:
        return None if values is None else values[rows][:, columns].numpy()[:, inside]

    sequence, ngrams = fit_scales(branch(scores.sequence), branch(scores.ngrams), within[rows])
    fitted = Calibration(sequence=sequence, ngrams=ngrams, precision=recipe.precision)
    blended = blend(scores, columns, fitted)
    if len(inside) == 2:
        bias = np.zeros(len(labels), dtype=np.float32)
        bias[inside[1]] = fit_bias(blended[rows][:, inside], within[rows])
        fitted, blended = replace(fitted, bias=tuple(bias.tolist())), blended + bias
    values = fitted.to_json()
    if recipe.out_of_scope is not None and (within < 0).sum() >= 5:
        values["out_of_scope"] = fit_out_of_scope(
            signs_of(blended, labels), within < 0, recipe.out_of_scope, recipe.false_rejection
        )
    fitted = Calibration(**values)
    answer = apply(blended, labels, fitted)
    expected = np.where(within < 0, len(inside), within)
    right = answer.values.argmax(1) == expected
    confidence = answer.values.max(1)
    values["threshold"] = doubt_threshold(confidence, right, recipe.precision, len(answer.names))
    return Calibration(**values)
