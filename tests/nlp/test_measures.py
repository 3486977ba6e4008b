"""Figures that decide what a person sees: right on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp import measures
from nlp.calibration import fit_bias, fit_out_of_scope, fit_scales, scope_probability, softmax


def test_by_hand() -> None:
    """Accuracy, macro-F1, NLL, AUROC of a handful of rows."""
    predicted, truth = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert measures.accuracy(predicted, truth) == 0.5
    # label 0: 2/3; label 1: 2*1/(1+3) = 1/2; label 2: 0
    assert measures.macro_f1(predicted, truth) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert measures.nll(probabilities, np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )
    positive = np.array([True, False, True, False])
    assert measures.auroc(np.array([0.9, 0.1, 0.5, 0.5]), positive) == pytest.approx(3.5 / 4)


def test_calibration_error_by_hand() -> None:
    """Two bins, off by 0.1 and 0.4, of three rows and one."""
    confidence = np.array([0.9, 0.9, 0.9, 0.6])
    right = np.array([True, True, True, False])
    assert measures.ece(confidence, right) == pytest.approx(0.75 * 0.1 + 0.25 * 0.6)


def test_perfect_calibration_is_not_zero_on_few_rows() -> None:
    """What chance alone does to ECE shrinks with the rows, and the bound holds 95 in 100 times."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 400)
    bound = measures.ece_if_perfect(confidence)
    found = [measures.ece(confidence, generator.random(400) < confidence) for _ in range(300)]
    assert 0.9 <= float((np.array(found) <= bound).mean()) <= 0.99
    assert measures.ece_if_perfect(np.tile(confidence, 20)) < bound / 2


def test_coverage_and_threshold_are_the_same_cut() -> None:
    """Rows at or above the threshold are the share that is handled alone."""
    confidence = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    right = np.array([True, True, True, False, True])
    assert measures.coverage(confidence, right, 0.95) == 0.6
    assert measures.threshold_for(confidence, right, 0.95) == 0.8
    assert measures.coverage(confidence, right, 0.8) == 1.0
    assert measures.coverage(np.array([0.5]), np.array([False]), 0.95) == 0.0
    assert measures.threshold_for(np.array([0.5]), np.array([False]), 0.95) == 1.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40), st.floats(0.5, 1))
def test_what_is_handled_alone_is_right_enough(
    rows: list[tuple[float, bool]], precision: float
) -> None:
    """The promise itself: above the threshold, at least `precision` of rows are right."""
    confidence = np.array([c for c, _ in rows])
    right = np.array([r for _, r in rows], dtype=bool)
    kept = confidence >= measures.threshold_for(confidence, right, precision)
    share = measures.coverage(confidence, right, precision)
    if share:
        assert kept.mean() == pytest.approx(share)
        assert right[kept].mean() >= precision - 1e-9


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
