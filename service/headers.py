"""What every answer carries to keep a browser safe, and which host names are answered at all."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from service.errors import UntrustedHost
from settings import Settings

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: a form's Origin header would become "null"
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

# A probe inside a cluster uses whatever name it has; these addresses tell it nothing secret.
ANY_HOST = ("/healthz", "/readyz")


def register(app: Flask, settings: Settings) -> None:
    """Check the host of every request and add the headers to every answer."""
    check = HostCheck(settings)

    @app.before_request
    def host_is_ours() -> None:
        check(request.host)

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer


class HostCheck:
    """Refuses host names that are not ours.

    A page elsewhere can point a name of its own at this machine (DNS rebinding) and then read
    answers as if it were us. It cannot do so with an address, or with a bearer token that it
    does not know; so those pass, and a name must be one that the settings know.
    """

    def __init__(self, settings: Settings) -> None:
        self.names = {"localhost", settings.host.lower().strip("[]")}
        if settings.public_url:
            public = urlsplit(settings.public_url).hostname
            self.names.add((public or "").lower())
        self.names.discard("")

    def __call__(self, host: str) -> None:
        """Raise UntrustedHost for a name that is not ours."""
        bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
        if bearer or request.path in ANY_HOST or self.knows(host):
            return
        raise UntrustedHost(
            "To reach Mailroom under this name, set MAILROOM_PUBLIC_URL to the address "
            "that people use."
        )

    def knows(self, host: str) -> bool:
        """Say whether a Host header's value is an address or a name of ours."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
