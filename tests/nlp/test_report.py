"""The page about a training: it says what was measured, draws it right, and runs nothing."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nlp import evaluation, report
from nlp.charts import Axis, Line, chart
from nlp.classifier import Probabilities

NASTY = "<script>alert(1)</script> & \"quotes\" 'too'"
finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


@given(st.lists(finite, min_size=1, max_size=20))
def test_ticks_are_round_and_hold_every_value(values: list[float]) -> None:
    """A chart whose axis ends before its points draws them outside of itself."""
    low, high, ticks = Axis(name="loss").spanned(values)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert low - slack <= min(values)
    assert max(values) <= high + slack
    assert low < high
    assert 1 <= len(ticks) <= 12
    assert all(low - slack <= tick <= high + slack for tick in ticks)


def test_epochs_are_whole() -> None:
    """Nobody trains two and a half epochs."""
    _, _, ticks = Axis(name="epoch", whole=True).spanned([1.0, 2.0, 3.0])
    assert ticks == [1.0, 2.0, 3.0]


def test_a_chart_draws_upwards_and_to_the_right() -> None:
    """A falling loss must be seen to fall."""
    svg = chart([Line(points=[(1, 3.0), (2, 1.0)])], Axis(name="epoch"), Axis(name="loss"))
    (path,) = re.findall(r'points="([^"]+)"', svg)
    (x0, y0), (x1, y1) = ([float(n) for n in point.split(",")] for point in path.split())
    assert x0 < x1
    assert y0 < y1, "SVG counts from the top"


def test_a_single_epoch_is_seen() -> None:
    """A line through one point is invisible."""
    svg = chart([Line(points=[(1, 0.5)])], Axis(name="epoch", whole=True), Axis(name="loss"))
    assert svg.count("<circle") == 1


def page(names: list[str], values: NDArray[Any], truth: list[int], texts: list[str]) -> str:
    """Return the report of such answers."""
    nobody = np.zeros(len(values), dtype=bool)
    return written(Probabilities(tuple(names), values, nobody), np.array(truth), texts)


def written(answer: Probabilities, truths: NDArray[np.int64], texts: list[str]) -> str:
    """Return the report of a model's answers."""
    config = {
        "name": "wishes",
        "version": "3",
        "data": {"file": NASTY, "rows": 1200, "dev_rows": len(texts)},
        "taught": "from the labels alone",
        "history": {"epochs": [{}, {}], "best_epoch": 1, "stopped_early": True},
        "scores": {"wish": evaluation.figures_of(answer, truths, 0.5)},
    }
    epochs = [
        {"epoch": 1, "loss": 1.0, "dev_loss": 0.9, "dev_accuracy": 0.5},
        {"epoch": 2, "loss": 0.5, "dev_loss": 1.0, "dev_accuracy": 0.5},
    ]
    return report.render(config, "wish", answer, truths, texts, epochs)


def test_the_page_says_what_was_right_and_what_was_taken_for_what() -> None:
    """The matrix, the labels and the worst mistake are read off before a model goes to work."""
    values = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.8, 0.2, 0.0], [0.1, 0.1, 0.8]])
    found = page(["refund", "delivery", "other"], values, [0, 0, 1, 2], ["a", "b", "late", "d"])

    assert "75.0 %" in found
    cells = re.findall(r'<td(?: class="(right|wrong)"[^>]*)?>(\d*)</td>', found.split("<tbody>")[1])
    assert [cell for cell in cells[:9] if cell[1]] == [
        ("right", "2"),
        ("wrong", "1"),
        ("right", "1"),
    ]
    mistakes = found.split("Worst mistakes")[1]
    assert re.search(r"<td>delivery</td><td>refund</td><td class=\"n\">80.0 %</td>", mistakes)
    assert "late" in mistakes
    assert "Epoch 1 of 2 was the best" in found
    delivery = re.search(r"<td>delivery</td>(<td class=\"n\">[^<]*</td>){4}", found)
    assert delivery
    assert re.findall(r">([^<]+)</td>", delivery[0]) == ["delivery", "1", "0.0 %", "0.0 %", "0.0 %"]


def test_what_is_out_of_scope_is_told_apart() -> None:
    """How much of what is none of its business it notices decides whether it may work alone."""
    names, values = ("a", "b", "out_of_scope"), np.eye(3)[[0, 1, 2, 2]]
    rejected = values.argmax(1) == 2
    answer, truth = Probabilities(names, values, rejected), np.array([0, 1, 2, 1])
    found = written(answer, truth, ["one", "two", "three", "four"])
    assert re.search(r"none of its business<b>100.0 %</b>.*33.3 % of the others", found)
    assert "none of its business" not in page(["a", "b"], np.eye(2), [0, 1], ["one", "two"])


def test_what_a_file_holds_is_shown_and_never_run() -> None:
    """Labels, texts and the file's name are whatever somebody wrote."""
    values = np.array([[0.9, 0.1], [0.9, 0.1]])
    found = page([NASTY, "b"], values, [0, 1], ["fine", NASTY])
    assert "<script" not in found
    assert unescape(found).count(NASTY) >= 4
    assert "http" not in found, "a report loads nothing"


@pytest.mark.parametrize("labels", [report.DRAWN, report.DRAWN + 1])
def test_too_many_labels_leave_the_list_alone(labels: int) -> None:
    """A matrix of 150 labels is a page of dust; what is confused most is listed anyway."""
    names = [f"label {i}" for i in range(labels)]
    values = np.eye(labels)[[*range(1, labels), 0]]
    found = page(names, values, list(range(labels)), ["text"] * labels)
    assert ('class="matrix"' in found) == (labels <= report.DRAWN)
    assert "Most frequent confusions" in found


def test_a_row_of_a_label_it_never_met_is_a_mistake_and_no_cell() -> None:
    """Dev may hold labels that training rows do not: they are wrong, and of no line."""
    values = np.array([[0.9, 0.1], [0.2, 0.8]])
    found = page(["a", "b"], values, [0, -1], ["fine", "strange"])
    assert "(a label it does not know)" in found
    assert found.count('class="right"') == 1
    assert 'class="wrong"' not in found
