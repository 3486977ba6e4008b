"""From labelled texts to a trained, calibrated classifier.

Words and n-grams are chosen, the network is trained with early stopping on dev, the branches are
scaled and thresholds set on dev. Nothing here reads files or knows commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nlp import ngram_branch
from nlp.beginning import Beginning, is_few, solve_head
from nlp.calibration import OUT_OF_SCOPE, Calibration
from nlp.classifier import Classifier
from nlp.examples import Examples, believed, class_weights, label_names, targets, truth
from nlp.features import (
    FeatureSettings,
    choose_ngrams,
    choose_words,
    is_long,
    normalised,
    settings_for,
    word_table,
)
from nlp.fitting import ClassifierTask, FittingSettings, Goal, embed
from nlp.lexicon import Lexicon
from nlp.models.text_classifier import Scores, TextClassifier
from nlp.recipe import Recipe
from nlp.settling import calibrate
from nlp.tokens import words
from nlp.vectors import WordVectors
from sequence.training import History, Progress, TrainingSettings, train

Ints = NDArray[np.int64]

DIRECT = 64  # up to so many labels an n-gram scores them itself; beyond, it has a vector


@dataclass(frozen=True)
class Trained:
    """A classifier and how its training went."""

    classifier: Classifier
    history: History
    scores: Scores  # of dev
    truth: dict[str, Ints]  # dev's labels by the classifier's own numbers
    vectors: str | None = None  # whose words' vectors it started from; None: from noise


def train_classifier(
    examples: Examples,
    dev: Examples,
    recipe: Recipe,
    *,
    vectors: WordVectors | None = None,
    beginning: Beginning | None = None,
    heads: dict[str, tuple[str, ...]] | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Trained:
    """Return a classifier trained on `examples`, everything chosen on `dev`.

    A row whose label is `recipe.out_of_scope` teaches what is no business of the model. `heads`
    fixes the labels and their order; without it they are those of the examples. A model of the
    shape of `beginning` takes over its layers and its words' vectors; words that it does not know,
    and models of another shape, start from `vectors`.
    """
    examples, dev = (_with_scope(e, recipe.out_of_scope) for e in (examples, dev))
    heads = heads or label_names(examples)
    documents = normalised([words(text) for text in examples.texts])
    numbers = {head: believed(examples, head, names) for head, names in heads.items()}
    written = np.arange(len(examples) - examples.made)
    real = [documents[i] for i in written]
    features = recipe.features or settings_for(real)
    begun = _fitting(beginning, recipe)
    vectors = begun.over(vectors) if begun else vectors
    lexicon = _lexicon(real, [known[written] for known in numbers.values()], features, vectors)
    model = _build(recipe, heads, lexicon, vectors, begun).to(device)
    goals = _goals(examples, dev, heads, recipe)
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
    if begun:
        _solve_heads(task, numbers, written)
    settings = _settings(recipe, documents)
    history = train(model, task, settings, checkpoint=checkpoint, on_step=on_step)
    classifier = Classifier(
        model.to("cpu"),
        list(lexicon.words),
        lexicon.ngrams,
        heads,
        {head: Calibration() for head in heads},
        spelling=features.spelling,
        part_length=recipe.part_length,
    )
    known = {head: goal.truth for head, goal in goals.items()}
    lengths = np.array([len(document) for document in task.dev], dtype=np.int64)
    scores = calibrate(classifier, classifier.scores(dev.texts), lengths, known, recipe)
    return Trained(classifier, history, scores, known, vectors.source if vectors else None)


def _lexicon(
    documents: Sequence[Sequence[str]],
    numbers: Sequence[Ints],
    features: FeatureSettings,
    vectors: WordVectors | None,
) -> Lexicon:
    """Return the words and n-grams of a model; one head that all rows know says which tell most."""
    alone = numbers[0] if len(numbers) == 1 and (numbers[0] >= 0).all() else None
    vocabulary = choose_words(documents, vectors, features)
    ngrams = choose_ngrams(documents, alone, features)
    return Lexicon(vocabulary, ngrams, spelling=features.spelling, limit=10**9)


def _settings(recipe: Recipe, documents: Sequence[Sequence[str]]) -> TrainingSettings:
    total = sum(len(document) for document in documents)
    return TrainingSettings(
        epochs=recipe.epochs_for(len(documents), total),
        learning_rate=recipe.learning_rate,
        weight_decay=0.01,
        patience=recipe.patience,
        average=recipe.average,
        seed=recipe.seed,
    )


def _with_scope(examples: Examples, label: str | None) -> Examples:
    """Return the examples with the user's name for out of scope replaced by ours."""
    if label is None:
        return examples
    renamed = {
        head: [OUT_OF_SCOPE if value == label else value for value in values]
        for head, values in examples.labels.items()
    }
    return Examples(examples.texts, renamed, examples.taught, examples.made)


def _build(
    recipe: Recipe,
    heads: dict[str, tuple[str, ...]],
    lexicon: Lexicon,
    vectors: WordVectors | None,
    begun: Beginning | None,
) -> TextClassifier:
    labels = {head: len(names) for head, names in heads.items()}
    torch.manual_seed(recipe.seed)
    model = TextClassifier(
        TextClassifier.Config(
            words=len(lexicon.words),
            word_size=vectors.size if vectors else 100,
            encoder=recipe.encoder_config,
            poolings=recipe.poolings,
            ngrams=len(lexicon.ngrams.keys),
            ngram_size=0 if sum(labels.values()) <= DIRECT else DIRECT,
            heads=labels,
            dropout=recipe.dropout,
        )
    )
    table = word_table(list(lexicon.words), vectors, model.config.word_size, recipe.seed)
    with torch.no_grad():
        model.word_vectors.weight.copy_(torch.from_numpy(table))
    if begun:
        begun.give(model)
    return model


def _fitting(beginning: Beginning | None, recipe: Recipe) -> Beginning | None:
    fits = beginning is not None and beginning.fits(recipe.encoder_config, recipe.poolings)
    return beginning if fits else None


def _is_solved(
    recipe: Recipe, config: TextClassifier.Config, documents: Sequence[Sequence[str]]
) -> bool:
    """Say whether the n-gram branch is solved before the network trains."""
    alone = not config.poolings  # nothing would be left to train
    if alone or not config.ngrams or config.ngram_size or not ngram_branch.solvable():
        return False
    return is_long(documents) if recipe.solved is None else recipe.solved


def _solve_ngrams(task: ClassifierTask, numbers: Mapping[str, Ints], written: Ints) -> None:
    """Give the model's n-grams the scores that suit what people wrote and its believed labels."""
    train = ngram_branch.ngram_matrix([task.train[i] for i in written], task.lexicon)
    dev = ngram_branch.ngram_matrix(task.dev, task.lexicon)
    solved = [
        ngram_branch.solve(train, numbers[head][written], dev, goal.truth, goal.targets.shape[1])
        for head, goal in task.goals.items()
    ]
    task.model.keep_ngrams(torch.from_numpy(np.concatenate(solved, axis=1)))


def _solve_heads(task: ClassifierTask, numbers: Mapping[str, Ints], written: Ints) -> None:
    """Let every head with few rows start from what its labels say of the layers taken over."""
    head, start = task.model.eval().head, 0
    for name, goal in task.goals.items():
        labels = goal.targets.shape[1]
        rows = written[numbers[name][written] >= 0]
        if head is not None and len(rows) and is_few(len(rows), labels):
            documents = [task.train[i] for i in rows]
            _, pooled = embed(task.model, task.lexicon, documents, task.settings.part_length)
            if pooled is not None:
                weight, bias = solve_head(pooled, numbers[name][rows], labels)
                with torch.no_grad():
                    head.weight[start : start + labels] = weight.to(head.weight)
                    head.bias[start : start + labels] = bias.to(head.bias)
        start += labels


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
