"""Word vectors to start from: those we ship, an .npy beside a list of words, or a text file.

The usual text format (`word v1 v2 ...`, as GloVe and fastText publish it) is read by torchtext's
`Vectors`, in a process of its own: torchtext 0.6 switches TLS verification off for its process
and keeps what it read in a pickle.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nlp.errors import VectorsError
from sequence.artifact import MANIFEST, load_artifact
from sequence.quantisation import expand

SHIPPED_NAME = "vectors"  # of the folder in weights/


@dataclass(frozen=True)
class WordVectors:
    """Words in order of frequency, and a row for each."""

    words: list[str]
    matrix: NDArray[np.float32]
    source: str  # what a card says they are

    @property
    def size(self) -> int:
        """How long a vector is."""
        return int(self.matrix.shape[1])

    def first(self, count: int) -> WordVectors:
        """Return the most frequent `count` words."""
        return WordVectors(self.words[:count], self.matrix[:count], self.source)


def shipped_vectors() -> WordVectors | None:
    """Return the vectors that come with the product, or None where they were left out."""
    from nlp.weights import SHIPPED

    folder = SHIPPED / SHIPPED_NAME
    if not (folder / MANIFEST).is_file():
        return None
    artifact = load_artifact(folder)
    words = artifact.files["vocabulary.txt"].decode("utf-8").split("\n")
    matrix = expand(artifact.tensors)["vectors"].numpy()
    return WordVectors(words, matrix, str(artifact.config["source"]))


def read_vectors(path: Path, *, words: Iterable[str] = (), frequent: int = 50_000) -> WordVectors:
    """Return a file's vectors: of the `frequent` first words, and of `words` wherever they stand.

    `path` is a text file, or `NAME.npy` (any float type) with `NAME.words.txt` or the same name
    less its last parts beside it. Raises VectorsError.
    """
    wanted = set(words)
    if not path.is_file():
        raise VectorsError(f"there is no file of vectors {path}")
    if path.suffix == ".npy":
        listed, matrix = _read_pair(path)
    else:
        listed, matrix = _read_text(path, frequent, wanted)
        frequent = len(listed)  # chosen there already
    keep = [i for i, word in enumerate(listed) if i < frequent or word in wanted]
    return WordVectors([listed[i] for i in keep], matrix[keep].astype(np.float32), path.name)


def _read_pair(path: Path) -> tuple[list[str], NDArray[np.floating]]:
    stem = path.name.removesuffix(".npy")
    names = [f"{stem}.words.txt", f"{stem.rsplit('.', 1)[0]}.words.txt", f"{stem}.txt"]
    beside = next((path.parent / n for n in names if (path.parent / n).is_file()), None)
    if beside is None:
        raise VectorsError(f"{path.name} needs its words beside it, one a line, in {names[0]}")
    words = beside.read_text(encoding="utf-8").split("\n")
    words = words[:-1] if words and not words[-1] else words
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise VectorsError(f"{path.name} is not an array: {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or len(matrix) != len(words):
        raise VectorsError(
            f"{path.name} is {matrix.dtype} of shape {matrix.shape}; {len(words):,} rows of "
            "floats are needed, one for each word"
        )
    return words, matrix


def _read_text(
    path: Path, frequent: int, wanted: set[str]
) -> tuple[list[str], NDArray[np.floating]]:
    with tempfile.TemporaryDirectory(prefix="mailroom-vectors-") as folder:
        target = Path(folder) / "vectors.safetensors"
        command = [sys.executable, "-W", "ignore", "-m", "nlp.vectors_process"]
        done = subprocess.run(
            [*command, str(path), str(target), str(frequent)],
            input="\n".join(wanted),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not target.exists():
            lines = done.stderr.strip().splitlines()
            raise VectorsError(f"{path.name} cannot be read as vectors: {(lines or ['?'])[-1]}")
        words = target.with_suffix(".words").read_text(encoding="utf-8").split("\n")
        return words, load_file(target)["vectors"]
