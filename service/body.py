"""A request's body, whole or not at all, and never left half read.

A body that breaks off must not be kept as if it were all there was, and
a refused upload must not be answered with a reset connection.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import ParseException

from service.errors import IncompleteBody

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNREAD_BYTES = 100_000_000
UNREAD_SECONDS = 10
CHUNK_BYTES = 65_536


class WholeBody(io.RawIOBase):
    """Reads a body to its announced end; raises IncompleteBody where it ends before."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.stream: Any = environ["wsgi.input"]
        length = environ.get("CONTENT_LENGTH", "")
        self.left: int | None = int(length) if str(length).isdecimal() else None
        if self.left is None and not environ.get("wsgi.input_terminated"):
            self.left = 0  # reading on would wait for the next request

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the body goes and return how far; 0 at the end."""
        wanted = len(buffer) if self.left is None else min(len(buffer), self.left)
        if not wanted:
            return 0
        try:
            chunk = self.stream.read(wanted)
        except (OSError, ParseException) as error:  # the line broke, or chunks that are none
            raise IncompleteBody("The request did not arrive whole. Send it again.") from error
        if self.left is not None:
            self.left -= len(chunk)
            if not chunk:
                raise IncompleteBody("The request broke off before its end. Send it again.")
        buffer[: len(chunk)] = chunk
        return len(chunk)


class ReadToTheEnd:
    """Takes the rest of a body before an answer that did not want it goes out.

    A connection that is closed over unread bytes is reset, and the sender would see that
    instead of why their upload was refused.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, and discard what was not read, up to a bound in bytes and time."""
        body = environ["wsgi.input"] = WholeBody(environ)
        environ["wsgi.input_terminated"] = True
        answer = self.app(environ, start_response)
        unread, until = UNREAD_BYTES, time.monotonic() + UNREAD_SECONDS
        try:
            while unread > 0 and time.monotonic() < until:
                chunk = body.read(min(unread, CHUNK_BYTES))
                if not chunk:
                    break
                unread -= len(chunk)
        except (IncompleteBody, ValueError):
            pass  # the sender is gone, or the body was closed: there is nothing left to read
        return answer
