"""A mail's header fields by name, however the mail object holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def header_values(mail: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return every field's values by its lower-case name.

    `headers` of the mail object is a list of [name, value], or a mapping.
    """
    said = mail.get("headers")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in said.items() if isinstance(said, Mapping) else said or ():
        key = str(name).lower()
        found[key] = (*found.get(key, ()), str(value))
    return found


def first_values(mail: Mapping[str, Any]) -> dict[str, str]:
    """Return every field's first value by its name, both in lower case."""
    return {name: values[0].strip().lower() for name, values in header_values(mail).items()}
