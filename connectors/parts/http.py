"""HTTP to addresses that people typed in: checked, pinned, bounded, and never redirected.

The name is resolved once, every address is checked, and the connection goes to a checked address
(TLS still verifies the name), so a name that changes between check and use gains nothing. No
proxy from the environment, no redirect, at most so many bytes and seconds.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore

from connectors.parts.addresses import Network, networks, resolve
from connectors.parts.errors import BadSettings, Permanent, Transient

READ_BYTES = 1_000_000


@lru_cache(maxsize=16)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return what verifies certificates, by the system's authorities or a file's; BadSettings."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise BadSettings("`ca_file` cannot be read.") from error


@dataclass(frozen=True)
class Answer:
    """What the other side said; `body` is cut at a megabyte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A client for one destination's address."""

    def __init__(
        self, base: str, *, allow: Iterable[str] = (), seconds: float = 30.0, ca_file: str = ""
    ) -> None:
        """`base` is an absolute http(s) address, `allow` networks beyond the public ones.

        `seconds` bound each whole request. Raises BadSettings.
        """
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSettings("The address must begin with https:// and name a host.")
        if parts.username is not None or parts.password is not None:
            raise BadSettings("The address must not hold a name or a password.")
        self._base = base
        self._allow = networks(allow)
        self._seconds = seconds
        self._tls = tls_context(ca_file)

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Return the answer, whatever its status.

        Raises RefusedAddress before anything is sent, Transient when nothing, or nothing whole,
        came back in time.
        """
        backend = _Pinned(self._allow, time.monotonic() + self._seconds)
        sent: dict[bytes | str, bytes | str] = {
            "user-agent": "Mailroom",
            "accept-encoding": "identity",
        }
        sent.update(headers.items())
        if body:
            sent["content-length"] = str(len(body))
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
                pool.stream(method, self._base + path, headers=sent, content=body) as response,
            ):
                taken = bytearray()
                for piece in response.iter_stream():
                    taken += piece
                    if len(taken) >= READ_BYTES:
                        break
                names = {
                    k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers
                }
                return Answer(response.status, names, bytes(taken[:READ_BYTES]))
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise Transient(f"No answer: {type(error).__name__}.") from error
        except (httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            raise Transient(f"The answer was not HTTP: {type(error).__name__}.") from error
        except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
            raise Permanent("The address cannot be used.") from error


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that a Retry-After header asks for, at most an hour; None without."""
    said = answer.headers.get("retry-after", "")
    return min(3600.0, float(said)) if said.isascii() and said.isdigit() else None


def raise_for_status(answer: Answer, what: str) -> None:
    """Raise Transient where waiting may help, Permanent where it does not; nothing for 2xx."""
    status = answer.status
    if 200 <= status < 300:
        return
    if status in (408, 425, 429) or status >= 500:
        raise Transient(f"{what} answered {status}.", retry_after=retry_after(answer))
    if 300 <= status < 400:
        raise Permanent(f"{what} answered {status}: redirects are not followed.")
    raise Permanent(f"{what} answered {status}.")


class _Pinned(httpcore.NetworkBackend):
    """Connects to checked addresses only, all of it before the deadline."""

    def __init__(self, allow: tuple[Network, ...], deadline: float) -> None:
        self._allow = allow
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first checked address that answers."""
        failure: Exception | None = None
        for address in resolve(host, port, self._allow):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _left(self._deadline, 10.0), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self._deadline)
        raise failure or httpcore.ConnectError("no address")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Refuse: destinations are hosts."""
        raise httpcore.UnsupportedProtocol("no sockets of files")

    def sleep(self, seconds: float) -> None:
        """Wait; httpcore asks for this between its own retries, of which there are none."""
        time.sleep(seconds)


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends at one deadline: a drip of bytes cannot hold it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return some bytes."""
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        """Close."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the stream under TLS; the name is verified, though an address was dialled."""
        name = server_hostname.rstrip(".") if server_hostname else None
        return _Timed(
            self._stream.start_tls(ssl_context, name, _left(self._deadline)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream below knows."""
        return self._stream.get_extra_info(info)


def _left(deadline: float, at_most: float = float("inf")) -> float:
    """Return the seconds up to the deadline; raises ReadTimeout when it is past."""
    left = min(at_most, deadline - time.monotonic())
    if left <= 0:
        raise httpcore.ReadTimeout("the time is up")
    return left
