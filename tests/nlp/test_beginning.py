"""A training begins where an encoder that knows sentences left off, and few labels go further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from nlp.beginning import TABLE, Beginning, is_few, shipped_beginning, solve_head
from nlp.examples import Examples
from nlp.features import word_table
from nlp.models.text_classifier import TextClassifier
from nlp.pretraining import PretrainingSettings, pretrain
from nlp.recipe import Recipe
from nlp.training import train_classifier
from nlp.vectors import WordVectors
from tests.nlp.conftest import SMALL, made

SMALL_SETTINGS = PretrainingSettings(vocabulary=80, items=8, aside=40, epochs=6, learning_rate=0.01)


@pytest.fixture(scope="module")
def wishes() -> Beginning:
    """A small network that was taught what the texts of `made` mean: one direction a wish."""
    torch.set_num_threads(1)
    examples = made(400, seed=3)
    generator = np.random.default_rng(5)
    names = sorted({str(label) for label in examples.labels["wish"]})
    directions = generator.normal(size=(len(names), 12))
    meanings = directions[[names.index(str(label)) for label in examples.labels["wish"]]]
    meanings = meanings + generator.normal(0, 0.1, meanings.shape)
    meanings /= np.linalg.norm(meanings, axis=1, keepdims=True)
    words = ["the", "money", "back", "parcel", "where", "password"]
    vectors = WordVectors(words, generator.normal(size=(6, 10)).astype(np.float32), "six words")
    network = TextClassifier.Config(
        words=0, word_size=10, encoder=SMALL.encoder_config, poolings=SMALL.poolings, heads={}
    )
    begun, history = pretrain(
        examples.texts, meanings.astype(np.float16), vectors, network, SMALL_SETTINGS
    )
    assert history.best_score is not None
    assert history.best_score > 0.9  # mean cosine on texts set aside: the directions were learned
    return begun


def test_layers_and_words_are_taken_over(wishes: Beginning) -> None:
    """Before the first step the network reads a text as it was taught to, by any vocabulary."""
    vocabulary = ["<unknown>", "parcel", "never-seen", "the"]
    model = TextClassifier(replace(wishes.network, words=len(vocabulary), heads={"wish": 3}))
    table = word_table(vocabulary, wishes.over(None), 10, seed=0)
    with torch.no_grad():
        model.word_vectors.weight.copy_(torch.from_numpy(table))

    wishes.give(model)

    own = model.state_dict()
    for name, values in wishes.state.items():
        if name != TABLE:
            torch.testing.assert_close(own[name], values)
    for word in ("<unknown>", "parcel", "the"):
        known = wishes.state[TABLE][wishes.words.index(word)]
        torch.testing.assert_close(own[TABLE][vocabulary.index(word)], known)


def test_another_shape_begins_anew(wishes: Beginning) -> None:
    """Whoever asks for another network gets it, and the model says whose vectors it began from."""
    train, dev = made(60, seed=0), made(30, seed=1)
    fitting = train_classifier(train, dev, SMALL, beginning=wishes)
    other = train_classifier(train, dev, replace(SMALL, hidden_size=12), beginning=wishes)

    assert fitting.vectors == "six words"
    assert fitting.classifier.model.config.word_size == 10
    assert other.vectors is None
    assert other.classifier.model.config.encoder.hidden_size == 12


def test_a_solved_head_is_the_logistic_regression() -> None:
    """The same probabilities as scikit-learn's, to which the strength is named."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 90)
    pooled = (generator.normal(size=(90, 6)) + labels[:, None] * 0.5).astype(np.float32)

    weight, bias = solve_head(torch.from_numpy(pooled), labels, 3)

    ours = torch.softmax(torch.from_numpy(pooled) @ weight.T + bias, dim=1).numpy()
    theirs = linear_model.LogisticRegression(C=5.0, max_iter=1000).fit(pooled, labels)
    np.testing.assert_allclose(ours, theirs.predict_proba(pooled), atol=5e-3)


def test_a_label_without_rows_does_not_stop_a_solved_head() -> None:
    """Heads are those of the whole data; the rows that are few may lack a label of them."""
    pooled = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))

    weight, bias = solve_head(pooled, np.array([0, 2] * 10), 3)

    assert torch.isfinite(weight).all()
    assert ((pooled @ weight.T + bias).argmax(1) != 1).all()


def test_what_is_few_grows_with_the_labels() -> None:
    """Seventy-seven labels need more rows than two before a network finds them by itself."""
    assert is_few(2_000, 2)
    assert not is_few(2_001, 2)
    assert is_few(2_001, 77)
    assert not is_few(10_000, 77)


MEANT = {  # no word of a training row, but for the small ones, is in a row that is asked
    "money": (
        ["I want a refund", "give me my money back", "the payment was charged twice"],
        ["reimburse my purchase", "you billed me double", "the cash has not been returned"],
    ),
    "travel": (
        ["book a flight to Rome", "I need a hotel room", "when does the train leave"],
        ["reserve a plane ticket", "find lodging near the airport", "what is the bus schedule"],
    ),
    "food": (
        ["a recipe for chicken soup", "order a pizza", "is this restaurant any good"],
        ["how do I cook rice", "what shall we eat for dinner", "bake bread and cheese"],
    ),
}


def test_shipped_beginning_knows_words_that_no_label_was_given_for() -> None:
    """From three rows a label, other words for the same things are understood."""
    beginning = shipped_beginning()
    assert beginning is not None
    train, asked = (_examples([(w, MEANT[w][side]) for w in MEANT]) for side in (0, 1))
    recipe = Recipe(teacher="none", epochs=6)

    right = [
        (found.scores.total.argmax(1).numpy() == found.truth["topic"]).mean()
        for found in (
            train_classifier(train, asked, recipe, beginning=beginning),
            train_classifier(train, asked, recipe),
        )
    ]

    assert right[0] >= 7 / 9
    assert right[0] > right[1]


def _examples(groups: Sequence[tuple[str, Sequence[str]]]) -> Examples:
    return Examples(
        [text for _, texts in groups for text in texts],
        {"topic": [label for label, texts in groups for _ in texts]},
    )
