"""The SMTP dialogue: aiosmtpd's server with its reading of addresses and of DATA replaced.

What differs from aiosmtpd, and why:

* A message ends at CRLF.CRLF and at nothing else (RFC 5321 4.1.1.4). A bare LF or CR is content,
  so no sender can hide a second mail in a first one (SMTP smuggling, CVE-2023-51764 and its kin).
* Lines may be of any length: senders break the 998-octet rule every day, and refusing their mail
  would lose it. Data is read in blocks, not in lines, and held to a size and a memory budget.
* Any address in angle brackets is taken as it stands; it is a claim, and its mail is kept.
* HTTP verbs end the connection: a web page could otherwise post mail to a gateway on localhost.
* When the gateway stops, the message in hand is finished and the connection ends with 421.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, NoReturn

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from service.mail.door import Door

_END = b"\r\n.\r\n"
_BLOCK = 65_536
_HTTP = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT")
# <address> with an optional source route, which RFC 5321 tells servers to ignore
_BRACKETS = re.compile(
    r'<(?:@[^<>:"\s]{1,255}(?:,@[^<>:"\s]{1,255}){0,20}:)?'
    r'(?P<address>(?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)>(?P<rest>(?:\s.*)?)\Z',
    re.DOTALL,
)
_BARE = re.compile(r"(?P<address>[^<>\s]+)(?P<rest>(?:\s.*)?)\Z", re.DOTALL)
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # controls, and bytes that are not UTF-8

# The same for every sender, so that none can read our insides from it
TOO_LARGE = "552 5.3.4 The message is larger than this server takes"
NO_MEMORY = "452 4.3.1 Too much mail is arriving at once; please try again later"
TOO_MANY = b"421 4.7.0 Too many connections; please try again later\r\n"
STOPPING = "421 4.3.2 The server is stopping; please try again later"


class Dialogue(SMTP):
    """One connection."""

    line_length_limit = _BLOCK  # of the stream's buffer; a command has its own limit

    def __init__(self, door: Door, **options: Any) -> None:
        super().__init__(door, enable_SMTPUTF8=True, ident="Mailroom", **options)
        self._door = door
        self._peer = ""
        self.in_hand = False  # a message is being read or committed
        self._smtp_methods |= dict.fromkeys(_HTTP, self._end_of_http)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections; also called again after STARTTLS."""
        if self.transport is None:
            peer = transport.get_extra_info("peername")
            self._peer = str(peer[0]) if isinstance(peer, tuple) else "local"
            if not self._door.enter(self, self._peer):
                self._peer = ""
                transport.write(TOO_MANY)  # type: ignore[attr-defined]
                transport.close()
                return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a connection that was turned away never began."""
        if self._handler_coroutine is None:
            return
        if self._peer:
            self._door.leave(self, self._peer)
            self._peer = ""
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what a connection that was turned away still sends is dropped."""
        if self._handler_coroutine is not None:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """Notice that the client has closed its side."""
        return super().eof_received() if self._handler_coroutine is not None else False

    async def stop(self) -> None:
        """Say goodbye and close, unless a message is in hand: then it ends after its reply."""
        if self.in_hand or self.transport is None:
            return
        # A TLS transport whose peer has just gone fails in ways of its own (AttributeError on
        # Python 3.11), and one connection's end must not keep the others from theirs.
        with contextlib.suppress(Exception):
            await self.push(STOPPING)
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once; a message without its 250 is its sender's to send again."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Return the address and what follows it; (None, None) where there is none."""
        arg = arg.strip()
        match = (_BRACKETS if arg.startswith("<") else _BARE).match(arg)
        if match is None or _UNFIT.search(match["address"]) or len(match["address"]) > 1000:
            return None, None
        return match["address"] or "<>", match["rest"].strip()

    async def _end_of_http(self, arg: str | None) -> None:
        await self.push("421 4.7.0 This is a mail server")
        self._cut_off()

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Read a message, have it kept, and say so."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self.in_hand = True
        try:
            await self._take_message()
        finally:
            self.in_hand = False
        if self._door.stopping:
            await self.push(STOPPING)
            self._cut_off()

    async def _take_message(self) -> None:
        """Read up to the end of data and answer for it; memory is given back on every path."""
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        # The line end of the DATA command is the first half of what may end an empty message
        self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]
        body = bytearray()
        handed_on = False
        try:
            refusal = await self._read_into(body)
            if refusal is None:
                handed_on = True  # the door gives the memory back, when its thread is done
                refusal = await self._door.keep(self, body)
        finally:
            if not handed_on:
                self._door.memory.release(len(body))
        self._set_post_data_state()
        await self.push(refusal)

    async def _read_into(self, body: bytearray) -> str | None:
        """Append the message, still dot-stuffed, CRLF in front; return a refusal or None.

        A refused message is read to its end all the same, for a client reads no answer before;
        one that goes on for twice the limit is cut off.
        """
        limit = self._door.limits.message_bytes
        refusal: str | None = None
        read, ended = 0, False
        try:
            async with asyncio.timeout(self._door.limits.data_seconds):
                while not ended and read <= 2 * limit + _BLOCK:
                    block, ended = await self._block()
                    self._reset_timeout()
                    read += len(block)
                    refusal = refusal or self._refusal(read, block)
                    if refusal is None:
                        body += block
                    else:
                        self._door.memory.release(len(body))
                        body.clear()
        except TimeoutError:
            refusal, ended = "421 4.4.2 The message took too long", False
        if not ended:
            await self.push(refusal or TOO_LARGE)
            self._cut_off()
        return refusal

    def _refusal(self, read: int, block: bytes) -> str | None:
        """Return why a message of which so much was read is refused, or take memory for a block."""
        if read > self._door.limits.message_bytes + 2:  # the CRLF in front is not the sender's
            return TOO_LARGE
        return None if self._door.memory.take(len(block)) else NO_MEMORY

    def _cut_off(self) -> NoReturn:
        """Close, and read nothing more of what has arrived already."""
        if self.transport is not None:
            self.transport.close()
        raise asyncio.CancelledError

    async def _block(self) -> tuple[bytes, bool]:
        """Return some bytes of the message and whether they are its last."""
        try:
            return (await self._reader.readuntil(_END))[: -len(_END) + 2], True
        except asyncio.LimitOverrunError as more:
            # `consumed` leaves in the buffer what may be the beginning of the end
            return await self._reader.readexactly(more.consumed), False


def original(stuffed: bytes | bytearray) -> bytes:
    """Return the message as its sender had it; `stuffed` begins with a CRLF before it.

    A dot is taken off each line that begins with one (RFC 5321 4.5.2), where a line begins after
    CRLF. Some senders double dots after a bare LF too (Python's smtplib does, given bytes). A
    single dot after a bare LF shows that this one does not; where there is none, they are undone.
    """
    message = bytes(stuffed.replace(b"\r\n.", b"\r\n"))[2:]
    if message.count(b"\n") == message.count(b"\r\n"):
        return message
    if b"\n.." in message and not re.search(rb"(?<!\r)\n\.(?!\.)", message):
        message = re.sub(rb"(?<!\r)\n\.\.", b"\n.", message)
    return message
