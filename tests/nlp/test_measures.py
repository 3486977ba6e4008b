"""Figures that decide what a person sees: right on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp import measures


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
