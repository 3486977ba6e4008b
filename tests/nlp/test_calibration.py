"""What dev settles about a confidence: it means what it says, and no more than dev knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nlp import measures
from nlp.calibration import (
    STEEPEST,
    fit_bias,
    fit_out_of_scope,
    fit_scales,
    fit_sharpness,
    scope_probability,
    sharpened,
    softmax,
)


def test_overconfident_scores_are_cooled() -> None:
    """Scores three times too large get a scale near a third, and their NLL falls."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(3000, 4)).astype(np.float32)
    truth = np.array([generator.choice(4, p=p / p.sum()) for p in softmax(scores).astype(float)])
    scale, other = fit_scales(scores * 3, None, truth)

    assert scale == pytest.approx(1 / 3, rel=0.15)
    assert other == 1.0
    assert measures.nll(softmax(scores * 3 * scale), truth) < measures.nll(
        softmax(scores * 3), truth
    )


def test_solved_ngrams_do_not_drown_the_words_where_dev_cannot_say() -> None:
    """Both branches say much the same: with few rows of dev their sum would be sure of it twice."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 3000)
    same = np.eye(4)[truth] * 2 + generator.normal(size=(3000, 4))
    words, ngrams = (
        (same + noise).astype(np.float32) for noise in generator.normal(size=(2, 3000, 4)) / 2
    )

    few = fit_scales(words[:16], ngrams[:16], truth[:16], solved=True)
    many = fit_scales(words, ngrams, truth, solved=True)

    assert fit_scales(words[:16], ngrams[:16], truth[:16]) == (1.0, 1.0)
    assert few[0] == 1.0
    assert few[1] < 0.5
    assert many == pytest.approx(fit_scales(words, ngrams, truth), rel=0.01), "dev says, not we"
    assert fit_scales(None, ngrams[:16], truth[:16], solved=True) == (1.0, 1.0), "nothing else"


def drawn(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return scores of five labels that are too sure where they are sure, and the truth."""
    generator = np.random.default_rng(seed)
    size = generator.uniform(0.3, 4.0, size=(rows, 1))
    honest = (generator.normal(size=(rows, 5)) * size).astype(np.float32)
    below = softmax(honest).cumsum(1) < generator.random((rows, 1))
    truth = np.minimum(below.sum(1), 4)
    return sharpened(honest, (-0.1, 0.1)), truth


def test_sharpness_undoes_what_one_temperature_cannot() -> None:
    """Too sure when sure and too modest when not: on other rows its confidence then holds."""
    scores, truth = drawn(20_000, 0)
    others, their_truth = drawn(20_000, 1)
    found = fit_sharpness(scores, truth)

    def error(values: NDArray[np.float32]) -> float:
        return measures.ece(values.max(1), values.argmax(1) == their_truth)

    assert found[1] < -0.04
    before, after = softmax(others), softmax(sharpened(others, found))
    assert error(after) < 0.6 * error(before)
    assert measures.nll(after, their_truth) < measures.nll(before, their_truth)


def test_sharpness_stays_out_of_the_way_where_nothing_speaks_for_it() -> None:
    """Honest scores, few rows, or no mistake to learn from: what is there is not made worse."""
    scores, truth = drawn(20_000, 0)
    honest = sharpened(scores, fit_sharpness(scores, truth))
    assert fit_sharpness(honest, truth) == pytest.approx((0, 0), abs=0.02)
    assert fit_sharpness(scores[:4], truth[:4]) == (0, 0)
    assert fit_sharpness(scores, scores.argmax(1)) == (0, 0)


@given(
    level=st.floats(-1, 1),
    slope=st.floats(-STEEPEST, STEEPEST),
    scores=st.lists(st.lists(st.integers(-2000, 2000), min_size=3, max_size=3), min_size=1),
)
def test_sharpness_changes_no_answer(level: float, slope: float, scores: list[list[int]]) -> None:
    """It is about how sure, not about what."""
    before = np.array(scores, dtype=np.float32) / 100
    after = sharpened(before, (level, slope))
    assert (np.argsort(before, axis=1, kind="stable") == np.argsort(after, 1, kind="stable")).all()


@given(
    slope=st.floats(-STEEPEST, STEEPEST),
    odds=st.lists(st.floats(0, 30), min_size=2, max_size=20, unique=True),
)
def test_the_surer_of_two_stays_the_surer(slope: float, odds: list[float]) -> None:
    """A threshold of doubt would let the wrong ones through."""
    rows = np.array([[value, 0.0] for value in sorted(odds)], dtype=np.float32)
    top = softmax(sharpened(rows, (0.0, slope)))[:, 0]
    assert (np.diff(top) >= -1e-6).all()


def test_a_label_that_training_made_rare_is_raised_again() -> None:
    """Harmless mail of other sources makes spam look rare: dev says where to draw the line."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(2000, 2)).astype(np.float32) * 2
    truth = np.array([generator.choice(2, p=p / p.sum()) for p in softmax(scores).astype(float)])
    raised = scores + np.array([0.0, 1.5], dtype=np.float32)

    assert fit_bias(raised, truth) == pytest.approx(-1.5, abs=0.5)
    assert fit_bias(scores[:60], truth[:60]) == 0.0, "of few rows it would follow chance"


def test_the_threshold_of_scope_rejects_as_few_as_it_says() -> None:
    """At five in a hundred of false rejection, not six."""
    generator = np.random.default_rng(0)
    outside = generator.random(1000) < 0.2
    signs = generator.normal(size=(1000, 2)) + outside[:, None] * 2
    rule = fit_out_of_scope(signs, outside, "oos", 0.05)
    probability = scope_probability(signs, rule)

    assert (probability[~outside] > rule.threshold).mean() <= 0.05
    assert (probability[outside] > rule.threshold).mean() > 0.6
