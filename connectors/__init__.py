"""How an answer reaches another system: one file a connector, found by its name.

A connector's file has a frozen dataclass whose fields are its settings and whose `send` carries
one parcel out; `CONNECTOR` names that class. What they share lives in `parts/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from connectors.parts.errors import (
    BadSettings,
    ConnectorError,
    Permanent,
    RefusedAddress,
    Transient,
)
from connectors.parts.fields import fill
from connectors.parts.parcel import Connector, Parcel, Receipt

__all__ = [
    "BadSettings",
    "Connector",
    "ConnectorError",
    "Parcel",
    "Permanent",
    "Receipt",
    "RefusedAddress",
    "Transient",
    "build",
    "names",
]


def names() -> tuple[str, ...]:
    """Return the names of the connectors there are, in alphabetical order."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    )


def build(settings: Mapping[str, Any]) -> Connector:
    """Return the connector that the settings describe; `connector` among them is its name.

    Connects to nothing. Raises BadSettings, naming the setting that is wrong.
    """
    name = settings.get("connector")
    if name not in names():
        raise BadSettings(f"There is no connector {name!r}; there are {', '.join(names())}.")
    made = importlib.import_module(f"{__name__}.{name}").CONNECTOR
    connector: Connector = fill(made, {k: v for k, v in settings.items() if k != "connector"})
    return connector
