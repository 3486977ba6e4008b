"""The gateway's door: who may hand in mail for whom, and the commit that stands before `250`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog
from aiosmtpd.smtp import MISSING, Envelope, Session

from intake.mail.glance import headers, hops, name_of
from intake.mail.sameness import mail_key
from ledger import Ledger, Viewer
from ledger.errors import Forbidden, IdempotencyConflict, InvalidToken, StorageFull, TooMuchOwed
from routing import loops
from service.mail.dialogue import Dialogue, original
from service.mail.limits import Connections, Limits, Memory
from service.mail.recipients import Recipients

log = structlog.get_logger(__name__)

_COMMITS = 4  # threads: SQLite takes one writer at a time, and a large body is written beside it
_CALLS = {"*": 20_000, "AUTH": 10, "VRFY": 100, "HELP": 100, "NOOP": 1000, "EHLO": 100, "HELO": 100}

OUR_FAULT = "451 4.3.0 This server has a problem; please try again later"
NO_SPACE = "452 4.3.1 No space for now; please try again later"
TOO_BUSY = "452 4.3.2 Too much is waiting here; please try again later"


class Bell(Protocol):
    """What wakes the workers: `workers.client.Client`, or anything with its `ring`."""

    def ring(self, queue: str) -> bool:
        """Say that work waits on a queue."""


class Door:
    """aiosmtpd's handler and every connection's shared state; lives in one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        recipients: Recipients,
        *,
        bell: Bell | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        ask_for_token: bool = False,
        loop_key: bytes | None = None,
        queue: str = "interactive",
    ) -> None:
        self.limits = limits or Limits()
        self.memory = Memory(self.limits.memory_bytes)
        self.stopping = False
        self._ledger = ledger
        self._recipients = recipients
        self._bell = bell
        self._tls = tls
        self._ask_for_token = ask_for_token
        self._loop_key = loop_key
        self._queue = queue
        self._connections = Connections(self.limits)
        self._dialogues: set[Dialogue] = set()
        self._threads = ThreadPoolExecutor(_COMMITS, thread_name_prefix="commit")
        self._to_ring = asyncio.Event()

    # connections

    def dialogue(self) -> Dialogue:
        """Return the protocol of a new connection: the factory for `loop.create_server`."""
        return Dialogue(
            self,
            data_size_limit=self.limits.message_bytes,
            hostname=socket.gethostname(),
            timeout=self.limits.command_seconds,
            tls_context=self._tls,
            auth_required=self._ask_for_token,
            command_call_limit=_CALLS,
            loop=asyncio.get_running_loop(),
        )

    def enter(self, dialogue: Dialogue, peer: str) -> bool:
        """Count a connection in, or return False where it must go."""
        if self.stopping or not self._connections.enter(peer):
            return False
        self._dialogues.add(dialogue)
        return True

    def leave(self, dialogue: Dialogue, peer: str) -> None:
        """Count a connection out."""
        self._dialogues.discard(dialogue)
        self._connections.leave(peer)

    async def stop(self) -> None:
        """Finish the messages in hand, or cut them off after a while, and commit what was read."""
        self.stopping = True
        goodbyes = [asyncio.create_task(dialogue.stop()) for dialogue in self._dialogues]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=1)  # one that reads nothing is cut off below
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.stop_seconds):
                while any(dialogue.in_hand for dialogue in self._dialogues):
                    await asyncio.sleep(0.02)
        for dialogue in list(self._dialogues):
            dialogue.abort()
        await asyncio.to_thread(self._threads.shutdown, wait=True)

    async def ring_when_needed(self) -> None:
        """Ring the bell for mails that came, one ring for many, until cancelled.

        Apart from the answer: a broker that is away keeps no sender waiting.
        """
        while True:
            await self._to_ring.wait()
            self._to_ring.clear()
            if self._bell is not None:
                await asyncio.to_thread(self._bell.ring, self._queue)

    # aiosmtpd's hooks: named as it wants them

    async def handle_EHLO(  # noqa: N802
        self,
        server: Dialogue,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Announce what is true of this server."""
        session.host_name = hostname
        offered = [line for line in responses if not line.startswith("250-AUTH")]
        offered.insert(-1, "250-PIPELINING")
        if self._ask_for_token and session.ssl is not None:
            offered.insert(-1, "250-AUTH PLAIN LOGIN")
        return offered

    async def handle_VRFY(  # noqa: N802
        self, server: Dialogue, session: Session, envelope: Envelope, address: str
    ) -> str:
        """Tell nobody which addresses there are."""
        return "252 2.5.2 Cannot verify; send a mail and see"

    async def handle_AUTH(  # noqa: N802
        self, server: Dialogue, session: Session, envelope: Envelope, args: list[str]
    ) -> str | None:
        """Let a token in: it is the password, and the name may be anything."""
        if not self._ask_for_token:
            return "503 5.5.1 This server asks for no password"
        secret = await _password(server, args)
        if isinstance(secret, bytes):
            try:
                token = secret.decode("ascii")
                viewer = await asyncio.to_thread(self._ledger.tokens.verify, token)
                viewer.require("write")
            except (InvalidToken, Forbidden, UnicodeDecodeError) as error:
                log.warning("smtp_sign_in_refused", reason=type(error).__name__)
                await asyncio.sleep(1)  # guessing takes longer than being let in
                return "535 5.7.8 This token is not good here"
            session.authenticated = True
            session.auth_data = viewer  # type: ignore[assignment]
            return "235 2.7.0 Welcome"
        return secret

    async def handle_RCPT(  # noqa: N802
        self,
        server: Dialogue,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> Any:
        """Take mail for our own addresses only."""
        if len(envelope.rcpt_tos) >= self.limits.recipients:
            return "452 4.5.3 Too many recipients; send the rest in another transaction"
        if address == "<>" or not self._recipients.take(address):
            return "550 5.1.1 No such address here; this server passes no mail on"
        return MISSING

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault of ours, of which the sender learns nothing but to try again."""
        log.error("smtp_dialogue_failed", reason=type(error).__name__)
        return OUR_FAULT

    # keeping

    async def keep(self, dialogue: Dialogue, stuffed: bytearray) -> str:
        """Commit a message and return the answer to its sender; never raises for our faults."""
        session, envelope = dialogue.session, dialogue.envelope
        assert session is not None  # noqa: S101
        assert envelope is not None  # noqa: S101
        claims = _claims(session, envelope)
        viewer = session.auth_data or Viewer(actor="smtp", scopes=frozenset({"write"}))
        size = len(stuffed)
        loop = asyncio.get_running_loop()
        committed = loop.run_in_executor(self._threads, self._commit, stuffed, claims, viewer)
        # When the thread is done, whether or not somebody still waits for it
        committed.add_done_callback(lambda done: self._after_commit(done, size))
        try:
            return await asyncio.shield(committed)
        except TooMuchOwed:
            return TOO_BUSY
        except StorageFull:
            log.error("smtp_no_space")
            return NO_SPACE
        except Exception as error:
            log.error("smtp_commit_failed", reason=type(error).__name__)
            return OUR_FAULT

    def _after_commit(self, committed: asyncio.Future[str], size: int) -> None:
        self.memory.release(size)
        if not committed.cancelled() and committed.exception() is None:
            self._to_ring.set()

    def _commit(self, stuffed: bytearray, claims: dict[str, Any], viewer: Viewer) -> str:
        """Keep the message in the ledger and return the answer; runs in a thread."""
        raw = original(stuffed)
        stuffed.clear()  # one copy less while a large body is written
        if hops(raw) > self.limits.hops:
            return "554 5.4.6 This mail goes in circles: too many hops"
        key = mail_key(
            raw,
            mail_from=claims["mail_from"],
            rcpt_to=claims["rcpt_to"],
            received_at=datetime.fromisoformat(claims["received_at"]),
        )
        if self._loop_key and loops.is_ours(headers(raw), self._loop_key):
            claims["ours"] = True  # kept and read like any mail, and never sent on again
        accept = partial(
            self._ledger.documents.accept,
            raw,
            viewer=viewer,
            source="smtp",
            kind="email",
            name=name_of(raw),
            media_type="message/rfc822",
            queue=self._queue,
            envelope=claims,
        )
        try:
            document = accept(idempotency_key=key, any_body=True)
        except IdempotencyConflict:  # somebody used our key for something else: keep the mail
            document = accept()
        log.info("mail_kept", id=document.id, size=len(raw), repeated=document.repeated)
        return f"250 2.0.0 Kept as {document.id}"


def _claims(session: Session, envelope: Envelope) -> dict[str, Any]:
    """Return what was said about the message in the dialogue; who said it proved none of it."""
    peer = session.peer[0] if isinstance(session.peer, tuple) else str(session.peer or "")
    helo = (session.host_name or "").encode("utf-8", "replace").decode()
    return {
        "mail_from": "" if envelope.mail_from == "<>" else envelope.mail_from or "",
        "rcpt_to": list(dict.fromkeys(envelope.rcpt_tos)),
        "peer": peer,
        "helo": re.sub(r"[\x00-\x1f\x7f]", "", helo)[:255],
        "received_at": datetime.now(UTC).isoformat(),
        "smtputf8": bool(envelope.smtp_utf8),
        "tls": session.ssl is not None,
    }


async def _password(server: Dialogue, args: list[str]) -> bytes | str | None:
    """Return an AUTH PLAIN or LOGIN's password, an answer to refuse it, or None when answered."""
    said: Any
    mechanism = args[0].upper()
    if mechanism == "PLAIN":
        said = _decoded(args[1]) if len(args) > 1 else await server.challenge_auth("")
        parts = said.split(b"\0") if isinstance(said, bytes) else []
        if len(parts) == 3:
            return bytes(parts[2])
        return None if said is MISSING else "501 5.5.2 This cannot be read"
    if mechanism == "LOGIN":
        if len(args) < 2 and await server.challenge_auth("Username:") is MISSING:
            return None
        said = await server.challenge_auth("Password:")
        return said if isinstance(said, bytes) else None
    return "504 5.5.4 Only PLAIN and LOGIN are spoken here"


def _decoded(argument: str) -> bytes | None:
    """Return what base64 says, or None."""
    try:
        return base64.b64decode(argument.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
