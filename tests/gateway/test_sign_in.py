"""STARTTLS, and tokens as passwords over it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import Ledger
from service.gateway import NotReady, make_door, tls_context
from settings import Settings
from tests.connectors.certificate import make_certificate
from tests.gateway.conftest import VIEWER, Gateway, kept
from tests.gateway.test_dialogue import START, Wire


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A PEM file with a key and a certificate for localhost."""
    return make_certificate(tmp_path, "localhost")


@pytest.fixture
def guarded(start_gateway: Callable[..., Gateway], certificate: Path) -> Gateway:
    """A gateway that asks for a token."""
    return start_gateway(tls=tls_context(certificate, None), ask_for_token=True)


def secured(gateway: Gateway, certificate: Path) -> smtplib.SMTP:
    """Return a client that has checked the certificate and speaks TLS."""
    client = smtplib.SMTP("localhost", gateway.port, timeout=20)
    client.starttls(context=ssl.create_default_context(cafile=str(certificate)))
    return client


def test_a_token_opens_the_door(guarded: Gateway, ledger: Ledger, certificate: Path) -> None:
    """An office that lets programs send over the internet needs to know which ones."""
    _, secret = ledger.tokens.issue(VIEWER, name="scanner", scopes={"write"}, expires_at=None)
    for mechanism in ("auth_plain", "auth_login"):
        with secured(guarded, certificate) as client:
            client.ehlo()
            client.user, client.password = "scanner", secret
            assert client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0] == 235
            client.sendmail("a@x", "b@y", b"Message-ID: <%s>\r\n\r\nhi\r\n" % mechanism.encode())
    first, second = kept(ledger)
    assert first.envelope is not None
    assert first.envelope["tls"] is True
    assert second.workspace == "default"


@pytest.mark.parametrize("scopes", [None, {"read"}])
def test_no_token_or_a_token_for_reading_opens_nothing(
    guarded: Gateway, ledger: Ledger, certificate: Path, scopes: set[str] | None
) -> None:
    """A guard that takes any name lets everybody in."""
    secret = "mr_wrong"
    if scopes:
        _, secret = ledger.tokens.issue(VIEWER, name="reader", scopes=scopes, expires_at=None)
    with secured(guarded, certificate) as client:
        assert client.docmd("EHLO x")[0] == 250
        assert client.mail("a@x")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("me", secret)
        assert client.mail("a@x")[0] == 530
    assert kept(ledger) == []


def test_no_password_is_taken_in_clear(guarded: Gateway) -> None:
    """A password sent without TLS is everybody's on that network."""
    with guarded.client() as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH PLAIN AGEAYg==")[0] == 538


def test_commands_sent_before_tls_are_forgotten(guarded: Gateway) -> None:
    """Someone in the middle could prefix the secured dialogue with commands of their own."""
    wire = Wire(guarded)
    wire.say(b"EHLO x\r\nSTARTTLS\r\n" + START)
    wire.replies(2)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wire.file.close()
    with context.wrap_socket(wire.socket) as secure:
        secure.sendall(b"NOOP\r\n")
        assert secure.recv(1000).startswith(b"250 OK")


def test_settings_that_cannot_work_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    """A guard that silently does not guard is worse than none."""
    with pytest.raises(NotReady, match="CERTIFICATE"):
        make_door(Settings(smtp_auth=True), ledger, None)
    with pytest.raises(NotReady, match="cannot be read"):
        make_door(Settings(smtp_tls_certificate=tmp_path / "none.pem"), ledger, None)
