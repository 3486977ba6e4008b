"""Where deliveries go: the tables of `connectors.toml`, each a destination's name and settings.

    [support]
    connector = "zammad"
    url = "https://help.example.com"
    token = { env = "ZAMMAD_TOKEN" }

The file holds secrets and lies in the data folder; a value may name an environment variable
instead. What a delivery in the ledger holds is the destination's name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from connectors import BadSettings, Connector, build
from settings import Settings

log = structlog.get_logger(__name__)

Changed = tuple[int, int]


def connectors_file(settings: Settings) -> Path:
    """Return where the destinations are written down."""
    return settings.connectors_file or settings.data_dir.expanduser().resolve() / "connectors.toml"


class Destinations:
    """The file's destinations; a changed file is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed: Changed | None = None
        self._tables: dict[str, Any] = {}
        self._made: dict[str, Connector] = {}

    def names(self) -> tuple[str, ...]:
        """Return the destinations' names; raises BadSettings when the file cannot be read."""
        self._read()
        return tuple(sorted(self._tables))

    def kind(self, name: str) -> str:
        """Return which connector a destination says it uses, right or wrong."""
        table = self._tables.get(name)
        return str(table.get("connector", "")) if isinstance(table, dict) else ""

    def warning(self) -> str | None:
        """Return what is amiss with the file itself: others can read the secrets in it."""
        try:
            open_to_others = self._path.stat().st_mode & 0o077
        except OSError:
            return None
        if not open_to_others:
            return None
        return f"{self._path.name} can be read by others: chmod 600 it."

    def connector(self, name: str) -> Connector:
        """Return what carries to a destination; raises BadSettings, saying what is wrong."""
        self._read()
        if name not in self._made:
            table = self._tables.get(name)
            if not isinstance(table, dict):
                raise BadSettings(f"There is no destination {name!r} in {self._path.name}.")
            self._made[name] = build({key: _plain(value) for key, value in table.items()})
        return self._made[name]

    def _read(self) -> None:
        try:
            state = self._path.stat()
        except OSError:
            self._changed, self._tables, self._made = None, {}, {}
            return
        changed = (state.st_mtime_ns, state.st_size)
        if changed == self._changed:
            return
        if state.st_mode & 0o077:
            log.warning("connectors_file_is_open_to_others", path=str(self._path))
        try:
            self._tables = tomllib.loads(self._path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise BadSettings(f"{self._path.name} cannot be read: {error}") from error
        self._changed, self._made = changed, {}


def _plain(value: Any) -> Any:
    """Return a setting's value; `{ env = "NAME" }` stands for an environment variable's."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping) and set(value) == {"env"}:
        name = str(value["env"])
        if name not in os.environ:
            raise BadSettings(f"The environment variable {name} is not set.")
        return os.environ[name]
    return value
