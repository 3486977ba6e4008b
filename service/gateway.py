"""The mail gateway: a server that takes mail over SMTP and answers 250 after the commit.

It keeps mail for the recipients it was told to and never passes any on. One process, one event
loop; commits run in threads, so that a slow disk stops no other sender's dialogue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from ledger import Ledger
from service.mail.door import Bell, Door
from service.mail.limits import Limits
from service.mail.recipients import Recipients
from settings import Settings
from workers.client import Client, NoAddress, broker_url, loop_key, open_ledger

log = structlog.get_logger(__name__)

_BACKLOG = 512


class NotReady(RuntimeError):
    """The gateway cannot start as things are; the sentence says what to do."""


@contextlib.asynccontextmanager
async def serving(door: Door, *, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve SMTP until the block ends; yields the address that is listened on.

    Port 0 takes a free one. On the way out the messages in hand are finished first.
    Raises OSError when the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(door.dialogue, host, port, backlog=_BACKLOG)
    ringing = asyncio.create_task(door.ring_when_needed())
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        await door.stop()
        ringing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ringing


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what STARTTLS needs, or None without a certificate; raises OSError, ssl.SSLError."""
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def make_door(settings: Settings, ledger: Ledger, bell: Bell | None) -> Door:
    """Return the door that the settings describe; raises NotReady."""
    try:
        tls = tls_context(settings.smtp_tls_certificate, settings.smtp_tls_key)
    except (OSError, ssl.SSLError) as error:
        raise NotReady(f"The certificate for STARTTLS cannot be read: {error}") from error
    if settings.smtp_auth and tls is None:
        raise NotReady(
            "MAILROOM_SMTP_AUTH needs MAILROOM_SMTP_TLS_CERTIFICATE: no password in clear."
        )
    limits = Limits(message_bytes=settings.smtp_bytes, memory_bytes=4 * settings.smtp_bytes)
    return Door(
        ledger,
        Recipients(settings.smtp_recipients),
        bell=bell,
        limits=limits,
        tls=tls,
        ask_for_token=settings.smtp_auth,
        loop_key=loop_key(settings),
    )


async def _serve(
    settings: Settings, door: Door, host: str, port: int, ready: Callable[[str, int], None]
) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serving(door, host=host, port=port) as (listening_host, listening_port):
        log.info("gateway_ready", host=listening_host, port=listening_port)
        ready(listening_host, listening_port)
        await stopped.wait()
        log.info("gateway_stopping")


def run(settings: Settings, *, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve mail until SIGTERM or Ctrl-C; `ready` hears the address once it listens.

    Raises NotReady when the ledger's tables are not current or TLS is misconfigured, OSError when
    the address is taken. Without a broker mail is kept all the same: the scheduler rings.
    """
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # it repeats every command it hears
    ledger = open_ledger(settings)
    try:
        bell: Client | None = Client(broker_url(settings))
    except NoAddress:
        bell = None
        log.warning("gateway_without_broker")
    try:
        if not ledger.is_current():
            raise NotReady("The ledger's tables are missing or old: run `mailroom migrate` first.")
        asyncio.run(_serve(settings, make_door(settings, ledger, bell), host, port, ready))
    finally:
        if bell is not None:
            bell.close()
        ledger.close()
