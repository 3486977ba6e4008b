"""Fills a connector's dataclass from a table of settings, and says plainly what is wrong."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from connectors.parts.errors import BadSettings


def fill(made: type, settings: Mapping[str, Any]) -> Any:
    """Return an instance of the dataclass; raises BadSettings that names the setting."""
    known = {field.name: field for field in dataclasses.fields(made)}
    hints = typing.get_type_hints(made)
    for name in settings:
        if name not in known:
            raise BadSettings(f"There is no setting {name!r} here; there are {', '.join(known)}.")
    for name, field in known.items():
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and name not in settings:
            raise BadSettings(f"The setting {name!r} is missing.")
    values = {name: _value(name, hints[name], value) for name, value in settings.items()}
    return made(**values)


def _value(name: str, wanted: Any, value: Any) -> Any:
    """Return the value in the wanted type, a list as a tuple."""
    choices = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    for choice in choices:
        origin = typing.get_origin(choice) or choice
        if origin is typing.Literal and value in typing.get_args(choice):
            return value
        if origin is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        if origin is float and type(value) in (int, float):
            return float(value)
        if origin in (str, int, bool) and type(value) is origin:
            return value
    allowed = [str(a) for c in choices for a in typing.get_args(c) if isinstance(a, str)]
    one_of = f": one of {', '.join(allowed)}" if allowed else ""
    raise BadSettings(f"The setting {name!r} is of the wrong kind{one_of}.")
