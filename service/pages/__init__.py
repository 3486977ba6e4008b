"""What people see: one module a page, each taking a request apart and filling a template.

Every page works without scripts; htmx and `static/app.js` save reloading and add the drop zone.
A module here is found by its name: its blueprint is `bp`, and with a `LINK` it stands in the
navigation, by `LINK.place`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from flask import Flask, g

from service.navigation import Link


def register(app: Flask) -> None:
    """Add every page to the application, and the links to the templates."""
    pages = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    for page in pages:
        app.register_blueprint(page.bp)
    links = sorted(_links(pages), key=lambda link: link.place)

    @app.context_processor
    def navigation() -> dict[str, list[Link]]:
        """Return the links that this viewer may follow."""
        viewer = g.get("viewer")
        scopes = viewer.scopes if viewer else frozenset()
        return {"navigation": [link for link in links if link.scope in scopes]}


def _links(pages: list[ModuleType]) -> list[Link]:
    return [page.LINK for page in pages if hasattr(page, "LINK")]
