"""A reader: built from a weights folder, called with a batch of texts, it returns outcomes.

A plain class that knows neither queues nor tables. What every reader does stands here: items
that cannot be read are failures in their place, a batch that fails is tried item by item, a
language the model does not know is said and not guessed at. What a model does with texts it can
read is its own module's `make_reader` in `nlp/models/`.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nlp import kinds, models, weights
from nlp.errors import UnknownModel
from nlp.language import language_of, readable
from nlp.neighbours import EXAMPLES, VECTORS, Index, Neighbour, index_of
from nlp.outcome import Failure, Item, Label, Outcome
from sequence.artifact import Artifact, load_artifact, read_files
from sequence.device import choose_device

logger = logging.getLogger(__name__)


class ModelReader(Protocol):
    """What a module of `nlp/models/` gives: it reads texts that have words, in order."""

    def read(
        self,
        items: Sequence[Item],
        languages: Sequence[str | None],
        *,
        sentences: bool,
        vectors: bool,
    ) -> list[Outcome]:
        """Return one outcome an item."""


class Reader:
    """Reads documents of one kind; build it once, call it with batches."""

    def __init__(self, artifact: Artifact, *, kind: str | None, device: str = "cpu") -> None:
        config = artifact.config
        self.name: str = config["name"]
        self.version: str = str(config["version"])
        self.kind: str = kind or config.get("kind") or self.name
        self.heads: Mapping[str, Sequence[str]] = config.get("heads", {})
        self.languages: tuple[str, ...] = tuple(config.get("languages", ()))
        self._folder = artifact.folder
        self._index: Index | None = None
        module = importlib.import_module(f"nlp.models.{config['model']}")
        self._model: ModelReader = module.make_reader(
            artifact, kind=self.kind, device=choose_device(device)
        )

    def __call__(
        self, items: Sequence[Item], *, sentences: bool = False, vectors: bool = False
    ) -> list[Outcome | Failure]:
        """Return one outcome an item, in order; what cannot be read is a Failure in its place.

        With `sentences` a reader of two-sided heads also scores each sentence; with `vectors` a
        model that keeps labelled examples leaves each text's place among them.
        """
        results: list[Outcome | Failure | None] = [_refusal(item) for item in items]
        languages = [
            None if refused else language_of(item.text)
            for item, refused in zip(items, results, strict=True)
        ]
        for i, language in enumerate(languages):
            if results[i] is None and not readable(language, self.languages):
                results[i] = self._unread(items[i], language)
        rows = [i for i, result in enumerate(results) if result is None]
        asked = {"sentences": sentences, "vectors": vectors}
        read = self._read([items[i] for i in rows], [languages[i] for i in rows], asked)
        for i, outcome in zip(rows, read, strict=True):
            results[i] = outcome
        return [result for result in results if result is not None]

    def neighbours(self, text: str, count: int = 5) -> list[Neighbour]:
        """Return the labelled examples most like a text, the nearest first.

        None where the model keeps no examples, or does not read the text.
        """
        (answer,) = self([Item(text)], vectors=True)
        vector = answer.vector if isinstance(answer, Outcome) else None
        return [] if vector is None else self.nearest(vector, count)

    def nearest(self, vector: bytes, count: int = 5) -> list[Neighbour]:
        """Return the labelled examples most like a text that this reader made `vector` of.

        They are read when first asked for. Raises ArtifactMissing, ArtifactDamaged, BadParcel.
        """
        if self._index is None:
            self._index = index_of(read_files(self._folder, (EXAMPLES, VECTORS)))
        return [] if self._index is None else self._index.nearest(vector, count)

    def _read(
        self, items: list[Item], languages: list[str | None], asked: dict[str, bool]
    ) -> list[Outcome | Failure]:
        """Read a batch; should the model fail on it, one item after the other."""
        if not items:
            return []
        try:
            return list(self._model.read(items, languages, **asked))
        except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
            if len(items) == 1:
                # the type alone: an error's words may quote the document
                logger.exception("a text could not be read by %s", self.name, exc_info=error)
                return [Failure("unreadable_text", f"{self.name} failed on this text")]
        halves = len(items) // 2
        return [
            *self._read(items[:halves], languages[:halves], asked),
            *self._read(items[halves:], languages[halves:], asked),
        ]

    def _unread(self, item: Item, language: str | None) -> Outcome:
        """Return the outcome of a text in a language the model does not know: doubt, no guess."""
        doubt = Label(value=None, confidence=0.0, needs_review=True)
        return Outcome(
            kind=self.kind,
            labels=dict.fromkeys(self.heads, doubt),
            entities=(),
            language=language,
            model=self.name,
            version=self.version,
            characters=0,
            of=len(item.text),
        )


def model_names() -> tuple[str, ...]:
    """Return the models there are: the modules of `nlp/models/`."""
    return tuple(module.name for module in pkgutil.iter_modules(models.__path__))


def _refusal(item: Any) -> Failure | None:
    if not isinstance(item, Item) or not isinstance(item.text, str):
        return Failure("bad_item", "an item needs a text")
    if not item.text.strip():
        return Failure("no_text", "there is no text to read")
    return None


def load_reader(
    kind_or_model: str,
    *,
    models_dir: Path | None = None,
    version: str | None = None,
    device: str = "cpu",
) -> Reader:
    """Return the reader of a kind, of a shipped or trained model's name, or of a folder.

    The folder's files are checked against its manifest. Raises UnknownModel, ArtifactMissing,
    ArtifactDamaged.
    """
    folder = weights.find(kind_or_model, models_dir, version)
    artifact = load_artifact(folder)
    if artifact.config.get("model") not in model_names() or "name" not in artifact.config:
        raise UnknownModel(f"{folder} holds no reader's weights")
    kind = kind_or_model if kind_or_model in kinds.names() else None
    return Reader(artifact, kind=kind, device=device)


__all__ = ["Failure", "Item", "Outcome", "Reader", "load_reader"]
