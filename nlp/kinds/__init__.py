"""The document kinds: a folder listing is the list of kinds."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from nlp.errors import UnknownKind
from nlp.kind import Kind


@functools.cache  # asked with every document that is handed in
def names() -> tuple[str, ...]:
    """Return the name of every kind, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Kind:
    """Return the kind of that name; UnknownKind says which there are."""
    if name not in names():
        raise UnknownKind(f"no document kind {name!r}; there are {', '.join(names())}")
    kind: Kind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
