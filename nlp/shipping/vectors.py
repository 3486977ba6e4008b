"""weights/vectors: GloVe for everyone's own trainings, the frequent words in 8 bits.

GloVe 6B, 100 dimensions (Pennington, Socher, Manning 2014), Public Domain Dedication and License.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nlp.vectors import read_vectors
from nlp.weights import SHIPPED
from sequence.artifact import save_artifact
from sequence.quantisation import compress

WORDS = 30_000
_CARD = f"""# Word vectors

The {WORDS:,} most frequent lower-case words of GloVe 6B, 100 dimensions (Pennington, Socher,
Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014), each rounded to 8 bits.
Public Domain Dedication and License 1.0.

Texts that a teacher labels are made with them, and `mailroom train` starts from them where
`weights/beginning` does not know a word or has another shape, unless it is given others
(`--vectors`). Bad at: words newer than 2014, names, any language but English, misspellings (those
the n-grams of a model catch).

Made by `python -m nlp.shipping vectors --vectors glove.6B.100d.f16.npy`.
"""


def make(data: Path | None, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/vectors and return its folder."""
    del data, told
    found = read_vectors(vectors, frequent=WORDS)
    folder = SHIPPED / "vectors"
    save_artifact(
        folder,
        config={
            "format": 1,
            "name": "vectors",
            "version": "1",
            "model": None,
            "source": f"GloVe 6B 100d, {len(found.words):,} words",
            "languages": ["en"],
            "licence": "PDDL 1.0 (public domain)",
        },
        tensors=compress({"vectors": torch.from_numpy(found.matrix)}, ["vectors"]),
        card=_CARD,
        files={"vocabulary.txt": "\n".join(found.words).encode()},
        replace=True,
    )
    return folder
