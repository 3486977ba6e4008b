"""The web application, built from settings; importing this connects to nothing."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import IO

from flask import Request as FlaskRequest
from flask_openapi3 import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from ledger.database import FULL_ERRNO
from ledger.errors import StorageFull
from service import (
    access,
    batches,
    corrections,
    deliveries,
    documents,
    headers,
    health,
    inbound,
    openapi,
    pages,
    payments,
    problems,
    quotas,
    routing,
    series,
    shadow,
    words,
)
from service.body import ReadToTheEnd
from service.parts import Parts, keep
from service.schemas import Problem
from settings import Settings
from workers.client import Client, broker_url, open_ledger

OVERHEAD_BYTES = 1_000_000  # of a form around a file, or of JSON's own characters
FORM_PARTS = 1_000


class Request(FlaskRequest):
    """Keeps uploads in memory, which their limit bounds: a full disk must not turn them away.

    A batch is too large for that.
    """

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return batches.spooled() or BytesIO()

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except OSError as error:
            if error.errno in FULL_ERRNO:
                raise StorageFull("the disk for uploads is full; free some space") from error
            raise


def create_app(settings: Settings) -> OpenAPI:
    """Return the application. Raises `workers.client.NoAddress` where no broker is known.

    Nothing is connected before the first request, so a server may fork after this.
    """
    app = OpenAPI(
        "service",
        info=openapi.INFO,
        security_schemes=openapi.SECURITY_SCHEMES,
        validation_error_model=Problem,
        validation_error_callback=openapi.refuse_invalid,
        doc_ui=False,
    )
    # An id with a slash in it is unknown, not a redirect to a document of another id
    app.url_map.merge_slashes = False
    app.request_class = Request
    configure(app, settings)
    keep(app, Parts(settings, open_ledger(settings), Client(broker_url(settings))))
    for part in (headers, access, words):
        part.register(app, settings)
    problems.register(app)
    app.register_blueprint(openapi.bp)
    app.register_api(documents.bp)
    app.register_api(batches.bp)
    app.register_api(quotas.bp)
    app.register_api(inbound.bp)
    app.register_api(routing.bp)
    app.register_api(deliveries.bp)
    app.register_api(corrections.bp)
    app.register_api(shadow.bp)
    app.register_api(payments.bp)
    app.register_api(series.bp)
    openapi.describe(app)
    app.register_blueprint(health.bp)
    pages.register(app)
    app.wsgi_app = ReadToTheEnd(app.wsgi_app)  # type: ignore[method-assign]
    if settings.behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


def configure(app: OpenAPI, settings: Settings) -> None:
    """Set the limits of a request and the properties of the session cookie."""
    app.secret_key = access.installation_key(settings)
    secure = settings.behind_proxy or (settings.public_url or "").startswith("https://")
    app.config.update(
        UPLOAD_BYTES=settings.upload_bytes,
        MAX_CONTENT_LENGTH=settings.upload_bytes + OVERHEAD_BYTES,
        MAX_FORM_MEMORY_SIZE=settings.upload_bytes,  # pasted text is a form field
        MAX_FORM_PARTS=FORM_PARTS,
        # Cookies know no ports: two mailrooms on one machine must not sign each other out.
        # The prefix has browsers refuse the cookie unless it is secure and ours alone.
        SESSION_COOKIE_NAME="__Host-mailroom" if secure else f"mailroom-{settings.port}",
        SESSION_COOKIE_HTTPONLY=True,
        # not Strict: a sign-in link opened from a mail or a chat would not stay signed in
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=7),
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),  # addresses carry the file's hash
        PROPAGATE_EXCEPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
