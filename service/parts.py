"""What the application is built from, within reach of every view: settings, ledger, workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from flask import Flask

    from ledger import Ledger
    from settings import Settings
    from workers.client import Client


@dataclass(frozen=True)
class Parts:
    """The long-lived parts of one application."""

    settings: Settings
    ledger: Ledger
    client: Client


def keep(app: Flask, parts: Parts) -> None:
    """Put the parts where `parts()` finds them."""
    app.extensions["mailroom"] = parts


def parts() -> Parts:
    """Return the parts of the application that serves the current request."""
    return cast(Parts, current_app.extensions["mailroom"])
