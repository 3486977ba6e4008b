"""Words, where they stand, and what is looked up for them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.batch import make_batch
from nlp.features import FeatureSettings, choose_ngrams, choose_words, normalised
from nlp.lexicon import Lexicon, NgramTable, pair_keys, spelling_keys, word_key
from nlp.sentences import sentences
from nlp.tokens import normal, spans, words


@given(st.text())
def test_places_slice_to_the_words(text: str) -> None:
    """Every word stands where it is said to stand, in code points, whatever the text."""
    assert [text[a:b] for a, b in spans(text)] == words(text)


@given(st.text(min_size=1))
def test_no_letter_is_lost(text: str) -> None:
    """Words together are the text without its white space."""
    joined = "".join(words(text))
    assert [c for c in joined if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't, it's", ["I", "do", "n't", ",", "it", "'s"]),
        ("we’ll WON’T", ["we", "’ll", "WO", "N’T"]),
        ("a 😀b", ["a", "😀", "b"]),
    ],
)
def test_words_are_split_as_the_vectors_were(text: str, expected: list[str]) -> None:
    """What GloVe calls two words are two words here, or their vectors are never found."""
    assert words(text) == expected
    assert [normal(w) for w in ("WON’T", "N’T")] == ["won't", "n't"]


@given(st.lists(st.text(alphabet="ab c.!?\n", max_size=30), max_size=4))
def test_sentences_hold_every_word_once(pieces: list[str]) -> None:
    """Sentences are in order, do not overlap, and miss nothing but white space."""
    text = " ".join(pieces)
    found = sentences(text)
    assert all(a < b for a, b in found)
    assert all(left[1] <= right[0] for left, right in pairwise(found))
    covered = "".join(text[a:b] for a, b in found)
    assert "".join(covered.split()) == "".join(text.split())


def test_a_greeting_and_a_list_are_no_part_of_the_sentence_after_them() -> None:
    """Mail has lines that end in no full stop; an abbreviation's full stop ends nothing."""
    text = "Hi Bob\n\nDr. Smith called. Can you call back?\n- today\n- or tomorrow\n\nAnn"
    assert [text[a:b] for a, b in sentences(text)] == [
        "Hi Bob",
        "Dr. Smith called.",
        "Can you call back?",
        "- today",
        "- or tomorrow",
        "Ann",
    ]


def small_lexicon(documents: list[list[str]], *, limit: int = 1000) -> Lexicon:
    """Return a lexicon of these documents' words and n-grams."""
    settings = FeatureSettings(least=1, ngrams=500, document_words=100, general_words=0)
    forms = normalised(documents)
    table = choose_ngrams(forms, None, settings)
    return Lexicon(choose_words(forms, None, settings), table, spelling=True, limit=limit)


def test_a_misspelt_word_shares_its_spelling() -> None:
    """An unknown word is known by its parts: most of `refnund` is in `refund`s n-grams."""
    assert set(spelling_keys("refund")) & set(spelling_keys("refunds"))
    assert word_key("the") not in spelling_keys("the")
    a, b = np.array([1, 2], np.uint32), np.array([2, 1], np.uint32)
    assert pair_keys(a, b)[0] != pair_keys(a, b)[1], "the order of a pair counts"


def test_unknown_keys_have_no_row() -> None:
    """A key between, before or behind the known ones is not taken for one of them."""
    table = NgramTable(np.array([5, 9], np.uint32), np.ones(2, np.float32))
    assert table.rows(np.array([0, 5, 7, 9, 4_000_000_000], np.uint32)).tolist() == [
        -1,
        0,
        -1,
        1,
        -1,
    ]
    assert NgramTable.empty().rows(np.array([5], np.uint32)).tolist() == [-1]


def test_a_word_counts_once_a_document_and_pairs_keep_to_theirs() -> None:
    """Bags say what stands in a document: not how often, and nothing across two documents."""
    documents = [["red", "fox"], ["fox", "fox", "red"], []]
    lexicon = small_lexicon(documents)
    batch = make_batch(lexicon.encode(documents), lexicon)
    keys = lexicon.ngrams.keys[batch.rows_F.numpy()]
    owner = batch.documents_F
    fox, red = word_key("fox"), word_key("red")
    both = pair_keys(np.array([red], np.uint32), np.array([fox], np.uint32))[0]

    assert [(keys[owner == i] == fox).sum() for i in range(3)] == [1, 1, 0]
    assert [(keys[owner == i] == both).sum() for i in range(3)] == [1, 0, 0]
    squares = np.bincount(owner, batch.weights_F.numpy() ** 2, minlength=3)
    assert np.allclose(squares, [1, 1, 0], atol=1e-5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 9))
def test_parts_hold_every_word_in_order(lengths: list[int], part_length: int) -> None:
    """A document cut into parts is the document; no part is too long."""
    documents = [[f"w{i}" for i in range(length)] for length in lengths]
    lexicon = small_lexicon([*documents, ["x"]])
    batch = make_batch(lexicon.encode(documents), lexicon, part_length=part_length)

    assert int(batch.words_CT.lengths.max()) <= part_length
    rows = iter(batch.words_CT.to_list())
    for document, count in zip(documents, batch.parts_G.tolist(), strict=True):
        read = [int(i) for _ in range(count) for i in next(rows)]
        assert read == [lexicon.words[word] for word in document]


def test_memory_stays_flat_over_ever_new_words() -> None:
    """A lexicon that is full starts anew between two batches, and answers as before."""
    lexicon = small_lexicon([["red", "fox"]], limit=50)
    first = make_batch(lexicon.encode([["red", "fox"]]), lexicon)
    for i in range(40):
        lexicon.encode([[f"new{i}-{j}" for j in range(10)]])
    again = make_batch(lexicon.encode([["red", "fox"]]), lexicon)

    assert len(lexicon.types) <= 70
    assert again.words_CT.values.tolist() == first.words_CT.values.tolist()
    assert again.rows_F.tolist() == first.rows_F.tolist()
