"""What a document kind is: its heads, its entities, and which weights read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """A kind of document, as its one file in `nlp/kinds/` says it; its name is that file's name.

    `heads` names the questions and their possible answers. An empty tuple: the answers are those
    of the weights. `entities` are the labels of spans. `aliases` are other spellings of answers
    in people's files (`pos` for `positive`).
    """

    heads: Mapping[str, tuple[str, ...]]
    entities: tuple[str, ...]
    model: str  # a module of nlp/models/
    weights: str  # a folder of weights/
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scored: tuple[str, ...] = ()  # two-sided heads that also give a score from -1 to 1
    by_sentence: Mapping[str, str] = field(
        default_factory=dict
    )  # head -> answer any sentence gives
