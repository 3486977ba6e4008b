"""Weights folders: how every model of ours is kept.

A folder holds `config.json`, `model.safetensors`, what else the model needs (a vocabulary), a
card `README.md`, and `manifest.json` with the SHA-256 of every other file. It is written beside
its place and renamed into it, so that nobody reads half a model; it is checked against its
manifest when it is loaded. Never a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sequence.errors import ArtifactDamaged, ArtifactError, ArtifactMissing

CONFIG, TENSORS, MANIFEST, CARD = "config.json", "model.safetensors", "manifest.json", "README.md"


@dataclass(frozen=True)
class Artifact:
    """A weights folder in memory: its files' bytes have been checked."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    files: dict[str, bytes]  # the other files by name, the card among them


def save_artifact(
    folder: Path,
    *,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    card: str,
    files: Mapping[str, bytes] | None = None,
    replace: bool = False,
) -> None:
    """Write a weights folder, whole or not at all.

    Raises ArtifactError when `folder` is there already and `replace` was not said.
    """
    if folder.exists() and not replace:
        raise ArtifactError(f"{folder} is there already")
    contents = {
        CONFIG: (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode(),
        TENSORS: save({name: tensor.contiguous() for name, tensor in tensors.items()}),
        CARD: card.encode(),
        **(files or {}),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = (json.dumps(hashes, indent=1, sort_keys=True) + "\n").encode()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(0o755)  # mkdtemp keeps others out, who may well read a model
        for name, content in contents.items():
            _write(temporary / name, content)
        if folder.exists():
            _swap(temporary, folder)
        else:
            os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, which is kept until the rename is through."""
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    os.rename(folder, old / folder.name)
    try:
        os.rename(new, folder)
    except BaseException:
        os.rename(old / folder.name, folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a weights folder's config without its tensors; only that file's hash is checked."""
    manifest = _manifest(folder)
    return _json(folder / CONFIG, _checked(folder, CONFIG, manifest))


def read_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return those of the named files that a weights folder has, each checked; raises as below."""
    manifest = _manifest(folder)
    return {name: _checked(folder, name, manifest) for name in names if name in manifest}


def load_artifact(folder: Path, *, device: str | torch.device = "cpu") -> Artifact:
    """Return a weights folder, every file checked against the manifest.

    Raises ArtifactMissing when it or a file of it is not there, ArtifactDamaged when a file
    differs from what was saved.
    """
    manifest = _manifest(folder)
    contents = {name: _checked(folder, name, manifest) for name in manifest}
    for name in (CONFIG, TENSORS):
        if name not in contents:
            raise ArtifactDamaged(f"{folder} has no {name} in its manifest")
    try:
        tensors = load(contents.pop(TENSORS))
    except SafetensorError as error:
        raise ArtifactDamaged(f"{folder / TENSORS} cannot be read: {error}") from error
    config = _json(folder / CONFIG, contents.pop(CONFIG))
    tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
    return Artifact(folder, config, tensors, contents)


def _manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    try:
        manifest = _json(path, path.read_bytes())
    except OSError as error:
        raise ArtifactMissing(f"no weights in {folder}: it has no {MANIFEST}") from error
    for name in manifest:
        if Path(name).name != name:
            raise ArtifactDamaged(f"{path} names a file outside its folder: {name!r}")
    return manifest


def _checked(folder: Path, name: str, manifest: dict[str, str]) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactMissing(f"{folder} has no {name}, which its manifest names") from error
    if hashlib.sha256(content).hexdigest() != manifest.get(name):
        raise ArtifactDamaged(f"{folder / name} is not the file that was saved: its hash differs")
    return content


def _json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ArtifactDamaged(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactDamaged(f"{path} is not a JSON object")
    return value
