"""Who asks: a bearer token for programs, a session made from one for people.

A session holds the token's secret, encrypted, in a signed cookie that scripts cannot read. It
is verified against the ledger on every request, so revoking a token ends its sessions at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from cryptography.fernet import InvalidToken as NotOurs
from flask import Flask, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from ledger import Viewer
from ledger.errors import InvalidToken
from service.errors import CrossSite, MissingToken
from service.parts import parts
from settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_SECRET = 200  # characters; ours have about fifty


def secret_key(data_dir: Path) -> str:
    """Return the key that signs sessions; it is made once and kept, for its owner's eyes only."""
    path = data_dir / "secret.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(made, path)  # fails where another process was first: its key is the key
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_text()


def installation_key(settings: Settings) -> str:
    """Return the secret that signs sessions and seals what the ledger keeps for others' doors."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    return secret_key(settings.data_dir.expanduser())


def viewer() -> Viewer:
    """Return who asks in this request; only behind one of the gates below."""
    return cast(Viewer, g.viewer)


def scope_of_method() -> str:
    """Return the scope that the request's method needs."""
    return "read" if request.method in SAFE_METHODS else "write"


def bearer_gate() -> None:
    """Let the request in with a valid bearer token of the right scope."""
    g.viewer = bearer_viewer()
    viewer().require(scope_of_method())


def bearer_viewer() -> Viewer:
    """Return whom the Authorization header's token stands for."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise MissingToken("Send your token in the header `Authorization: Bearer mr_...`.")
    return verified(secret.strip())


def verified(secret: str) -> Viewer:
    """Return whom a token's secret stands for, or raise InvalidToken."""
    if len(secret) > LONGEST_SECRET or not secret.isascii():
        raise InvalidToken("This is not a token of this server.")
    return parts().ledger.tokens.verify(secret)


def session_gate() -> ResponseReturnValue | None:
    """Let a signed-in person's request in, or send them to sign in.

    A request that changes something must carry the page's own mark besides the cookie.
    """
    signed_in = session_viewer()
    if signed_in is None:
        # a page of theirs to come back to; never the address of an action
        target = request.full_path.rstrip("?") if request.method == "GET" else "/"
        page = url_for("sign_in.show", next=None if target == "/" else target)
        if request.headers.get("HX-Request"):
            return "", 204, {"HX-Redirect": url_for("sign_in.show")}
        return redirect(page, 303)
    g.viewer = signed_in
    g.csrf_token = session["csrf"]
    check_mark()
    viewer().require(scope_of_method())
    return None


def session_viewer() -> Viewer | None:
    """Return who is signed in, or None; a session whose token has ended is forgotten."""
    sealed = session.get("token")
    if not isinstance(sealed, str):
        return None
    try:
        return verified(seal().decrypt(sealed.encode()).decode())
    except (InvalidToken, NotOurs):
        session.clear()
        return None


def recognise() -> None:
    """Note who is signed in, for a page that is open to everyone."""
    if "viewer" not in g and (signed_in := session_viewer()):
        g.viewer = signed_in
        g.csrf_token = session["csrf"]


def start_session(secret: str) -> None:
    """Sign in with a token's secret, or raise InvalidToken.

    Whatever the browser's session held is dropped first: a session that someone else
    prepared must not become theirs.
    """
    verified(secret)
    session.clear()
    session.permanent = True
    session["token"] = seal().encrypt(secret.encode()).decode()
    session["csrf"] = secrets.token_urlsafe(32)


def form_mark() -> str:
    """Return the mark that forms of this session carry, made on first use."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(32)
    return cast(str, session["csrf"])


def check_mark() -> None:
    """Raise CrossSite unless a state-changing request shows that our own page made it."""
    if request.method in SAFE_METHODS:
        return
    again = "Load the page again and repeat what you did."
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise CrossSite(f"Another site's page sent this. {again}")
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc.lower() != request.host.lower():
        raise CrossSite(f"Another site's page sent this. {again}")
    expected = session.get("csrf", "")
    shown = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    if not expected or not hmac.compare_digest(expected.encode(), shown.encode("utf-8", "replace")):
        raise CrossSite(f"The form is older than your session. {again}")


def seal() -> Fernet:
    """Return what encrypts a secret for the cookie, by a key derived from the signing key."""
    key = hashlib.sha256(b"mailroom session\0" + str(current_app.secret_key).encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def safe_next(target: str | None) -> str:
    """Return a path of this server to go on to; anything that could leave it becomes "/"."""
    if not target or not target.startswith("/") or len(target) > 2000:
        return "/"
    if target.startswith("//") or "\\" in target or any(ord(c) < 33 for c in target):
        return "/"
    parsed = urlsplit(target)
    return "/" if parsed.scheme or parsed.netloc else target


def register(app: Flask, settings: Settings) -> None:
    """Let templates ask who is signed in, even where nobody is."""

    @app.context_processor
    def who() -> dict[str, Any]:
        return {"viewer": g.get("viewer"), "csrf_token": g.get("csrf_token", "")}
