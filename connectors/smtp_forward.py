"""Sends the document's original on by SMTP, intact.

`resend` hands the mail on as it came, under new trace headers (RFC 5322 3.6.6): its sender, its
signatures and every byte of it stay, and an answer goes to who wrote it. What SMTP cannot carry
unchanged (bare line ends, NULs, lines of more than 998 octets, documents that are no mail) goes as
an attachment in a mail that says what was decided; `attach` does so always.

The loop mark, made by the caller's key for the Message-ID, lets this installation know the
mail if it comes back. The return path is ours, or empty for a mail that had none, so a bounce
never meets a bounce.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Literal

from connectors.parts.errors import BadSettings, Permanent, Transient
from connectors.parts.http import tls_context
from connectors.parts.parcel import Parcel, Receipt

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_HOPS = 100
_LINE = 998
_ADDRESS = re.compile(r"[^@\s<>,;:\"\\]+@[^@\s<>,;:\"\\]+\Z")


@dataclass(frozen=True)
class SmtpForward:
    """Sends to `to` through the server at `host`, from the address `sender`."""

    host: str
    to: tuple[str, ...]
    sender: str
    port: int = 25
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    mode: Literal["resend", "attach"] = "resend"
    ca_file: str = ""
    seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check everything that can be checked without connecting."""
        for address in (*self.to, self.sender):
            if not _ADDRESS.match(address):
                raise BadSettings(f"{address!r} is not an address.")
        if not self.to:
            raise BadSettings("`to` needs one address at least.")
        if self.username and self.security == "none":
            raise BadSettings("A password is not sent without TLS: set `security`.")
        tls_context(self.ca_file)

    def message_id(self, parcel: Parcel) -> str:
        """Return the Message-ID of what will be sent, the same at every attempt."""
        return f"<{parcel.id}.mailroom@{self.sender.rpartition('@')[2]}>"

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver; a receiver knows a repeat by its Message-ID."""
        raw = parcel.original()
        if len(re.findall(rb"(?im)^received[ \t]*:", _headers(raw))) >= _HOPS:
            raise Permanent("The mail goes in circles: too many servers have passed it on.")
        with self._connection() as client:
            message, how = self._message(parcel, raw, eight_bit=client.has_extn("8bitmime"))
            options = ["BODY=8BITMIME"] if not message.isascii() else []
            if client.has_extn("size"):
                options.append(f"SIZE={len(message)}")
            return_path = "" if parcel.content.get("null_sender") else self.sender
            refused = client.sendmail(return_path, list(self.to), message, options)
        if refused:
            raise Permanent(f"The mail server took it for some, but not for: {', '.join(refused)}.")
        return Receipt(self.message_id(parcel), how)

    def _message(self, parcel: Parcel, raw: bytes, *, eight_bit: bool) -> tuple[bytes, str]:
        """Return what to send, and how the original travels in it."""
        carried = _carried(raw, eight_bit=eight_bit)
        if self.mode == "resend" and carried is not None:
            return self._resent(parcel, carried), "Sent on as it came."
        return self._attached(parcel, raw), "Sent with the original attached."

    def _resent(self, parcel: Parcel, raw: bytes) -> bytes:
        trace = [
            f"Received: by {_hostname()} (Mailroom) id {parcel.document_id};",
            f"\t{format_datetime(datetime.now(UTC))}",
            f"Resent-From: {self.sender}",
            f"Resent-To: {', '.join(self.to)}",
            f"Resent-Date: {format_datetime(datetime.now(UTC))}",
            f"Resent-Message-ID: {self.message_id(parcel)}",
            *self._marks(parcel),
        ]
        return "".join(f"{line}\r\n" for line in trace).encode() + raw

    def _attached(self, parcel: Parcel, raw: bytes) -> bytes:
        message = EmailMessage(policy=SMTP_POLICY.clone(cte_type="7bit"))
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Subject"] = _one_line(f"Fwd: {parcel.content.get('subject') or '(no subject)'}")
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = self.message_id(parcel)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's robot shall answer
        for mark in self._marks(parcel):
            name, _, value = mark.partition(": ")
            message[name] = value
        message.set_content(str(parcel.content.get("reason") or "The original is attached.") + "\n")
        # base64 as a file: the one form in which every byte arrives
        message.add_attachment(
            raw, maintype="application", subtype="octet-stream", filename="original.eml"
        )
        return message.as_bytes()

    def _marks(self, parcel: Parcel) -> list[str]:
        if parcel.loop_mark is None:
            return []
        return [f"X-Mailroom-Loop: {parcel.loop_mark(self.message_id(parcel))}"]

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        """Yield a signed-in client; what goes wrong becomes Transient or Permanent."""
        try:
            with self._client() as client:
                client.ehlo()
                if self.security == "starttls":
                    client.starttls(context=tls_context(self.ca_file))
                    client.ehlo()
                if self.username:
                    client.login(self.username, self.password)
                yield client
        except smtplib.SMTPRecipientsRefused as error:
            codes = [int(code) for code, _ in error.recipients.values()]
            _raise(max(codes, default=550), "every recipient", error)
        except smtplib.SMTPResponseException as error:
            _raise(error.smtp_code, "the mail", error)
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            raise Permanent(f"The mail server cannot be used: {type(error).__name__}.") from error
        except (smtplib.SMTPException, OSError) as error:
            raise Transient(f"The mail server did not answer: {type(error).__name__}.") from error

    def _client(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.seconds, context=tls_context(self.ca_file)
            )
        return smtplib.SMTP(self.host, self.port, timeout=self.seconds)


def _raise(code: int, what: str, error: Exception) -> None:
    sentence = f"The mail server refused {what}: {code}."
    raise (Transient(sentence) if 400 <= code < 500 else Permanent(sentence)) from error


def _headers(raw: bytes) -> bytes:
    end = _HEADER_END.search(raw)
    return raw[: end.end()] if end else raw


def _carried(raw: bytes, *, eight_bit: bool) -> bytes | None:
    """Return the mail as SMTP carries it, or None where that would change it.

    Line ends that are LF throughout become CRLF: a file's, not the message's.
    """
    if b"\r" not in raw:
        raw = raw.replace(b"\n", b"\r\n")
    elif raw.count(b"\r\n") != raw.count(b"\n") or raw.count(b"\r\n") != raw.count(b"\r"):
        return None
    if not _FIELD.match(raw) or b"\0" in raw or (not eight_bit and not raw.isascii()):
        return None
    return None if any(len(line) > _LINE for line in raw.split(b"\r\n")) else raw


def _hostname() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"


def _one_line(text: str) -> str:
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())[:300]


CONNECTOR = SmtpForward
