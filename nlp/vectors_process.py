"""`python -m nlp.vectors_process FILE TARGET FREQUENT`: a text file of vectors as safetensors.

A process of its own, because torchtext 0.6 changes the process it is imported into; see
`nlp.vectors`. Its pickle goes to a folder that is deleted at once. Standard input names words,
one a line, that are wanted wherever they stand in the file.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from safetensors.torch import save_file


def main(source: str, target: str, frequent: int, wanted: set[str]) -> None:
    """Read `source` with torchtext; write the vectors that are asked for, and their words."""
    from torchtext.vocab import Vectors, Vocab

    with tempfile.TemporaryDirectory() as cache:
        vectors = Vectors(str(Path(source).resolve()), cache=cache)
    kept = [word for i, word in enumerate(vectors.itos) if i < frequent or word in wanted]
    # counts that fall keep the file's order, which is by frequency as a rule
    vocabulary = Vocab(Counter({word: len(kept) - i for i, word in enumerate(kept)}), specials=())
    vocabulary.set_vectors(vectors.stoi, vectors.vectors, vectors.dim)
    save_file({"vectors": vocabulary.vectors.contiguous()}, target)
    Path(target).with_suffix(".words").write_text("\n".join(vocabulary.itos), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.stdin.read().split("\n")))
