"""weights/contract: 41 kinds of clause, the parties and the dates of commercial contracts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nlp.annotations import Annotated, read_annotations
from nlp.shipping._making import say_progress
from nlp.tagger_training import TaggerRecipe, TrainedTagger, train_tagger
from nlp.vectors import read_vectors
from nlp.weights import SHIPPED

NAME, VERSION = "contract", "1"
LICENCE = "cuad: CC BY 4.0"
ABOUT = """
Marks 41 kinds of clause, the parties, the document's name and its dates in a commercial contract.
The categories are those of CUAD (Hendrycks et al. 2021). A stretch counts as right when it shares
at least half of its union with one that lawyers marked with the same label; a confidence is the
probability of that.

Bad at: rare clauses (a category with a few dozen examples is found seldom), where exactly a
clause begins and ends, the short names that parties are given, contracts between private people,
scans with recognition errors, any language but English. It is a reading aid: a clause that it
does not mark may well be there.
"""
_FIGURES = {
    "precision": "precision of found stretches",
    "recall": "recall of marked stretches",
    "f1": "F1",
    "presence_f1": "F1 of whether a contract has such a clause at all",
    "ece": "expected calibration error",
    "coverage_at_95_precision": "found stretches taken without a look at 95 % precision",
    "coverage_at_98_precision": "found stretches taken without a look at 98 % precision",
}


def make(data: Path, vectors: Path, told: Mapping[str, Any]) -> Path:
    """Write weights/contract and return its folder."""
    rows, dev = (
        read_annotations(data / "cuad" / f"{split}.jsonl.gz") for split in ("train", "dev")
    )
    recipe = replace(TaggerRecipe(), **{k: told[k] for k in ("seed", "epochs") if k in told})
    found = read_vectors(vectors)
    checkpoint = SHIPPED / f".{NAME}.checkpoint"
    trained = train_tagger(
        rows, dev, recipe, vectors=found, checkpoint=checkpoint, on_step=say_progress
    )
    trained.tagger.config = {
        "name": NAME,
        "version": VERSION,
        "kind": "contract",
        "languages": ["en"],
        "data": {"cuad": {"rows": len(rows), "dev_rows": len(dev)}},
        "vectors": found.source,
        "recipe": asdict(recipe),
        "history": trained.history.to_json(),
        "scores": {"clauses": trained.dev},
        "licence": LICENCE,
    }
    folder = SHIPPED / NAME
    trained.tagger.save(folder, card=_card(trained, rows, dev, recipe), replace=True)
    checkpoint.unlink(missing_ok=True)
    sys.stderr.write(f"{trained.dev}\n")
    return folder


def _card(
    trained: TrainedTagger,
    rows: Sequence[Annotated],
    dev: Sequence[Annotated],
    recipe: TaggerRecipe,
) -> str:
    history, marked = trained.history, sum(len(row.marks) for row in rows)
    return "\n".join(
        [
            f"# {NAME}, version {VERSION}",
            ABOUT,
            "## Data",
            "",
            f"{LICENCE}. {len(rows)} contracts with {marked:,} marked stretches; {len(dev)} "
            f"contracts with {int(trained.dev['marked']):,} for dev.",
            "",
            "## Recipe",
            "",
            f"- BiLSTM of hidden size {recipe.encoder.hidden_size} over word vectors, hashed "
            "spellings and shapes of words; one attention a label over each window.",
            "- Vectors to start from: GloVe 6B, public domain.",
            f"- Seed {recipe.seed}; {len(history.epochs)} epochs, the best {history.best_epoch}.",
            f"- Made by `python -m nlp.shipping {NAME} --data FOLDER --vectors FILE`.",
            "",
            "## Scores on dev",
            "",
            "| | |",
            "| --- | --- |",
            *(f"| {words} | {trained.dev[name]:.4f} |" for name, words in _FIGURES.items()),
            "",
            "Dev also chose the epoch, each label's threshold and the calibration: on contracts of",
            "another time or trade expect less.",
            "",
        ]
    )
