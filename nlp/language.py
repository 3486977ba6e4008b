"""Which language a text is in, so that a model is not asked about one it cannot read.

py3langid is a good judge of a paragraph and a poor one of five words ("refund pls asap" is
nothing in particular). So: a text with everyday English words is English without asking it; of
little text only another script, or near certainty, counts as another language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

# Words of everyday English that no other European language spells the same way.
_EVERYDAY = (
    "the and to is are were be been being have has had having i'm you your yours she it its "
    "they them their this that these those there here what which who whom why how when where "
    "my myself we our would could should shall can't don't didn't doesn't won't never with "
    "without from about into than then because while please thanks thank hello need want get "
    "got make know think like very just only more much many any every movie great good bad "
    "card account order password email help phone money"
)
_ENGLISH = frozenset(_EVERYDAY.split())
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LETTER = re.compile(r"[^\W\d_]")
LONGEST = 2000  # characters looked at
LITTLE = 40  # letters under which only near certainty counts


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str | None:
    """Return a text's language (ISO 639-1), or None when there is too little text to tell."""
    text = text[:LONGEST]
    words = _WORD.findall(text)
    if not words:
        return None
    english = sum(map(_ENGLISH.__contains__, map(str.lower, words)))
    if english >= 3 and english * 8 >= len(words):
        return "en"
    if english * 4 >= len(words) and english:
        return "en"
    letters = len(_LETTER.findall(text))
    latin = len(_LATIN.findall(text))
    language, certainty = _identifier().classify(text)
    if letters and latin * 2 < letters:
        return str(language)  # another script: never English
    needed = 0.98 if letters < LITTLE else 0.8
    if letters < 12 or certainty < needed:
        return "en" if english else None
    return str(language)


def languages_of(texts: Sequence[str]) -> list[str | None]:
    """Return each text's language."""
    return [language_of(text) for text in texts]


def readable(language: str | None, languages: Sequence[str]) -> bool:
    """Say whether a model of these languages may answer; what cannot be told counts as its own."""
    return language is None or not languages or language in languages
