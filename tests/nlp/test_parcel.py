"""A packed model arrives whole or not at all; a look says what training would find."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.classifier import load_classifier
from nlp.errors import BadParcel
from nlp.look import look
from nlp.parcel import pack, unpack


def test_a_model_that_was_carried_is_the_model(weights_folder: Path, tmp_path: Path) -> None:
    """A worker elsewhere answers as the machine that trained; twice there is once."""
    pack(weights_folder, tmp_path / "one.tar")
    pack(weights_folder, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    there = tmp_path / "models" / "wishes" / "1"
    unpack(tmp_path / "one.tar", there)
    unpack(tmp_path / "one.tar", there)
    assert {f.name: f.read_bytes() for f in there.iterdir()} == {
        f.name: f.read_bytes() for f in weights_folder.iterdir()
    }
    assert load_classifier(there).heads == load_classifier(weights_folder).heads


def test_a_damaged_parcel_leaves_nothing(weights_folder: Path, tmp_path: Path) -> None:
    """Half a model that answers would be worse than none."""
    whole = tmp_path / "whole.tar"
    pack(weights_folder, whole)
    body = whole.read_bytes()
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1  # in the tensors, which are most of it
    for i, bad in enumerate((body[: len(body) // 2], bytes(flipped), b"", b"no tar" * 200)):
        path = tmp_path / f"bad{i}.tar"
        path.write_bytes(bad)
        with pytest.raises(BadParcel):
            unpack(path, tmp_path / "models" / "1")
        assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/b", ".hidden", "link"])
def test_a_parcel_cannot_lead_elsewhere(name: str, tmp_path: Path) -> None:
    """What comes out of the store is written in its own folder and nowhere else."""
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as parcel:
        entry = tarfile.TarInfo(name)
        if name == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        entry.size = 0 if name == "link" else 4
        parcel.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(BadParcel):
        unpack(path, tmp_path / "models" / "wishes" / "1")
    assert not (tmp_path / "models" / "wishes" / "1").exists()
    assert not (tmp_path / "models" / "outside").exists()


COLUMNS = st.permutations(["id", "message", "category", "when"])


@given(order=COLUMNS, rows=st.integers(20, 60), ending=st.sampled_from([".csv", ".jsonl"]))
def test_text_and_label_are_recognised_wherever_they_stand(
    order: list[str], rows: int, ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nobody should have to say what a glance at the table says."""
    table = [
        {
            "id": str(i),
            "message": f"please help me with number {i}, it does not work",
            "category": ["billing", "delivery"][i % 2],
            "when": f"2026-01-{i % 28 + 1:02}",
        }
        for i in range(rows)
    ]
    path = tmp_path_factory.mktemp("look") / f"table{ending}"
    if ending == ".csv":
        lines = [",".join(order)]
        lines += [",".join(f'"{row[name]}"' for name in order) for row in table]
    else:
        lines = [json.dumps({name: row[name] for name in order}) for row in table]
    path.write_text("\n".join(lines))
    found = look(path)
    assert (found["text"], found["label"]) == ("message", "category")
    assert (found["rows"], found["labels"], found["problem"]) == (rows, 2, None)
