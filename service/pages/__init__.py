"""What people see: one module a page, each taking a request apart and filling a template.

Every page works without scripts; htmx and `static/app.js` save reloading and add the drop zone.
"""

from __future__ import annotations

from flask import Flask

from service.pages import batches, document, documents, sign_in, status, tokens


def register(app: Flask) -> None:
    """Add every page to the application."""
    for page in (sign_in, documents, document, batches, status, tokens):
        app.register_blueprint(page.bp)
