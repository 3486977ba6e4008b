"""Labelled examples that lie near a text: what a model of one's own keeps of what taught it.

A bounded share of the training rows goes with the version: `examples.jsonl`, an excerpt of each
with its labels and its row of the file, and `examples.safetensors`, their vectors and the way from
what the classifier makes of a text to such a vector. A text's vector is a by-product of reading
it, so looking for its neighbours needs no model: neither torch nor anything of it is loaded here.

Shapes: N examples, M texts, R what the classifier makes of a text, K of it kept.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nlp.errors import BadParcel

Floats = NDArray[np.float32]

EXAMPLES, VECTORS, _MANIFEST = "examples.jsonl", "examples.safetensors", "manifest.json"
MOST_ROWS = 5_000
MOST_BYTES = 2_000_000  # of excerpts, labels and rows
MOST_READ = 4_000_000  # characters of their texts: each is read once more when all is learned
EXCERPT = 300  # characters
KEPT = 64  # directions; on banking77 and newsgroups20 they agree with dev nearly as often as all do
# Of the scores beside the pooled vector: at half of each, most of the five nearest had dev's label
# for 65 % of newsgroups20, at 0.7 for 69 (the model was right for 72), on banking77 for 80 at both
SCORES = 0.7
ASKED = 5  # neighbours that are asked whether they agree
_LONGEST_FILE = 64_000_000  # bytes; what is larger is not ours


@dataclass(frozen=True)
class Representation:
    """What a classifier makes of M texts: its pooled vectors (none without words' encoder) and
    its class scores."""

    pooled: Floats | None
    scores: Floats


@dataclass(frozen=True)
class Neighbour:
    """A labelled example beside a text; `similarity` is a cosine, 1 for the same vector."""

    labels: Mapping[str, str]
    similarity: float
    excerpt: str
    row: int  # of the file that it was trained on, counted from 1

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "labels": dict(self.labels),
            "similarity": round(self.similarity, 4),
            "text": self.excerpt,
            "row": self.row,
        }


@dataclass(frozen=True)
class Projection:
    """The way from a representation to a vector whose products are similarities."""

    centre_P: Floats  # of pooled vectors; empty where there are none
    directions_RK: Floats

    @classmethod
    def fit(cls, seen: Representation) -> Projection:
        """Return the projection that keeps most of how some texts differ from each other."""
        centre = np.zeros(0, np.float32) if seen.pooled is None else seen.pooled.mean(0)
        both_NR = _both(seen, centre)
        _, directions_RR = np.linalg.eigh(both_NR.T @ both_NR)  # the strongest come last
        return cls(centre, np.ascontiguousarray(directions_RR[:, ::-1][:, :KEPT], np.float32))

    def __call__(self, seen: Representation) -> NDArray[np.float16]:
        """Return a unit vector for each text, (M, K)."""
        return _unit(_both(seen, self.centre_P) @ self.directions_RK).astype(np.float16)


@dataclass(frozen=True)
class Index:
    """The examples of one version."""

    vectors_NK: NDArray[np.float16]
    examples: Sequence[Mapping[str, Any]]  # {"row", "text", "labels"}, one a vector
    _wide: list[Floats] = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.examples)

    def nearest(self, vector: bytes, count: int) -> list[Neighbour]:
        """Return the examples most like the text of a vector, the nearest first.

        `vector` is what a reader of the same version made of the text; none is like another's.
        """
        asked_K = np.frombuffer(vector, np.float16).astype(np.float32)
        if len(asked_K) != self.vectors_NK.shape[1]:
            return []
        similar_N = self._matrix() @ asked_K
        count = min(count, len(similar_N))
        near = np.argpartition(-similar_N, count - 1)[:count] if count else np.zeros(0, np.int64)
        near = near[np.argsort(-similar_N[near], kind="stable")]
        return [self._neighbour(i, float(similar_N[i])) for i in near.tolist()]

    def majority(self, vectors_MK: NDArray[np.float16], head: str) -> list[str]:
        """Return the label most of each vector's nearest examples have, a tie to the nearest."""
        found = []
        for vector in vectors_MK:
            near = [one.labels[head] for one in self.nearest(vector.tobytes(), ASKED)]
            found.append(Counter(near).most_common(1)[0][0] if near else "")
        return found

    def _matrix(self) -> Floats:
        """Return the vectors as they are multiplied: halves are slow on a CPU."""
        if not self._wide:
            self._wide.append(self.vectors_NK.astype(np.float32))
        return self._wide[0]

    def _neighbour(self, row: int, similarity: float) -> Neighbour:
        one = self.examples[row]
        return Neighbour(one["labels"], similarity, one["text"], int(one["row"]))


def chosen(labels: Sequence[str], texts: Sequence[str], *, seed: int = 0) -> list[int]:
    """Return which rows to keep: each label in its turn, until one of the limits is reached."""
    order = np.random.default_rng([seed, 29]).permutation(len(labels))
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for i in order.tolist():
        turns.append((seen[labels[i]], len(turns), i))
        seen[labels[i]] += 1
    kept: list[int] = []
    size = read = 0
    for _, _, i in sorted(turns)[:MOST_ROWS]:
        size += len(_line(10**9, texts[i], {"label": labels[i]}))
        read += len(texts[i])
        if size > MOST_BYTES or read > MOST_READ:
            break
        kept.append(i)
    return sorted(kept)


def files_of(
    projection: Projection,
    seen: Representation,
    examples: Sequence[tuple[int, str, Mapping[str, str]]],
) -> tuple[Index, dict[str, bytes]]:
    """Return the index of some examples (row, text and labels of each), and its files."""
    lines = [_line(*example) for example in examples]
    vectors_NK = projection(seen)
    tensors = {
        "vectors": vectors_NK,
        "centre": projection.centre_P.astype(np.float16),
        "directions": projection.directions_RK.astype(np.float16),
    }
    files = {EXAMPLES: b"".join(lines), VECTORS: save(tensors)}
    return Index(vectors_NK, [json.loads(line) for line in lines]), files


def projection_of(files: Mapping[str, bytes]) -> Projection | None:
    """Return the projection in a weights folder's files, None where it keeps no examples."""
    if VECTORS not in files:
        return None
    tensors = _tensors(files[VECTORS])
    return Projection(
        tensors["centre"].astype(np.float32), tensors["directions"].astype(np.float32)
    )


def index_of(files: Mapping[str, bytes]) -> Index | None:
    """Return the index in a weights folder's files, None where it keeps none.

    Raises BadParcel when the two files do not belong together.
    """
    if VECTORS not in files or EXAMPLES not in files:
        return None
    vectors_NK = _tensors(files[VECTORS])["vectors"].astype(np.float16)
    try:
        examples = [json.loads(line) for line in files[EXAMPLES].splitlines()]
        well = all({"row", "text", "labels"} <= set(example) for example in examples)
    except (ValueError, TypeError) as error:
        raise BadParcel(f"{EXAMPLES} is no file of examples") from error
    if not well or len(examples) != len(vectors_NK):
        raise BadParcel(f"{EXAMPLES} and {VECTORS} do not belong together")
    return Index(vectors_NK, examples)


def index_of_parcel(path: Path) -> Index | None:
    """Return the index in a packed model, its files checked against the manifest beside them.

    Nothing is unpacked to disk. Raises BadParcel.
    """
    wanted = (EXAMPLES, VECTORS, _MANIFEST)
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as parcel:
            for entry in parcel:
                if entry.name in wanted and entry.isreg() and entry.size <= _LONGEST_FILE:
                    stream = parcel.extractfile(entry)
                    files[entry.name] = stream.read() if stream else b""
        manifest = json.loads(files.pop(_MANIFEST))
    except (tarfile.TarError, ValueError, KeyError) as error:
        raise BadParcel(f"{path.name} is no packed model") from error
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest.get(name):
            raise BadParcel(f"{name} is not the file that was packed")
    return index_of(files)


def _both(seen: Representation, centre_P: Floats) -> Floats:
    """Return both views side by side (M, R), each of one length, all together of length 1."""
    scores = _unit(seen.scores - seen.scores.mean(1, keepdims=True))
    if seen.pooled is None:
        return scores
    pooled = _unit(seen.pooled - centre_P)
    return np.concatenate([pooled * (1 - SCORES) ** 0.5, scores * SCORES**0.5], axis=1)


def _unit(values: Floats) -> Floats:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-9), dtype=np.float32)


def _line(row: int, text: str, labels: Mapping[str, str]) -> bytes:
    shown = " ".join(text[: 4 * EXCERPT].split())
    if len(shown) > EXCERPT or len(text) > 4 * EXCERPT:
        shown = shown[:EXCERPT].rstrip() + "…"
    values = {"row": row, "text": shown, "labels": dict(labels)}
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _tensors(content: bytes) -> dict[str, Any]:
    try:
        return dict(load(content))
    except (SafetensorError, ValueError) as error:
        raise BadParcel(f"{VECTORS} cannot be read") from error
