"""Moves or flags the mail where it lies, by UID and UIDVALIDITY.

The mail is known by the folder, UIDVALIDITY and UID under which it was read, and by its
Message-ID where it has one: a UID that now names another mail is never touched. A mail that is in
the target folder already counts as moved, so a second attempt does no harm.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from imap_tools import AND, BaseMailBox, H, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.utils import encode_folder

from connectors.parts.errors import BadSettings, Permanent, Transient
from connectors.parts.http import tls_context
from connectors.parts.parcel import Parcel, Receipt

_KEYWORD = re.compile(r"[A-Za-z0-9$_.-]{1,60}\Z")
_FLAGS = frozenset({"\\Seen", "\\Flagged", "\\Answered", "\\Draft"})


@dataclass(frozen=True)
class Imap:
    """Acts in the account `username` at `host`, with `password` or an OAuth access `token`."""

    host: str
    username: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    port: int = 993
    security: Literal["tls", "starttls", "none"] = "tls"
    move_to: str = ""  # a folder for parcels that name no action; `{queue}` is replaced
    create: bool = True  # folders that are not there
    ca_file: str = ""
    seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check everything that can be checked without connecting."""
        if bool(self.password) == bool(self.token):
            raise BadSettings("Set either `password` or `token`.")
        tls_context(self.ca_file)

    def send(self, parcel: Parcel) -> Receipt:
        """Do what the parcel's `action` says: `{"move": FOLDER}`, `{"flag": [...]}` or both."""
        place = parcel.content.get("mailbox")
        if not isinstance(place, Mapping) or not {"folder", "uidvalidity", "uid"} <= set(place):
            raise Permanent("This document does not come from a mailbox.")
        action = parcel.content.get("action") or self._default(parcel)
        flags, folder = list(action.get("flag") or ()), action.get("move")
        if not flags and not folder:
            raise Permanent("Nothing was asked for: neither a folder nor a flag.")
        if any(flag not in _FLAGS and not _KEYWORD.match(flag) for flag in flags):
            raise Permanent("Flags are Seen, Flagged, Answered, Draft, or one plain word.")
        message_id = str(parcel.content.get("message_id") or "")
        with self._mailbox() as mailbox:
            folder = _spelt(mailbox, str(folder)) if folder else None
            uid = self._find(mailbox, place, message_id)
            if uid is None:
                if folder and message_id and self._lies_in(mailbox, folder, message_id):
                    return Receipt(folder, "It was there already.")
                raise Permanent("The mail is no longer where it was read.")
            if flags:
                # the library's own `flag` expunges the folder: mails a person only marked
                _checked(mailbox.client.uid("STORE", uid, "+FLAGS", f"({' '.join(flags)})"))
            if folder and folder != place["folder"]:
                self._move(mailbox, uid, folder)
        return Receipt(folder or str(place["folder"]), "Moved." if folder else "Flagged.")

    def _default(self, parcel: Parcel) -> dict[str, Any]:
        queue = str(parcel.content.get("queue") or "")
        return {"move": self.move_to.replace("{queue}", queue)} if self.move_to else {}

    def _find(self, mailbox: BaseMailBox, place: Mapping[str, Any], message_id: str) -> str | None:
        """Select the folder and return the mail's UID in it, or None."""
        if not mailbox.folder.exists(str(place["folder"])):
            return None
        mailbox.folder.set(str(place["folder"]))
        uid = str(int(place["uid"]))
        if _uidvalidity(mailbox) == int(place["uidvalidity"]):
            found = list(mailbox.fetch(AND(uid=uid), mark_seen=False, headers_only=True))
            if found and (
                not message_id or message_id in found[0].headers.get("message-id", ("",))[0]
            ):
                return uid
        # numbered anew, or somebody moved it there and back
        return _search(mailbox, message_id) if message_id else None

    def _lies_in(self, mailbox: BaseMailBox, folder: str, message_id: str) -> bool:
        if not mailbox.folder.exists(folder):
            return False
        mailbox.folder.set(folder, readonly=True)
        return _search(mailbox, message_id) is not None

    def _move(self, mailbox: BaseMailBox, uid: str, folder: str) -> None:
        """Move one mail and nothing else.

        Without MOVE (RFC 6851) it is copied and marked as deleted; it is expunged only where
        UIDPLUS can name it, for a plain EXPUNGE takes every mail that a person marked.
        """
        if not mailbox.folder.exists(folder):
            if not self.create:
                raise Permanent(f"There is no folder {folder}.")
            mailbox.folder.create(folder)
        capabilities = _capabilities(mailbox)
        target = encode_folder(folder)
        if "MOVE" in capabilities:
            _checked(mailbox.client.uid("MOVE", uid, target))  # type: ignore[arg-type]
            return
        _checked(mailbox.client.uid("COPY", uid, target))  # type: ignore[arg-type]
        _checked(mailbox.client.uid("STORE", uid, "+FLAGS.SILENT", "(\\Deleted)"))
        if "UIDPLUS" in capabilities:
            _checked(mailbox.client.uid("EXPUNGE", uid))

    @contextmanager
    def _mailbox(self) -> Iterator[BaseMailBox]:
        """Yield a signed-in mailbox; what goes wrong becomes Transient or Permanent."""
        mailbox: BaseMailBox | None = None
        try:
            mailbox = self._connect()
            if self.token:
                mailbox.xoauth2(self.username, self.token, initial_folder=None)
            else:
                mailbox.login_utf8(self.username, self.password, initial_folder=None)
            yield mailbox
        except MailboxLoginError as error:
            raise Permanent("The mailbox refused the sign-in.") from error
        except imaplib.IMAP4.abort as error:
            raise Transient("The mailbox closed the connection.") from error
        except ssl.SSLCertVerificationError as error:
            raise Permanent("The mailbox's certificate is not good.") from error
        except imaplib.IMAP4.error as error:
            refused = "AUTHENTICATIONFAILED" in str(error).upper()
            sentence = "The mailbox refused the sign-in." if refused else "The mailbox refused it."
            raise (Permanent(sentence) if refused else Transient(sentence)) from error
        except (ImapToolsError, OSError) as error:
            raise Transient(f"The mailbox did not do it: {type(error).__name__}.") from error
        finally:
            if mailbox is not None:
                with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
                    mailbox.logout()

    def _connect(self) -> BaseMailBox:
        if self.security == "tls":
            return MailBox(
                self.host, self.port, timeout=self.seconds, ssl_context=tls_context(self.ca_file)
            )
        if self.security == "starttls":
            return MailBoxStartTls(
                self.host, self.port, timeout=self.seconds, ssl_context=tls_context(self.ca_file)
            )
        return MailBoxUnencrypted(self.host, self.port, timeout=self.seconds)


def _uidvalidity(mailbox: BaseMailBox) -> int:
    _, values = mailbox.client.response("UIDVALIDITY")
    value = values[-1] if values else None
    return int(value) if value else 0


def _spelt(mailbox: BaseMailBox, folder: str) -> str:
    """Return a folder's path with the server's own mark between its levels, where / was written."""
    if mailbox.folder.exists(folder):
        return folder
    root = mailbox.folder.list("", "")
    mark = root[0].delim if root else "/"
    return folder.replace("/", mark) if mark not in ("/", "NIL") else folder


def _capabilities(mailbox: BaseMailBox) -> set[str]:
    """Return what the server can do after the sign-in; most say less before it."""
    _, said = mailbox.client.capability()
    return set(said[-1].decode("ascii", "replace").upper().split())


def _search(mailbox: BaseMailBox, message_id: str) -> str | None:
    """Return the UID of the mail with that Message-ID in the selected folder, if there is one."""
    if not message_id.isascii() or any(mark in message_id for mark in '"\\\r\n'):
        return None
    found = mailbox.uids(AND(header=H("Message-ID", message_id)))
    return found[0] if len(found) == 1 else None


def _checked(result: tuple[str, Any]) -> None:
    if result[0] != "OK":
        raise Transient("The mailbox did not do it.")


CONNECTOR = Imap
