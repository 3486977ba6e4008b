"""An authorization server of the tests' own: device codes (RFC 8628), tokens and introspection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Authorization:
    """Its state; `approved` is what the person at the browser does."""

    def __init__(self, username: str = "anna") -> None:
        self.username = username
        self.approved = False
        self.revoked = False
        self.seconds = 3600
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.refresh = "refresh-0"
        self.url = ""

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        """Return status and body."""
        if path == "/device":
            return 200, {
                "device_code": "device-1",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/activate",
                "expires_in": 60,
                "interval": 0.01,
            }
        if path == "/token":
            return self._token(form)
        if path == "/introspect":
            good = form.get("token") in self.tokens
            return 200, {"active": good, "username": self.username}
        return 404, {}

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.asked.append(form.get("grant_type", ""))
        if form.get("client_id") != "mailroom-test":
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") == GRANT:
            if not self.approved:
                waits = self.asked.count(GRANT)
                return 400, {"error": "slow_down" if waits == 2 else "authorization_pending"}
            return 200, self._issue()
        if form.get("refresh_token") != self.refresh or self.revoked:
            return 400, {"error": "invalid_grant"}
        return 200, self._issue()

    def _issue(self) -> dict[str, object]:
        number = len(self.tokens) + 1
        token, self.refresh = f"access-{number}", f"refresh-{number}"  # rotated every time
        self.tokens.add(token)
        return {
            "access_token": token,
            "refresh_token": self.refresh,
            "expires_in": self.seconds,
            "token_type": "Bearer",
        }


@contextmanager
def running_authorization(username: str) -> Iterator[Authorization]:
    """Run one on a free port."""
    authorization = Authorization(username)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._say(body)

        def do_GET(self) -> None:
            self._say(urlsplit(self.path).query)

        def _say(self, encoded: str) -> None:
            form = {name: values[0] for name, values in parse_qs(encoded).items()}
            status, said = authorization.answer(urlsplit(self.path).path, form)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authorization.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield authorization
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
