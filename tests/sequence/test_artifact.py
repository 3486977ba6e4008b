"""Weights folders: what is saved is what is loaded, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sequence import Padded
from sequence.artifact import load_artifact, read_config, save_artifact
from sequence.encoder import ENCODERS, EncoderConfig, build_encoder
from sequence.errors import ArtifactDamaged, ArtifactError, ArtifactMissing
from sequence.quantisation import compress, expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved artifact."""
    target = tmp_path / "model" / "1"
    save_artifact(
        target,
        config={"name": "m", "größe": 3},
        tensors={"w": torch.arange(6.0).view(2, 3)},
        card="# m\n",
        files={"vocabulary.txt": b"a\nb\n"},
    )
    return target


@pytest.mark.parametrize("name", ENCODERS)
def test_a_saved_encoder_answers_as_the_trained_one(name: str, tmp_path: Path) -> None:
    """Save and load change no number."""
    config = EncoderConfig(name=name, hidden_size=8, num_layers=2)  # type: ignore[arg-type]
    trained, loaded = build_encoder(config, 3).eval(), build_encoder(config, 3).eval()
    save_artifact(tmp_path / "m", config={}, tensors=trained.state_dict(), card="")
    loaded.load_state_dict(load_artifact(tmp_path / "m").tensors)
    x = Padded.from_list([torch.randn(4, 3), torch.randn(2, 3)])

    assert torch.equal(trained(x).values, loaded(x).values)


def test_everything_comes_back(folder: Path) -> None:
    """Config, tensors, vocabulary and card are what was given."""
    artifact = load_artifact(folder)

    assert artifact.config == read_config(folder) == {"name": "m", "größe": 3}
    assert artifact.tensors["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert artifact.files == {"vocabulary.txt": b"a\nb\n", "README.md": b"# m\n"}


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "vocabulary.txt", "README.md"]
)
def test_a_changed_file_is_not_loaded(folder: Path, name: str) -> None:
    """One byte more, in any file, and the model is refused: it is not what was trained."""
    with (folder / name).open("ab") as file:
        file.write(b" ")

    with pytest.raises(ArtifactDamaged, match="hash differs"):
        load_artifact(folder)


def test_a_missing_file_and_folder_are_told_apart_from_damage(folder: Path) -> None:
    """What is not there is said to be not there."""
    (folder / "vocabulary.txt").unlink()
    with pytest.raises(ArtifactMissing, match=r"vocabulary\.txt"):
        load_artifact(folder)
    with pytest.raises(ArtifactMissing, match="no weights"):
        load_artifact(folder / "nowhere")


def test_a_manifest_cannot_name_files_elsewhere(folder: Path) -> None:
    """A weights folder someone hands over reads nothing outside itself."""
    (folder / "manifest.json").write_text(json.dumps({"../../secret": "0"}))
    with pytest.raises(ArtifactDamaged, match="outside"):
        load_artifact(folder)


def test_saving_is_whole_or_not_at_all(folder: Path) -> None:
    """A version is not overwritten by accident, and a failed save leaves the old one."""
    with pytest.raises(ArtifactError, match="already"):
        save_artifact(folder, config={}, tensors={}, card="")
    with pytest.raises(TypeError):
        save_artifact(folder, config={"x": object()}, tensors={}, card="", replace=True)
    assert load_artifact(folder).config["name"] == "m"

    save_artifact(folder, config={"name": "new"}, tensors={}, card="", replace=True)
    assert load_artifact(folder).config["name"] == "new"
    assert [path.name for path in folder.parent.iterdir()] == ["1"], "nothing is left beside it"


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10_000))
def test_eight_bits_are_off_by_half_a_step(rows: int, columns: int, seed: int) -> None:
    """A compressed table is as near as its scale says; other tensors keep 16 bits."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(rows, columns, generator=generator) * 10
    state = {"table": table, "bias": torch.randn(3, generator=generator), "ids": torch.arange(3)}

    back = expand(compress(state, tables=["table"]))

    step = table.abs().amax(1, keepdim=True) / 127
    assert ((back["table"] - table).abs() <= step / 2 + 1e-5).all()
    torch.testing.assert_close(back["bias"], state["bias"], rtol=1e-3, atol=1e-3)
    assert torch.equal(back["ids"], state["ids"])
