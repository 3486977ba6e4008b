"""Which version of each model is active, and every decision that made it so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from ledger import audit
from ledger.columns import clean, new_id, to_datetime
from ledger.database import Database
from ledger.errors import NotFound
from ledger.schema import promotions
from ledger.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """From `created_at` on `version` was active; None: the shipped one."""

    id: str
    name: str
    action: str
    version: str | None
    actor: str
    created_at: datetime


class Models:
    """Models belong to the installation: workers read the same for every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def promote(self, name: str, version: str, viewer: Viewer) -> Promotion:
        """Make `version` active; an admin of the default workspace may."""
        viewer.require_operator()
        return self._decide(name, "promote", version, viewer)

    def rollback(self, name: str, viewer: Viewer, version: str | None = None) -> Promotion:
        """Go back to the version before the active one, or to `version`, once active.

        Rolled back past the first, a model is the shipped one again. Raises NotFound when
        nothing was promoted, or `version` was never active.
        """
        viewer.require_operator()
        with self._database.writing() as connection:
            self._database.lock_name(connection, f"model {name}")
            stack = _stack(self._rows(connection, name))
            if not stack:
                raise NotFound(f"no version of {name!r} was promoted")
            stack.pop()
            if version is not None:
                while stack and stack[-1] != version:
                    stack.pop()
                if not stack:
                    raise NotFound(f"{name!r} had no version {version!r} before this one")
            return self._insert(connection, name, "rollback", stack[-1] if stack else None, viewer)

    def active(self, name: str) -> str | None:
        """Return the active version, or None when that is the shipped one."""
        query = (
            select(promotions.c.version)
            .where(promotions.c.name == clean(name))
            .order_by(promotions.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            version: str | None = connection.execute(query).scalar()
        return version

    def history(self, name: str) -> list[Promotion]:
        """Return every decision about `name`, the newest first."""
        with self._database.reading() as connection:
            return self._rows(connection, name)[::-1]

    def _decide(self, name: str, action: str, version: str | None, viewer: Viewer) -> Promotion:
        with self._database.writing() as connection:
            self._database.lock_name(connection, f"model {name}")
            return self._insert(connection, name, action, version, viewer)

    def _insert(
        self, connection: Connection, name: str, action: str, version: str | None, viewer: Viewer
    ) -> Promotion:
        now = self._database.now()
        promotion = Promotion(
            id=new_id(),
            name=clean(name),
            action=action,
            version=None if version is None else clean(version),
            actor=clean(viewer.actor),
            created_at=to_datetime(now),
        )
        connection.execute(insert(promotions), {**vars(promotion), "workspace": viewer.workspace})
        detail = {"model": promotion.name, "version": promotion.version}
        audit.record(connection, now, viewer, f"model {action}", detail=detail)
        return promotion

    def _rows(self, connection: Connection, name: str) -> list[Promotion]:
        columns = [promotions.c[field] for field in Promotion.__dataclass_fields__]
        query = select(*columns).where(promotions.c.name == clean(name)).order_by(promotions.c.id)
        return [Promotion(**row._mapping) for row in connection.execute(query)]


def _stack(decisions: list[Promotion]) -> list[str]:
    """Return the versions that lie under each other, the active one last."""
    stack: list[str] = []
    for decision in decisions:
        if decision.action == "promote" and decision.version is not None:
            stack.append(decision.version)
            continue
        if stack:
            stack.pop()
        while stack and stack[-1] != decision.version:
            stack.pop()
    return stack
