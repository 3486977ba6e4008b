"""A linear separator is solved, not stepped towards; and it stays as it was solved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nlp import ngram_branch
from nlp.calibration import softmax
from nlp.classifier import load_classifier
from nlp.features import FeatureSettings, settings_for
from nlp.models.text_classifier import Scores
from nlp.separator import NgramFeatures, separate
from nlp.settling import calibrate
from nlp.training import Trained, train_classifier
from tests.nlp.conftest import SMALL, made

pytest.importorskip("sklearn")
sparse = pytest.importorskip("scipy.sparse")

TEXTS = ["a good film", "good, really good", "a bad film", "bad acting, bad film"] * 5
SIDES = np.array([1, 1, 0, 0] * 5)


def solved(epochs: int) -> Trained:
    """Return a classifier whose n-grams were solved before so many epochs."""
    recipe = replace(SMALL, solved=True, epochs=epochs)
    return train_classifier(made(240, seed=0), made(60, seed=1), recipe)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_a_row_is_never_the_answer(classes: int) -> None:
    """What nobody labelled cannot be recognised: its margin is below all others', of any text."""
    inputs = NgramFeatures(TEXTS, classes, spelling=True)(TEXTS)
    numbers = SIDES + 1  # class 0 has no row
    numbers[:4] = [classes, classes, 1, 1]

    margins = inputs @ separate(inputs, numbers, classes + 1)

    assert (margins[:, 0] < margins[:, 1:].min(1)).all()
    assert (margins[4:].argmax(1) == numbers[4:]).all()


def test_four_rows_of_dev_do_not_say_how_sure_ngrams_are() -> None:
    """Of few labels n-grams know next to nothing of new texts, whatever four lucky rows show."""
    random = np.random.default_rng(2)
    inputs = sparse.csr_matrix(random.normal(size=(60, 400)).astype(np.float32))
    numbers = random.integers(0, 3, 60)  # of chance: nothing can be learned from them

    scores = inputs @ ngram_branch.solve(inputs, numbers, inputs[:4], numbers[:4], 3)

    assert softmax(scores).max(1).mean() < 0.6


def test_a_solved_branch_is_left_as_it_is() -> None:
    """Steps of training would move it away from the best answer there is."""
    short, long = solved(1), solved(4)

    tables = [one.classifier.model.ngram_table for one in (short, long)]
    assert tables[0] is not None
    assert tables[1] is not None
    torch.testing.assert_close(tables[0].weight, tables[1].weight)
    assert long.scores.ngrams is not None
    assert (long.scores.ngrams.argmax(1).numpy() == long.truth["wish"]).mean() > 0.9
    # the words' branch has learned, too, although the other knew every training row
    assert long.scores.sequence is not None
    assert (long.scores.sequence.argmax(1).numpy() == long.truth["wish"]).mean() > 0.8


def test_ngrams_alone_learn_by_steps() -> None:
    """Without an encoder nothing would be left to train beside a solved branch."""
    recipe = replace(SMALL, solved=True, poolings=())

    alone = train_classifier(made(240, seed=0), made(60, seed=1), recipe)

    assert alone.scores.sequence is None
    assert alone.scores.ngrams is not None
    assert (alone.scores.ngrams.argmax(1).numpy() == alone.truth["wish"]).mean() > 0.9


def test_long_documents_ask_for_more_ngrams() -> None:
    """A model of short texts needs spellings; of long ones it needs rare words and pairs."""
    short, long = settings_for([["a"] * 10] * 3), settings_for([["a"] * 300] * 3)

    assert short == FeatureSettings()
    assert not long.spelling
    assert long.ngrams > short.ngrams


def test_ngrams_say_more_of_a_page_than_of_a_sentence(tmp_path: Path) -> None:
    """How much more is found on dev, kept with the weights, and part of every answer."""
    classifier = solved(1).classifier
    sentence, page = "where is my parcel", "where is my parcel today please " * 60
    before = classifier.scores([sentence, page])
    classifier.grow(1.0)
    classifier.save(tmp_path / "grown", card="# grown\n")

    after = load_classifier(tmp_path / "grown").scores([sentence, page])

    assert before.ngrams is not None
    assert after.ngrams is not None
    shares = (after.ngrams.abs().sum(1) / before.ngrams.abs().sum(1)).numpy()
    assert shares == pytest.approx([4 / 32, 360 / 32], rel=0.05)


def test_the_growth_is_chosen_by_what_dev_says() -> None:
    """Words that mislead in sentences and are right on pages are believed on pages."""
    trained = solved(1)
    classifier, truth = trained.classifier, trained.truth["wish"]
    labels = len(classifier.heads["wish"])
    right, wrong = np.eye(labels)[truth] * 4, np.eye(labels)[(truth + 1) % labels] * 4
    long = np.arange(len(truth)) % 2 == 0
    lengths = np.where(long, 400, 8)
    scores = Scores(
        torch.from_numpy(np.where(long[:, None], wrong, right)).float(),
        torch.from_numpy(np.where(long[:, None], right, wrong)).float(),
    )

    calibrate(classifier, scores, lengths, trained.truth, SMALL)

    assert classifier.ngrams.growth > 0
    weighed = classifier.ngrams.weight_of(lengths)
    blended = classifier.calibration["wish"].sequence * scores.sequence.numpy()
    blended += classifier.calibration["wish"].ngrams * weighed[:, None] * scores.ngrams.numpy()
    assert (blended.argmax(1) == truth).all()
