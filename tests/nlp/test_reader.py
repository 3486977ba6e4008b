"""What a reader promises for any batch: order, failures in place, evidence that slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlp import evidence
from nlp.batch import make_batch
from nlp.errors import UnknownModel
from nlp.evidence import spans_of
from nlp.language import language_of
from nlp.outcome import Failure, Item, Outcome
from nlp.reader import Reader, load_reader
from nlp.tokens import spans, words
from nlp.training import Trained
from nlp.weights import find, next_version, versions

TEXTS = [
    "I want my money back 😀 today please",
    "Dear team, where is my parcel? It did not arrive, the package.",
    "Again: I forgot my pässword \U0001f468‍\U0001f469‍\U0001f467 and cannot log in to the account",
]


@pytest.fixture
def reader(weights_folder: Path) -> Reader:
    """A reader of the three wishes."""
    return load_reader(str(weights_folder))


def test_outcomes_come_in_order_whatever_stands_between(reader: Reader) -> None:
    """A bad item is a failure in its place, and changes nobody else's answer."""
    items = [Item(TEXTS[0]), Item("  \n"), Item(TEXTS[1]), Item(None), Item(TEXTS[2])]  # type: ignore[arg-type]
    results = reader(items)

    found = [r.labels["wish"].value for r in results if isinstance(r, Outcome)]
    assert found == ["refund", "delivery", "password"]
    assert [r.code for r in results if isinstance(r, Failure)] == ["no_text", "bad_item"]
    assert isinstance(results[1], Failure)
    assert isinstance(results[3], Failure)
    alone = [reader([item])[0] for item in items]
    for together, one in zip(results, alone, strict=True):
        if isinstance(together, Outcome) and isinstance(one, Outcome):
            assert together.labels["wish"].value == one.labels["wish"].value


@pytest.mark.parametrize("text", TEXTS)
def test_evidence_slices_to_words_of_the_text(reader: Reader, text: str) -> None:
    """Offsets count code points, behind emoji of several too; weights are shares."""
    (outcome,) = reader([Item(text)])
    assert isinstance(outcome, Outcome)
    label = outcome.to_json()["labels"]["wish"]
    starts = {a for a, _ in spans(text)}
    ends = {b for _, b in spans(text)}

    assert label["evidence"]
    for piece in label["evidence"]:
        assert piece["start"] in starts
        assert piece["end"] in ends
        assert text[piece["start"] : piece["end"]].strip()
    assert 0 < sum(piece["weight"] for piece in label["evidence"]) <= 1.001


def test_the_evidence_is_what_the_answer_hangs_on(reader: Reader, trained: Trained) -> None:
    """Without the words shown the model is less sure; without as many others, hardly."""
    text = "Hello, I forgot my password today please"
    (outcome,) = reader([Item(text)])
    assert isinstance(outcome, Outcome)
    label = outcome.labels["wish"]
    shown = {text[e.start : e.end] for e in label.evidence}
    assert any("password" in piece or "forgot" in piece for piece in shown)
    without = text
    for piece in sorted(label.evidence, key=lambda e: -e.start):
        without = without[: piece.start] + without[piece.end :]
    (after,) = reader([Item(without or "x")])
    assert isinstance(after, Outcome)
    lost = after.labels["wish"]
    assert lost.value != label.value or lost.confidence < label.confidence


def test_contributions_add_up_to_the_score(trained: Trained) -> None:
    """Evidence is no story told afterwards: words' shares are the score, to rounding."""
    classifier = trained.classifier
    model = classifier.model
    documents = classifier.lexicon.encode([words(text) for text in TEXTS])
    batch = make_batch(documents, classifier.lexicon, part_length=classifier.part_length)
    scores, told = model.scores_and_states(batch, keep=10**6)
    answers = np.array([0, 1, 2])
    wanted = evidence.directions(model, slice(0, 3), answers, (1.0, 1.0))
    added = evidence.contributions(model, batch, told, wanted)

    contrast = np.full((3, 3), -0.5) + 1.5 * np.eye(3)
    assert model.head is not None
    bias = model.head.bias.detach().numpy()
    expected = ((scores.total.detach().numpy() - bias) * contrast).sum(1)
    starts = np.cumsum(batch.lengths) - batch.lengths
    np.testing.assert_allclose(np.add.reduceat(added, starts), expected, rtol=1e-3, atol=1e-3)


def test_neighbours_are_joined_and_little_is_left_out() -> None:
    """Words that stand side by side are one span; what spoke against the answer is not shown."""
    text = "very very bad film, sadly"
    found = spans_of(np.array([0.3, 0.3, 0.3, -0.5, 0.0, 0.1]), spans(text), text)
    assert [(text[e.start : e.end], round(e.weight, 2)) for e in found] == [("very very bad", 0.9)]
    assert spans_of(np.zeros(6), spans(text), text) == ()


def test_another_language_is_said_and_not_guessed_at(reader: Reader) -> None:
    """German is German: no label, in need of review, and how much was read is nothing."""
    german = "Ich möchte mein Geld zurück, denn die Ware ist leider beschädigt angekommen."
    (outcome,) = reader([Item(german)])
    assert isinstance(outcome, Outcome)
    label = outcome.to_json()
    assert label["language"] == "de"
    assert label["labels"]["wish"]["value"] is None
    assert label["labels"]["wish"]["needs_review"] is True
    assert label["read"] == {"characters": 0, "of": len(german)}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("refund pls", None),
        ("ok", None),
        ("12345 !!", None),
        ("Where is my order?", "en"),
        ("Je voudrais être remboursé parce que le produit est cassé", "fr"),
        ("¿Dónde está mi pedido? No ha llegado todavía y estoy esperando", "es"),
        ("我想退款，因为商品坏了。请尽快处理。", "zh"),
        ("Где мой заказ? Я жду уже две недели.", "ru"),
    ],
)
def test_little_text_is_not_taken_for_another_language(text: str, language: str | None) -> None:
    """A few words are nobody's language; a sentence, or another script, is."""
    assert language_of(text) in ({language, "en"} if language is None else {language})


def test_a_reader_that_fails_on_one_text_reads_the_others(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a fault of the model's own takes only the text that brings it about."""
    read = reader._model.read

    def faulty(items: list[Item], *rest: object, **more: object) -> list[Outcome]:
        if any("poison" in item.text for item in items):
            raise RuntimeError("broken")
        return read(items, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reader._model, "read", faulty)
    results = reader([Item(TEXTS[0]), Item("this is the poison here"), Item(TEXTS[1])])
    assert [getattr(r, "code", "read") for r in results] == ["read", "unreadable_text", "read"]


def test_models_are_found_by_name_version_and_folder(weights_folder: Path) -> None:
    """The newest version unless one is said; what is not there is said with what is."""
    models = weights_folder.parent.parent
    assert find("wishes@1", models) == find(str(weights_folder)) == weights_folder
    assert find("wishes", models).parent.name == "wishes"
    assert versions("wishes", models)[0] == "1"
    assert int(next_version("wishes", models)) > 1
    for wrong in ("nobody", "wishes@99", "../wishes", ""):
        with pytest.raises(UnknownModel):
            find(wrong, models)
