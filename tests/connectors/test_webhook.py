"""Signed webhooks: what the receiver can rely on, and where they must never go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import BadSettings, Permanent, RefusedAddress, Transient, build, names
from connectors.parts.addresses import is_public, networks, resolve
from connectors.parts.http import Http
from connectors.webhook import Webhook, signature
from tests.connectors.conftest import Receiver, parcel

SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
LOCAL = ["127.0.0.0/8"]


def webhook(url: str, **settings: Any) -> Any:
    """Return a webhook to this machine."""
    return build(
        {"connector": "webhook", "url": url, "secrets": SECRETS[:1], "allow": LOCAL} | settings
    )


def test_connectors_are_the_files_of_the_folder() -> None:
    """A connector that nothing lists cannot be chosen."""
    assert names() == ("imap", "smtp_forward", "webhook", "zammad")


def test_the_signature_is_the_published_one() -> None:
    """Receivers check with their own library; ours must agree with the specification's example."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_delivery_can_be_verified_with_either_secret(receiver: Receiver) -> None:
    """While a secret is being changed, receivers with the old and with the new one both verify."""
    sent = parcel(queue="billing", text="Grüße", key="d-7")
    webhook(f"{receiver.url}/hook/?a=b", secrets=SECRETS).send(sent)
    (request,) = receiver.received
    assert (request.method, request.path) == ("POST", "/hook/?a=b")
    assert request.headers["webhook-id"] == "d-7"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"d-7.{request.headers['webhook-timestamp']}.".encode() + request.body
    for secret in SECRETS:
        key = base64.b64decode(secret[6:])
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert expected in request.headers["webhook-signature"].split()
    body = json.loads(request.body)
    assert body["type"] == "document.decided"
    assert body["data"] == {"document": "doc-1", "queue": "billing", "text": "Grüße"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Transient), (503, Transient), (429, Transient), (408, Transient), (400, Permanent),
     (401, Permanent), (404, Permanent), (410, Permanent), (301, Permanent), (307, Permanent)],
)  # fmt: skip
def test_statuses_say_whether_waiting_helps(
    receiver: Receiver, status: int, error: type[Exception]
) -> None:
    """A delivery given up too early is lost work; one never given up is noise for ever."""
    elsewhere = {"location": f"{receiver.url}/other", "retry-after": "7"}
    receiver.answer = lambda _: (status, elsewhere, b"secret words")
    with pytest.raises(error) as raised:
        webhook(receiver.url).send(parcel())
    assert "secret words" not in str(raised.value)
    assert len(receiver.received) == 1, "a redirect was followed"
    if isinstance(raised.value, Transient):
        assert raised.value.retry_after == 7


def test_a_receiver_that_is_away_is_tried_again() -> None:
    """Network errors are the commonest reason why a webhook is not delivered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Transient):
        webhook(f"http://127.0.0.1:{port}").send(parcel())
    with pytest.raises(Transient):
        webhook("http://no-such-host.invalid").send(parcel())


def serve(answer: bytes, *, pause: float = 0.0) -> int:
    """Answer one connection on this machine with raw bytes, one at a time when slow."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                try:
                    if not pause:
                        connection.sendall(answer)
                        return
                    for byte in answer:
                        connection.sendall(bytes([byte]))
                        time.sleep(pause)
                except OSError:
                    return

    threading.Thread(target=run, daemon=True).start()
    return int(server.getsockname()[1])


def test_a_slow_drip_ends_at_the_deadline() -> None:
    """Each byte just in time would hold a worker for hours."""
    port = serve(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000, pause=0.02)
    with pytest.raises(Transient):
        webhook(f"http://127.0.0.1:{port}", seconds=0.3).send(parcel())


def test_what_is_read_is_bounded() -> None:
    """A receiver that answers with gigabytes would take the worker's memory."""
    port = serve(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000)
    answer = Http(f"http://127.0.0.1:{port}", allow=LOCAL).request("GET", "/", headers={})
    assert len(answer.body) == 1_000_000


def test_what_is_not_http_is_tried_again() -> None:
    """A proxy's broken answer is no verdict on the delivery."""
    with pytest.raises(Transient):
        webhook(f"http://127.0.0.1:{serve(b'nonsense')}").send(parcel())


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "localhost.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
     "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "169.254.169.254", "10.0.0.1",
     "[fe80::1]", "[fd00:ec2::254]", "192.168.1.1", "100.100.100.200", "168.63.129.16",
     "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "[::7f00:1]"],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(
    receiver: Receiver, host: str
) -> None:
    """Whoever may type a webhook's address could otherwise read this network's inside."""
    with pytest.raises((RefusedAddress, BadSettings)) as refused:
        webhook(f"http://{host}:{receiver.port}/", allow=[]).send(parcel())
    assert receiver.received == []
    assert "127.0.0.1" in host or "127.0.0.1" not in str(refused.value)


def test_one_bad_address_among_good_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses would be let in by the first and reach the second."""
    entries = [(2, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(RefusedAddress):
        resolve("both.example", 80, ())
    assert resolve("both.example", 80, networks(["10.0.0.0/8"])) == ["93.184.216.34", "10.0.0.1"]


def test_the_checked_address_is_the_one_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the second time would lead past the check."""
    asked = []

    def resolver(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver_for_names(resolver))
    webhook(f"http://rebind.example:{receiver.port}/", allow=["127.0.0.1/32"]).send(parcel())
    assert asked == ["rebind.example"]
    assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"


def resolver_for_names(resolver: Any) -> Any:
    """Return a getaddrinfo that leaves addresses as they are."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return resolver(host, *arguments, **named)
        return real(host, *arguments, **named)

    return getaddrinfo


def test_tls_verifies_the_name_though_an_address_is_dialled(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinning the address must not cost the certificate's check."""
    from tests.connectors.certificate import make_certificate

    certificate = make_certificate(tmp_path, "hook.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    local = resolver_for_names(lambda _, port, *__, **___: [(2, 1, 6, "", ("127.0.0.1", port))])
    monkeypatch.setattr(socket, "getaddrinfo", local)
    settings: dict[str, Any] = {"ca_file": str(certificate)}
    webhook(f"https://hook.example:{receiver.port}/", **settings).send(parcel())
    assert len(receiver.received) == 1
    for url, more in (
        (f"https://other.example:{receiver.port}/", settings),
        (f"https://hook.example:{receiver.port}/", {}),
    ):
        with pytest.raises(Transient):
            webhook(url, **more).send(parcel())
    assert len(receiver.received) == 1


def test_no_proxy_of_the_environment_sees_the_delivery(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy resolves names itself: the check of the address would mean nothing."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    webhook(receiver.url).send(parcel())
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "settings",
    [{"url": "ftp://x"}, {"url": "http://user:pw@x/"}, {"url": "/x"}, {"url": 3}, {"urls": "x"},
     {"secrets": ["abc"]}, {"secrets": ["whsec_YQ=="]}, {"secrets": []}, {"secrets": "whsec_"},
     {"allow": ["nonsense"]}, {"seconds": "x"}, {"connector": "nothing"}, {"ca_file": "/none"}],
)  # fmt: skip
def test_wrong_settings_are_named_before_anything_is_sent(settings: dict[str, Any]) -> None:
    """A typing error found at the first delivery is found too late."""
    good = {"connector": "webhook", "url": "https://x.example", "secrets": SECRETS}
    build(good)
    with pytest.raises(BadSettings):
        build(good | settings)


def test_secrets_are_not_shown() -> None:
    """Settings end up in logs and in errors."""
    assert SECRETS[0] not in repr(Webhook(url="https://x.example", secrets=(SECRETS[0],)))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_itself(
    address: ipaddress.IPv4Address,
) -> None:
    """Each wrapping that was forgotten is a way in."""
    for wrapped in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_public(ipaddress.ip_address(wrapped)) == is_public(address)
