"""Labelled examples beside a text: near ones, of the right label, only where they are wanted."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlp import neighbours
from nlp.errors import BadParcel
from nlp.neighbours import (
    EXAMPLES,
    VECTORS,
    Projection,
    Representation,
    chosen,
    files_of,
    index_of,
    index_of_parcel,
)
from nlp.outcome import Item, Outcome
from nlp.parcel import pack
from nlp.reader import load_reader
from nlp.trainer import Job, train_file
from sequence.artifact import load_artifact
from sequence.errors import ArtifactDamaged
from tests.nlp.conftest import SMALL, WISHES, made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder that `mailroom train` makes, its examples with it."""
    return trained(tmp_path_factory.mktemp("kept"))


def trained(place: Path, **options: bool) -> Path:
    """Train on wishes and return the weights folder."""
    torch.set_num_threads(1)
    examples = made(240, seed=0)
    rows = zip(examples.texts, examples.labels["wish"], strict=True)
    lines = [json.dumps({"text": text, "wish": wish}) for text, wish in rows]
    file = place / "wishes.jsonl"
    file.write_text("\n".join(lines))
    job = Job(name="wishes", file=file, models_dir=place / "models", label="wish", recipe=SMALL)
    return train_file(replace(job, **options)).folder  # type: ignore[arg-type]


def test_neighbours_of_a_text_are_rows_of_the_file_with_its_label(folder: Path) -> None:
    """What is shown beside an answer is what somebody labelled, and where to find it."""
    reader = load_reader(str(folder))
    lines = (folder.parents[2] / "wishes.jsonl").read_text().splitlines()
    for wish, texts in WISHES.items():
        found = reader.neighbours(f"Hello, {texts[0]} now", 5)
        assert len(found) == 5
        assert [one.similarity for one in found] == sorted(
            (one.similarity for one in found), reverse=True
        )
        assert Counter(one.labels["wish"] for one in found).most_common(1)[0][0] == wish
        for one in found:
            row = json.loads(lines[one.row - 1])
            assert (" ".join(row["text"].split()), row["wish"]) == (one.excerpt, wish)
    config = load_artifact(folder).config
    assert config["examples"] == 216  # all but dev's tenth
    assert config["scores"]["wish"]["neighbours_agree"] > 0.9
    assert "excerpts of 216 rows" in (folder / "README.md").read_text()


def test_a_text_lies_on_itself_whatever_is_read_beside_it(folder: Path) -> None:
    """The vector that a batch leaves in the ledger finds what the text alone would."""
    reader = load_reader(str(folder))
    example = json.loads((folder / EXAMPLES).read_text().splitlines()[7])
    items = [Item(example["text"]), Item("short"), Item("a far longer text beside it " * 20)]
    assert reader(items)[0].vector is None  # type: ignore[union-attr]  # nobody asked for it
    answer = reader(items, vectors=True)[0]
    assert isinstance(answer, Outcome)
    assert answer.vector is not None
    assert "vector" not in answer.to_json()
    (nearest,) = reader.nearest(answer.vector, 1)
    assert nearest.similarity > 0.99
    assert nearest.excerpt == example["text"]
    assert reader.neighbours(example["text"], 3) == reader.nearest(answer.vector, 3)


def test_examples_can_be_left_out(tmp_path: Path) -> None:
    """A model to be handed on need not carry what people wrote, nor quote it in its report."""
    folder = trained(tmp_path, examples=False)
    assert not (folder / EXAMPLES).exists()
    assert not (folder / VECTORS).exists()
    assert "Carries no texts" in (folder / "README.md").read_text()
    report = (folder / "report.html").read_text()
    assert not any(text in report for texts in WISHES.values() for text in texts)
    reader = load_reader(str(folder))
    assert reader.neighbours("where is my parcel", 5) == []
    pack(folder, tmp_path / "model.tar")
    assert index_of_parcel(tmp_path / "model.tar") is None


def test_a_model_from_before_shows_none(weights_folder: Path) -> None:
    """Versions without an index, and shipped weights, answer as they always did."""
    assert load_reader(str(weights_folder)).neighbours("where is my parcel", 5) == []


def test_the_index_in_a_packed_model_is_the_folder_s(folder: Path, tmp_path: Path) -> None:
    """The page reads the stored file and finds what the worker would; a damaged one nothing."""
    pack(folder, tmp_path / "model.tar")
    index = index_of_parcel(tmp_path / "model.tar")
    assert index is not None
    answer = load_reader(str(folder))([Item("my parcel is late")], vectors=True)[0]
    assert isinstance(answer, Outcome)
    assert answer.vector is not None
    assert index.nearest(answer.vector, 4) == load_reader(str(folder)).nearest(answer.vector, 4)
    assert index.nearest(answer.vector[:-2], 4) == []  # another version's vector
    assert index.nearest(answer.vector, 10_000)[-1].row  # all there are, and no more

    changed = (tmp_path / "model.tar").read_bytes().replace(b'"row":', b'"now":', 1)
    (tmp_path / "bad.tar").write_bytes(changed)
    (tmp_path / "none.tar").write_bytes(b"no tar" * 300)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for name in ("bad.tar", "none.tar", "empty.tar"):
        with pytest.raises(BadParcel):
            index_of_parcel(tmp_path / name)


def test_changed_examples_are_not_shown(tmp_path: Path) -> None:
    """The manifest speaks for them as for the weights."""
    folder = trained(tmp_path)
    reader = load_reader(str(folder))
    path = folder / EXAMPLES
    path.write_bytes(path.read_bytes().replace(b"refund", b"urgent", 1))
    with pytest.raises(ArtifactDamaged):
        reader.neighbours("where is my parcel", 5)


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    cap=st.integers(1, 100),
    seed=st.integers(0, 5),
)
def test_what_is_kept_is_spread_over_labels(counts: list[int], cap: int, seed: int) -> None:
    """A rare label has its examples beside a common one's, however few may be kept."""
    labels = [f"label {i}" for i, count in enumerate(counts) for _ in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "MOST_ROWS", cap)
        rows = chosen(labels, ["text"] * len(labels), seed=seed)
    assert len(rows) == min(cap, len(labels))
    assert rows == sorted(set(rows))
    kept = Counter(labels[i] for i in rows)
    most = max(kept.values())
    for i, count in enumerate(counts):
        assert kept[f"label {i}"] >= min(count, most - 1)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts are cut, and files of any size keep the model small."""
    monkeypatch.setattr(neighbours, "MOST_BYTES", 20_000)
    texts = [f"row {i} " + "word 💡 " * 10_000 for i in range(200)]
    labels = ["a" if i % 2 else "b" for i in range(200)]
    monkeypatch.setattr(neighbours, "MOST_READ", 10**9)
    rows = chosen(labels, texts)
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(len(rows), 9)).astype(np.float32)
    seen = Representation(None, scores)
    examples = [(i, texts[i], {"side": labels[i]}) for i in rows]
    index, files = files_of(Projection.fit(seen), seen, examples)
    assert 10_000 < len(files[EXAMPLES]) <= 20_000
    assert all(len(one["text"]) <= neighbours.EXCERPT + 1 for one in index.examples)
    read = index_of(files)
    assert read is not None
    assert read.examples == index.examples
    monkeypatch.setattr(neighbours, "MOST_READ", 500_000)
    assert len(chosen(labels, texts)) == 7  # 70,000 characters each
