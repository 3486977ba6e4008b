"""Clauses: windows lose no word, stretches keep their place, neighbours change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlp.annotations import Annotated, labels_of, read_annotations
from nlp.clauses import Marked, find, find_sentences, overlap, sentence_starts, to_words
from nlp.errors import BadFile, NotEnoughData
from nlp.models.span_tagger import SpanTagger
from nlp.tagger import TagCalibration, Tagger, judge, load_tagger
from nlp.tagger_training import TaggerRecipe, train_tagger
from nlp.tagging import Example, TaggingSettings, WordNumbers, average_precision, word_probabilities
from nlp.tokens import spans, words
from nlp.values import date_in, value_of
from nlp.windows import cut
from sequence.encoder import EncoderConfig

TEXTS = st.text(alphabet="ab .;\n𝒜é’1", max_size=900)


@given(TEXTS)
def test_windows_hold_every_word_once_and_in_place(text: str) -> None:
    """A word that falls between two windows is a clause nobody reads."""
    windows = cut(text, shortest=8, longest=20)
    assert [span for window in windows for span in window.spans] == spans(text)
    assert [word for window in windows for word in window.words] == words(text)
    assert all(len(window) <= 20 for window in windows)


def test_a_window_ends_with_a_paragraph_when_one_is_near() -> None:
    """A clause cut in half is a clause half found."""
    text = "one two three four five.\n\nsix seven eight nine ten. eleven twelve"
    assert [window.words[-1] for window in cut(text, shortest=4, longest=9)] == [".", "twelve"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=4))
def test_marks_survive_words_and_back(places: list[tuple[int, int]]) -> None:
    """What people marked must be what the model is taught and what it is judged by."""
    text = " ".join(f"w{i}" for i in range(80))
    (window,) = cut(text, shortest=100, longest=100)
    stretches = [window.spans[first : first + length] for first, length in places]
    marks = [Marked(stretch[0][0], stretch[-1][1], "A") for stretch in stretches]
    numbers = to_words(window, marks, ["A"])
    assert numbers == [[first, first + length, 0] for first, length in places]


def test_found_stretches_slice_back_to_their_words_beyond_the_basic_plane() -> None:
    """Offsets count code points: a mathematical letter is one of them, though two in UTF-16."""
    text = "𝒜𝒜 alpha 𝒷 beta gamma"
    probabilities = np.array([[0.1], [0.9], [0.8], [0.7], [0.0]], np.float32)
    (found,) = find(probabilities, spans(text), bridge=0)
    assert text[found.start : found.end] == "alpha 𝒷 beta"
    assert found.strength == pytest.approx(0.8)


def test_a_gap_of_a_few_words_does_not_split_a_clause() -> None:
    """A clause shown in three pieces is read as three clauses."""
    probabilities = np.array([[0.9], [0.1], [0.9], [0.0], [0.0], [0.0], [0.0], [0.6]], np.float32)
    places = [(i * 2, i * 2 + 1) for i in range(8)]
    assert [(f.start, f.end) for f in find(probabilities, places)] == [(0, 5), (14, 15)]


def test_a_window_reads_the_same_alone_and_beside_a_longer_one() -> None:
    """Padding that leaks would make a contract's clauses depend on its neighbours."""
    torch.manual_seed(0)
    model = SpanTagger(SpanTagger.Config(words=50, labels=3)).eval()
    numbers = WordNumbers([f"w{i}" for i in range(50)])
    short, long = (
        Example(numbers.encode(cut(" ".join(f"w{i}" for i in range(n)))[0]), []) for n in (5, 40)
    )
    alone = word_probabilities(model, [short])
    beside = word_probabilities(model, [short, long])[:5]
    np.testing.assert_allclose(alone, beside, atol=1e-6)


def test_whole_sentences_are_found_and_an_abbreviation_ends_none() -> None:
    """A clause that stops at "Inc." hides what it says."""
    text = "He sold Acme Inc. shares today. Nobody minded. It rained all day."
    places = spans(text)
    starts = sentence_starts(text, places)
    on = np.array([0.9 if place[0] < text.index("Nobody") else 0.1 for place in places], np.float32)
    (found,) = find_sentences(on, places, starts, label=0, seed=0.5)
    assert text[found.start : found.end].startswith("He sold")
    assert text[found.start : found.end].endswith("today.")


def test_overlap_is_the_share_of_the_union() -> None:
    """A measure that forgave half a clause would hide it."""
    assert overlap((0, 10), (5, 10)) == 0.5
    assert overlap((0, 5), (5, 10)) == 0.0


def test_one_found_stretch_is_right_about_its_own_label_only() -> None:
    """Right place, wrong clause is wrong."""
    probabilities = np.array([[0.9, 0.0], [0.9, 0.0]], np.float32)
    found = find(probabilities, [(0, 1), (2, 3)])
    assert judge(found, [Marked(0, 3, "A")], ["A", "B"]).right.tolist() == [True]
    assert judge(found, [Marked(0, 3, "B")], ["A", "B"]).right.tolist() == [False]


def test_average_precision_ranks() -> None:
    """Early stopping follows this figure; a wrong one keeps the wrong weights."""
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("as of January 5, 2019", "2019-01-05"),
        ("this 5th day of May, 2019", "2019-05-05"),
        ("12/31/2020", "2020-12-31"),
        ("on 2001-02-30 or Sept. 3 2001", "2001-09-03"),
        ("until terminated", None),
        ("from February 1, 2026 to July 31, 2026", None),
    ],
)
def test_dates_are_read_only_where_they_are_whole(text: str, date: str | None) -> None:
    """A guessed date in a contract is worse than none."""
    assert date_in(text) == date
    assert value_of("Agreement Date", text) == date
    assert value_of("Insurance", text) is None


def annotated(count: int) -> list[Annotated]:
    """Return small contracts of our own in which a law and a date are marked."""
    rows = []
    for i in range(count):
        state, day = ("Ohio", "Utah", "Iowa")[i % 3], 1 + i % 27
        law = f"This paper is governed by the laws of {state}."
        date = f"March {day}, 2020"
        text = f"Made on {date} between us.\n\nThe parties shall meet twice a year.\n\n{law}\n"
        marks = [(date, "Date"), (law, "Law")]
        found = [(text.index(part), part, label) for part, label in marks]
        rows.append(
            Annotated(text, tuple(Marked(at, at + len(part), label) for at, part, label in found))
        )
    return rows


def test_a_tagger_learns_saves_and_reads_the_same(tmp_path: Path) -> None:
    """What was trained must be what is served, hash for hash and clause for clause."""
    recipe = TaggerRecipe(
        encoder=EncoderConfig(hidden_size=32),
        epochs=24,
        patience=0,
        average=0.0,
        learning_rate=1e-2,
        tagging=TaggingSettings(items=8),
    )
    trained = train_tagger(annotated(60), annotated(12), recipe)
    assert trained.dev["f1"] > 0.9
    trained.tagger.save(tmp_path / "laws", card="A card.")
    loaded = load_tagger(tmp_path / "laws")
    text = "𝒜 note.\n\n" + annotated(5)[4].text
    (date, law) = loaded.entities(text)
    assert text[law.start : law.end] == "This paper is governed by the laws of Utah."
    assert (date.label, law.label) == ("Date", "Law")
    before = [(e.start, e.end, e.label) for e in trained.tagger.entities(text)]
    assert before == [(e.start, e.end, e.label) for e in (date, law)]


def test_a_doubtful_stretch_asks_for_a_person() -> None:
    """A doubt that is not shown is a mistake that nobody looks at."""
    calibration = TagCalibration(seeds=(0.5,), sentences=(False,), biases=(0.0,), threshold=0.8)
    tagger = Tagger(
        SpanTagger(SpanTagger.Config(words=2, labels=1)), ["", "a"], ("A",), calibration
    )
    sure, unsure = (
        tagger._entity(find(np.array([[p]], np.float32), [(0, 1)])[0], "a") for p in (0.9, 0.6)
    )
    assert sure.confidence == pytest.approx(0.9)
    assert not tagger.doubtful([sure])
    assert tagger.doubtful([sure, unsure])


def test_marks_outside_their_text_are_said_with_their_row(tmp_path: Path) -> None:
    """Offsets of another tool, in bytes or UTF-16, would silently teach the wrong words."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "abc", "spans": [{"start": 1, "end": 9, "label": "A"}]}\n')
    with pytest.raises(BadFile, match="row 1"):
        read_annotations(path)


def test_too_little_is_said_before_training() -> None:
    """Hours of training on three texts would end in a model that knows nothing."""
    with pytest.raises(NotEnoughData, match="3 texts"):
        labels_of(annotated(3))
