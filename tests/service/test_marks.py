"""Marks in a text: the pieces say the same text, each under the right mark, window by window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service import marks

TEXT = "The 🛏 was lovely, e\u0301clair cold."
SPANS = st.lists(
    st.fixed_dictionaries(
        {
            "start": st.integers(-2, 60),
            "end": st.integers(-2, 60),
            "weight": st.floats(-1, 1, allow_nan=False),
            "label": st.sampled_from(["PARTY", "DATE", "LAW"]),
        }
    ),
    max_size=12,
)


@given(text=st.text(max_size=50), found=SPANS)
def test_pieces_are_the_text(text: str, found: list[dict[str, object]]) -> None:
    """Whatever a model marks, not a character is lost, doubled or moved."""
    spans = marks.spans_of(found, len(text))
    window = marks.window_of(len(text), 0)
    hues = marks.hues_of(span.label for span in spans)
    assert "".join(p.text for p in marks.mark_evidence(text, spans, window)) == text
    assert "".join(p.text for p in marks.mark_entities(text, spans, window, hues)) == text


@given(text=st.text(min_size=1, max_size=50), found=SPANS)
def test_a_character_is_marked_if_and_only_if_a_span_covers_it(
    text: str, found: list[dict[str, object]]
) -> None:
    """A mark beside its words would show evidence that is none."""
    spans = marks.spans_of(found, len(text))
    pieces = marks.mark_entities(
        text, spans, marks.window_of(len(text), 0), marks.hues_of(s.label for s in spans)
    )
    for piece in pieces:
        for i in range(piece.start, piece.start + len(piece.text)):
            covering = {span.label for span in spans if span.start <= i < span.end}
            assert bool(piece.hue) == bool(covering)
            assert not covering or piece.label in covering


def test_offsets_count_code_points() -> None:
    """An emoji is one character here, as in the outcome, and two in JavaScript."""
    found = [{"start": TEXT.index("lovely"), "end": TEXT.index("lovely") + 6, "weight": 1.0}]
    spans = marks.spans_of(found, len(TEXT))
    pieces = marks.mark_evidence(TEXT, spans, marks.window_of(len(TEXT), 0))
    assert [piece.text for piece in pieces if piece.shade] == ["lovely"]


def test_the_heaviest_evidence_is_the_darkest() -> None:
    """Shades follow weights, and what speaks against is told apart."""
    found = [
        {"start": 0, "end": 1, "weight": 0.2},
        {"start": 2, "end": 3, "weight": 0.9},
        {"start": 4, "end": 5, "weight": -0.9},
    ]
    window = marks.window_of(10, 0)
    shades = {
        p.text: (p.shade, p.against)
        for p in marks.mark_evidence("abcdefghij", marks.spans_of(found, 10), window)
    }
    assert shades["a"] == (1, False)
    assert shades["c"] == (5, False)
    assert shades["e"] == (5, True)


@given(length=st.integers(0, 200_000), at=st.integers(-10, 300_000))
def test_windows_tile_a_text(length: int, at: int) -> None:
    """Going on and on from the first window shows all of a text, and each part once."""
    window = marks.window_of(length, at)
    assert 0 <= window.start <= window.end <= length
    assert window.end - window.start <= marks.WINDOW
    shown = marks.window_of(length, 0)
    place = shown.end
    while shown.after is not None:
        shown = marks.window_of(length, shown.after)
        assert shown.start == place
        place = shown.end
    assert place == length


def test_a_span_across_two_windows_is_marked_in_both() -> None:
    """A clause that crosses the border does not lose its second half."""
    text = "x" * (marks.WINDOW + 10)
    spans = marks.spans_of([{"start": marks.WINDOW - 5, "end": marks.WINDOW + 5, "label": "A"}],
                           len(text))  # fmt: skip
    for at in (0, marks.WINDOW):
        pieces = marks.mark_entities(text, spans, marks.window_of(len(text), at), {"A": 1})
        assert [len(piece.text) for piece in pieces if piece.hue] == [5]


def test_the_innermost_entity_wins() -> None:
    """A date inside a clause is shown as the date, the rest as the clause."""
    found = [{"start": 0, "end": 10, "label": "CLAUSE"}, {"start": 3, "end": 5, "label": "DATE"}]
    pieces = marks.mark_entities(
        "abcdefghij", marks.spans_of(found, 10), marks.window_of(10, 0), {"CLAUSE": 1, "DATE": 2}
    )
    assert [(p.text, p.label) for p in pieces] == [
        ("abc", "CLAUSE"),
        ("de", "DATE"),
        ("fghij", "CLAUSE"),
    ]
