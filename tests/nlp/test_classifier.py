"""A trained classifier: what it learned, that it says so honestly, and that it stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nlp.calibration import OUT_OF_SCOPE
from nlp.classifier import load_classifier
from nlp.evaluation import figures_of, truth_of
from nlp.examples import Examples
from nlp.training import Trained, train_classifier
from sequence.errors import ArtifactDamaged
from tests.nlp.conftest import SMALL, made

TEST = made(90, seed=7)


def test_it_learns(trained: Trained) -> None:
    """Texts it has not seen, in words it has, are told apart."""
    answer = trained.classifier.probabilities(TEST.texts)["wish"]
    truth = truth_of([str(v) for v in TEST.labels["wish"]], trained.classifier, "wish")
    assert (answer.values.argmax(1) == truth).mean() > 0.95
    assert np.allclose(answer.values.sum(1), 1, atol=1e-5)


def test_misspelt_words_are_read_by_their_spelling(trained: Trained) -> None:
    """Words the vocabulary does not hold still say something."""
    answer = trained.classifier.probabilities(["forgott my pasword"])["wish"]
    assert answer.names[int(answer.values.argmax())] == "password"


def test_one_alone_is_as_one_of_many(trained: Trained) -> None:
    """A document's scores depend on no other document, long ones read in parts included."""
    texts = [*TEST.texts[:5], " ".join(TEST.texts), "", "😀"]
    many = trained.classifier.scores(texts).total
    alone = torch.cat([trained.classifier.scores([text]).total for text in texts])
    torch.testing.assert_close(many, alone, rtol=1e-4, atol=1e-4)


def test_a_document_too_long_for_memory_is_read_in_slices(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states of a long document need not all be in memory, and nothing changes by that."""
    text = " ".join(TEST.texts)
    whole = trained.classifier.scores([text]).total
    monkeypatch.setattr("nlp.models.text_classifier._SLICE", 12)
    documents = trained.classifier.lexicon.encode([text.split()])
    assert len(documents[0]) > 100
    from nlp.fitting import predict
    from nlp.tokens import words

    encoded = trained.classifier.lexicon.encode([words(text)])
    sliced = predict(trained.classifier.model, trained.classifier.lexicon, encoded, 6, steps=4)
    torch.testing.assert_close(sliced.total, whole, rtol=1e-4, atol=1e-4)


def test_the_same_seed_gives_the_same_model() -> None:
    """A training can be run again."""
    train, dev = made(60, seed=0), made(30, seed=1)
    recipe = type(SMALL)(**(vars(SMALL) | {"epochs": 1}))
    first, second = (train_classifier(train, dev, recipe).classifier for _ in range(2))
    assert torch.equal(first.scores(TEST.texts).total, second.scores(TEST.texts).total)


def test_saved_and_loaded_it_gives_the_same_answers(trained: Trained, weights_folder: Path) -> None:
    """Eight bits cost no answer, and a changed byte is found out."""
    loaded = load_classifier(weights_folder)
    before = trained.classifier.probabilities(TEST.texts)["wish"]
    after = loaded.probabilities(TEST.texts)["wish"]
    assert np.abs(before.values - after.values).max() < 0.02
    assert (before.values.argmax(1) == after.values.argmax(1)).all()

    copy = weights_folder.parent / "2"
    copy.mkdir()
    for file in weights_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "vocabulary.txt").open("ab") as damaged:
        damaged.write(b"\nx")
    with pytest.raises(ArtifactDamaged):
        load_classifier(copy)


def test_out_of_scope_is_told_and_costs_few_in_scope(scoped: Trained) -> None:
    """What is no wish is rejected; the threshold keeps its promise on dev."""
    classifier = scoped.classifier
    dev = made(80, seed=1, outside=True)
    answer = classifier.probabilities(dev.texts)["wish"]
    truth = truth_of([str(v) for v in dev.labels["wish"]], classifier, "wish")
    figures = figures_of(answer, truth, classifier.calibration["wish"].threshold)

    assert answer.names[-1] == OUT_OF_SCOPE
    assert np.allclose(answer.values.sum(1), 1, atol=1e-5)
    assert figures["false_rejection"] <= 0.05
    assert figures["recall_out_of_scope"] > 0.9
    assert figures["accuracy_in_scope"] > 0.95


def test_several_heads_learn_from_rows_that_know_only_one() -> None:
    """A row without a head's label teaches the others and leaves that one alone."""
    examples = made(240, seed=0)
    half = len(examples) // 2
    urgent = ["yes" if "now" in t or "today" in t else "no" for t in examples.texts]
    both = Examples(
        examples.texts,
        {
            "wish": [*examples.labels["wish"][:half], *([None] * half)],
            "urgent": [*([None] * half), *urgent[half:]],
        },
    )
    trained = train_classifier(both, both, SMALL)
    answers = trained.classifier.probabilities(["reset my login please now"])
    assert set(answers) == {"wish", "urgent"}
    assert answers["wish"].names[int(answers["wish"].values.argmax())] == "password"
    assert answers["urgent"].names[int(answers["urgent"].values.argmax())] == "yes"


def test_a_teachers_opinion_is_learned_from_texts_nobody_labelled() -> None:
    """Texts with nothing but a teacher's distribution teach."""
    examples = made(120, seed=0)
    names = ("delivery", "password", "refund")
    taught = np.full((len(examples), 3), 0.02, dtype=np.float32)
    for i, label in enumerate(examples.labels["wish"]):
        taught[i, names.index(str(label))] = 0.96
    unlabelled = Examples(examples.texts, {"wish": [None] * len(examples)}, {"wish": taught})
    trained = train_classifier(unlabelled, made(30, seed=1), SMALL, heads={"wish": names})
    answer = trained.classifier.probabilities(TEST.texts)["wish"]
    truth = truth_of([str(v) for v in TEST.labels["wish"]], trained.classifier, "wish")
    assert (answer.values.argmax(1) == truth).mean() > 0.9
