"""A linear separator is solved, not stepped towards; and it stays as it was solved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlp.features import FeatureSettings, settings_for
from nlp.separator import NgramFeatures, separate
from nlp.training import Trained, train_classifier

from .conftest import SMALL, made

pytest.importorskip("sklearn")

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


def test_long_documents_ask_for_more_ngrams() -> None:
    """A model of short texts needs spellings; of long ones it needs rare words and pairs."""
    short, long = settings_for([["a"] * 10] * 3), settings_for([["a"] * 300] * 3)

    assert short == FeatureSettings()
    assert not long.spelling
    assert long.ngrams > short.ngrams
