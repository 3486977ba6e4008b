"""A small classifier trained on texts made here, and files of such texts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from nlp.examples import Examples
from nlp.features import FeatureSettings
from nlp.recipe import Recipe
from nlp.training import Trained, train_classifier

# a busy machine is no bug: the first example also pays for imports
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

WISHES = {
    "refund": ["I want my money back", "please refund the payment", "return my money for it"],
    "delivery": ["where is my parcel", "the package did not arrive", "when will it be delivered"],
    "password": ["I forgot my password", "cannot log in to the account", "reset my login please"],
}
OUTSIDE = ["what a lovely sunny day", "the cat sleeps on the roof", "they sang songs all night"]
ENDS = ["", "!", " now", " today please", " thanks a lot", ", order 4711", " 😀 really"]
STARTS = ["", "Hello, ", "Dear team, ", "Hi there. ", "Again: ", "Sorry but "]


def made(rows: int, *, seed: int, outside: bool = False) -> Examples:
    """Return texts with their wishes, of few words in many orders."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    names = [*WISHES, "elsewhere"] if outside else list(WISHES)
    for i in range(rows):
        label = names[i % len(names)]
        middle = generator.choice(WISHES.get(label, OUTSIDE))
        texts.append(f"{generator.choice(STARTS)}{middle}{generator.choice(ENDS)}")
        labels.append(label)
    return Examples(texts, {"wish": list(labels)})


SMALL = Recipe(
    hidden_size=8,
    epochs=4,
    items=16,
    learning_rate=0.01,
    average=0.0,
    teacher="none",
    part_length=6,  # so that most texts are read in several parts
    features=FeatureSettings(ngrams=400, document_words=200, general_words=0),
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small models are slower on many threads, and the tests run beside each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained() -> Trained:
    """A classifier of three wishes."""
    torch.set_num_threads(1)
    return train_classifier(made(240, seed=0), made(60, seed=1), SMALL)


@pytest.fixture(scope="session")
def scoped() -> Trained:
    """One that also tells what is no wish at all."""
    torch.set_num_threads(1)
    recipe = Recipe(**(vars(SMALL) | {"out_of_scope": "elsewhere"}))
    return train_classifier(made(240, seed=0, outside=True), made(80, seed=1, outside=True), recipe)


@pytest.fixture(scope="session")
def weights_folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier of three wishes as a weights folder."""
    folder = tmp_path_factory.mktemp("weights") / "wishes" / "1"
    trained.classifier.config = {"name": "wishes", "version": "1", "languages": ["en"]}
    trained.classifier.save(folder, card="# wishes\n")
    return folder


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes examples to a file of JSON lines."""

    def write(examples: Examples, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        lines = [
            json.dumps({"text": text, "label": label})
            for text, label in zip(examples.texts, examples.labels["wish"], strict=True)
        ]
        content = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write
