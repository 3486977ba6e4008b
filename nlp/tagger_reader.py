"""Outcomes from a span tagger: marked clauses, each with its confidence and its value."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nlp.outcome import Item, Outcome
from nlp.tagger import Tagger, load_tagger
from sequence.artifact import Artifact


class TaggerReader:
    """Reads texts with a span tagger's weights."""

    def __init__(self, tagger: Tagger, *, kind: str) -> None:
        self.tagger = tagger
        self.kind = kind

    def read(
        self,
        items: Sequence[Item],
        languages: Sequence[str | None],
        *,
        sentences: bool,
        vectors: bool,
    ) -> list[Outcome]:
        """Return one outcome an item, in order; the options ask for nothing here."""
        config = self.tagger.config
        outcomes = []
        for item, language in zip(items, languages, strict=True):
            entities = self.tagger.entities(item.text)
            outcomes.append(
                Outcome(
                    kind=self.kind,
                    labels={},
                    entities=entities,
                    language=language,
                    model=config["name"],
                    version=str(config["version"]),
                    characters=len(item.text),
                    of=len(item.text),
                    doubtful=self.tagger.doubtful(entities),
                )
            )
        return outcomes


def make_tagger_reader(
    artifact: Artifact, *, kind: str, device: str | torch.device
) -> TaggerReader:
    """Return the reader of a weights folder that holds a span tagger."""
    return TaggerReader(load_tagger(artifact, device=device), kind=kind)
