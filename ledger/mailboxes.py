"""Mailboxes: accounts that are read, how far, by whom, and where each mail was seen in them.

A mail that is seen again, in another folder or another account, is the same document; that it was
seen there is kept: the folder in which people put a mail is their word on where it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update

from ledger import audit
from ledger.columns import SECOND, clean, new_id, to_datetime
from ledger.database import Database, chunks
from ledger.schema import mailbox_folders, mailbox_mails, mailboxes
from ledger.shelf import Shelf
from ledger.viewer import Viewer, visible

LIST_LIMIT = 1_000
MAILS = Shelf(mailbox_mails, "mail set aside")
IS_ASIDE = mailbox_mails.c.document_id.is_(None)
_ONE_ASIDE = MAILS.by_id(select(mailbox_mails).where(IS_ASIDE))
REACHED = ("listening", "polling", "reading")  # states of an account that is being read


@dataclass(frozen=True, kw_only=True)
class Folder:
    """How far a folder was read: `waiting` mails are beyond `last_uid`."""

    folder: str
    uidvalidity: int
    last_uid: int
    waiting: int
    lag_seconds: float | None  # between the last mail's arrival there and its commit here
    read_at: datetime


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """An account: `configured`, `connecting`, `reading`, `listening`, `polling`, `failed`.

    `described` is what its settings say, without secrets; `detail` says why it failed.
    """

    account: str
    state: str
    detail: dict[str, str] | None
    described: dict[str, Any]
    changed_at: datetime
    read_at: datetime | None
    folders: tuple[Folder, ...] = ()
    aside: int = 0  # mails that were set aside and wait for a person

    @property
    def waiting(self) -> int:
        """How many mails are known to be there and not taken yet."""
        return sum(folder.waiting for folder in self.folders)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A document was seen in a folder of an account."""

    id: str
    document_id: str
    account: str
    folder: str
    uidvalidity: int
    uid: int
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A mail that could not be taken, and why; it lies in its mailbox still.

    `state` is `aside`, or `again` once a person asked for another try.
    """

    id: str
    account: str
    folder: str
    uidvalidity: int
    uid: int
    state: str
    name: str
    size: int
    attempts: int
    error: dict[str, str]
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One mail of a folder as its reader found it: a document, or an error."""

    uid: int
    document_id: str | None = None
    mark: str | None = None
    name: str = ""
    size: int = 0
    error: dict[str, str] | None = field(default=None)


class Mailboxes:
    """Written by the process that reads mailboxes, looked at by people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # the reader's side

    def claim(self, account: str, viewer: Viewer, *, holder: str, lease_seconds: float) -> bool:
        """Take or extend the lease on an account; False while somebody else holds it."""
        viewer.require("write")
        with self._database.writing(durable=False) as connection:
            self._database.lock_name(connection, f"mailbox {viewer.workspace} {account}")
            row = connection.execute(_mine(account, viewer)).one_or_none()
            now = self._database.now()
            if row is not None and row.holder not in (None, holder) and row.free_at > now:
                return False
            free_at = now + int(lease_seconds * SECOND)
            self._write(connection, account, viewer, row, holder=holder, free_at=free_at)
        return True

    def release(self, account: str, viewer: Viewer, *, holder: str) -> None:
        """Give the lease back."""
        with self._database.writing(durable=False) as connection:
            connection.execute(
                update(mailboxes)
                .where(
                    mailboxes.c.account == account,
                    mailboxes.c.holder == holder,
                    visible(mailboxes, viewer),
                )
                .values(holder=None, free_at=0)
            )

    def report(
        self,
        account: str,
        viewer: Viewer,
        *,
        state: str,
        detail: dict[str, str] | None = None,
        described: dict[str, Any] | None = None,
    ) -> None:
        """Say how an account is doing; it is made when it is new."""
        viewer.require("write")
        with self._database.writing(durable=False) as connection:
            row = connection.execute(_mine(account, viewer)).one_or_none()
            values: dict[str, Any] = {"state": state, "detail": detail}
            if described is not None:
                values["described"] = described
            if state in REACHED:
                values["read_at"] = to_datetime(self._database.now())
            self._write(connection, account, viewer, row, **values)

    def cursor(self, account: str, folder: str, viewer: Viewer) -> Folder | None:
        """Return how far a folder was read, or None for one that never was."""
        viewer.require("read")
        query = select(mailbox_folders).where(
            mailbox_folders.c.account == account,
            mailbox_folders.c.folder == folder,
            visible(mailbox_folders, viewer),
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _folder(row)

    def advance(
        self,
        account: str,
        folder: str,
        viewer: Viewer,
        *,
        uidvalidity: int,
        last_uid: int,
        waiting: int,
        seen: Sequence[Seen] = (),
        lag_seconds: float | None = None,
    ) -> None:
        """Write down what was found up to `last_uid`, in one transaction."""
        viewer.require("write")
        with self._database.writing() as connection:
            now = to_datetime(self._database.now())
            place = {"workspace": viewer.workspace, "account": account, "folder": folder}
            lag = None if lag_seconds is None else int(lag_seconds * SECOND)
            known = connection.execute(
                select(mailbox_folders.c.lag).filter_by(**place)
            ).scalar_one_or_none()
            row = place | {
                "uidvalidity": uidvalidity,
                "last_uid": last_uid,
                "waiting": waiting,
                "lag": known if lag is None else lag,
                "read_at": now,
            }
            self._database.upsert(connection, mailbox_folders, [row])
            for mail in seen:
                self._see(connection, place | {"uidvalidity": uidvalidity}, mail, now)

    def recognise(self, marks: Sequence[str], viewer: Viewer) -> dict[str, str]:
        """Return the document of each mark that was seen before."""
        viewer.require("read")
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for some in chunks(list(marks)):
                query = select(mailbox_mails.c.mark, mailbox_mails.c.document_id).where(
                    mailbox_mails.c.mark.in_(some),
                    mailbox_mails.c.document_id.is_not(None),
                    visible(mailbox_mails, viewer),
                )
                found.update((mark, document) for mark, document in connection.execute(query))
        return found

    def to_try(self, account: str, viewer: Viewer) -> Sequence[Aside]:
        """Return the mails that people asked to try again."""
        return self.aside(viewer, account=account, state="again", limit=LIST_LIMIT)

    # secrets: sealed before they come here

    def keep_secret(self, account: str, sealed: str | None, viewer: Viewer) -> None:
        """Keep an account's sealed password or tokens in place of those before."""
        viewer.require("admin")
        with self._database.writing() as connection:
            row = connection.execute(_mine(account, viewer)).one_or_none()
            self._write(connection, account, viewer, row, secret=sealed)

    def secret(self, account: str, viewer: Viewer) -> str | None:
        """Return what `keep_secret` kept."""
        viewer.require("admin")
        query = select(mailboxes.c.secret).where(
            mailboxes.c.account == account, visible(mailboxes, viewer)
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    # people's side

    def list(self, viewer: Viewer) -> Sequence[Mailbox]:
        """Return every account with its folders, by name."""
        viewer.require("read")
        aside = (
            select(mailbox_mails.c.account, func.count().label("mails"))
            .where(mailbox_mails.c.document_id.is_(None), visible(mailbox_mails, viewer))
            .group_by(mailbox_mails.c.account)
        )
        folders = select(mailbox_folders).where(visible(mailbox_folders, viewer))
        accounts = select(mailboxes).where(visible(mailboxes, viewer))
        with self._database.reading() as connection:
            counts = {row.account: row.mails for row in connection.execute(aside)}
            of: dict[str, list[Folder]] = {}
            for row in connection.execute(folders.order_by(mailbox_folders.c.folder)):
                of.setdefault(row.account, []).append(_folder(row))
            return [
                Mailbox(
                    account=row.account,
                    state=row.state,
                    detail=row.detail,
                    described=row.described or {},
                    changed_at=row.changed_at,
                    read_at=row.read_at,
                    folders=tuple(of.get(row.account, ())),
                    aside=counts.get(row.account, 0),
                )
                for row in connection.execute(accounts.order_by(mailboxes.c.account))
            ]

    def sightings(
        self,
        viewer: Viewer,
        *,
        document_id: str | None = None,
        account: str | None = None,
        folder: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Sequence[Sighting]:
        """Return where documents were seen, the latest first.

        A document's first one here is where people have put it. `after` is the id of the last
        sighting already looked at; raises InvalidCursor.
        """
        viewer.require("read")
        query = MAILS.newest(
            viewer,
            query=select(mailbox_mails).where(mailbox_mails.c.document_id.is_not(None)),
            exact={"document_id": document_id, "account": account, "folder": folder},
            limit=limit,
            after=after,
            at_most=LIST_LIMIT,
        )
        with self._database.reading() as connection:
            return [
                Sighting(**{name: getattr(row, name) for name in Sighting.__dataclass_fields__})
                for row in connection.execute(query)
            ]

    def aside(
        self,
        viewer: Viewer,
        *,
        account: str | None = None,
        state: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Sequence[Aside]:
        """Return mails that could not be taken, the latest first."""
        viewer.require("read")
        query = MAILS.newest(
            viewer,
            query=select(mailbox_mails).where(IS_ASIDE),
            exact={"account": account, "state": state},
            limit=limit,
            after=after,
            at_most=LIST_LIMIT,
        )
        with self._database.reading() as connection:
            return [_aside(row) for row in connection.execute(query)]

    def find_aside(self, aside_id: str, viewer: Viewer) -> Aside:
        """Return one mail that was set aside; raises NotFound."""
        viewer.require("read")
        with self._database.reading() as connection:
            return _aside(MAILS.find(connection, aside_id, viewer, _ONE_ASIDE))

    def try_again(self, aside_id: str, viewer: Viewer) -> Aside:
        """Ask for another try; the mailbox's reader takes it up. Raises NotFound."""
        viewer.require("write")
        with self._database.writing() as connection:
            row = MAILS.find(connection, aside_id, viewer, _ONE_ASIDE)
            connection.execute(
                update(mailbox_mails).where(mailbox_mails.c.id == row.id).values(state="again")
            )
            now, detail = self._database.now(), {"mail": row.id, "account": row.account}
            audit.record(connection, now, viewer, "mail to be tried again", [None], detail)
        return _aside(row)

    def remove(self, account: str, viewer: Viewer) -> None:
        """Forget an account: its secret and how far it was read; its documents stay."""
        viewer.require("admin")
        with self._database.writing() as connection:
            for table in (mailbox_mails, mailbox_folders, mailboxes):
                connection.execute(
                    delete(table).where(table.c.account == account, visible(table, viewer))
                )

    def _write(
        self, connection: Any, account: str, viewer: Viewer, row: Any, **values: Any
    ) -> None:
        """Change an account's row, or make it."""
        now = to_datetime(self._database.now())
        if row is None:
            fresh = {"state": "configured", "detail": None, "described": None, "free_at": 0}
            key = {"workspace": viewer.workspace, "account": account, "changed_at": now}
            empty = {"secret": None, "holder": None, "read_at": None}
            self._database.upsert(connection, mailboxes, [fresh | empty | key | values])
            return
        if values.get("state", row.state) != row.state:
            values["changed_at"] = now
        connection.execute(
            update(mailboxes)
            .where(mailboxes.c.account == account, visible(mailboxes, viewer))
            .values(**values)
        )

    def _see(self, connection: Any, place: dict[str, Any], mail: Seen, now: datetime) -> None:
        """Write one mail down; seen at the same place before, the row is brought up to date."""
        values = {
            "state": "seen" if mail.document_id else "aside",
            "document_id": mail.document_id,
            "mark": mail.mark,
            "name": clean(mail.name),
            "size": mail.size,
            "error": mail.error,
            "seen_at": now,
        }
        row = {"id": new_id(), **place, "uid": mail.uid, "attempts": 1, **values}
        statement = self._database.insert(mailbox_mails).values(row)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["workspace", "account", "folder", "uidvalidity", "uid"],
                set_=values | {"attempts": mailbox_mails.c.attempts + 1},
            )
        )


def _mine(account: str, viewer: Viewer) -> Any:
    return select(mailboxes).where(mailboxes.c.account == account, visible(mailboxes, viewer))


def _folder(row: Any) -> Folder:
    return Folder(
        folder=row.folder,
        uidvalidity=row.uidvalidity,
        last_uid=row.last_uid,
        waiting=row.waiting,
        lag_seconds=None if row.lag is None else row.lag / SECOND,
        read_at=row.read_at,
    )


def _aside(row: Any) -> Aside:
    values = {name: getattr(row, name) for name in Aside.__dataclass_fields__}
    return Aside(**values | {"error": row.error or {}})
