"""Trained models, which version of each is active, and every decision that made it so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ledger import audit
from ledger.columns import clean, new_id, to_datetime
from ledger.database import Database
from ledger.errors import ModelAtWork, NameTaken, NotFound
from ledger.originals import Originals
from ledger.schema import audit as audits
from ledger.schema import job_outputs, jobs, models, promotions
from ledger.viewer import Viewer, visible

DELETED = "model deleted"  # in the audit log, which outlives the model


@dataclass(frozen=True, kw_only=True)
class Model:
    """A version of a trained model: a file of the store, and what its config says of it."""

    name: str
    version: str
    workspace: str
    actor: str
    sha256: str
    size: int
    facts: dict[str, Any]
    created_at: datetime


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
    """Which version is active is the installation's; what a model learned from is a workspace's.

    A name belongs to the workspace that first trained it: others neither see nor use it.
    """

    def __init__(self, database: Database, originals: Originals) -> None:
        self._database = database
        self._originals = originals

    def keep(
        self,
        viewer: Viewer,
        *,
        name: str,
        version: str,
        sha256: str,
        size: int,
        facts: Mapping[str, Any],
    ) -> Model:
        """Remember a version, packed in a stored file; twice the same is once.

        Raises NameTaken when the name is another workspace's or the version another file's.
        """
        viewer.require("write")
        with self._database.writing() as connection:
            self._originals.name(connection, sha256)
            row = {
                "workspace": viewer.workspace,
                "actor": clean(viewer.actor),
                "name": name,
                "version": version,
                "sha256": sha256,
                "size": size,
                "facts": dict(facts),
            }
            return insert_model(connection, self._database, row)

    def trained(self, viewer: Viewer, name: str | None = None) -> list[Model]:
        """Return the workspace's trained models, by name, the newest version first."""
        viewer.require("read")
        query = select(models).where(visible(models, viewer))
        if name is not None:
            query = query.where(models.c.name == clean(name))
        with self._database.reading() as connection:
            found = [Model(**row._mapping) for row in connection.execute(query)]
        return sorted(found, key=lambda model: (model.name, -number_of(model.version)))

    def get(self, name: str, version: str, viewer: Viewer) -> Model:
        """Return one version; raises NotFound."""
        found = [model for model in self.trained(viewer, name) if model.version == version]
        if not found:
            raise NotFound(f"there is no version {version!r} of a model {name!r}")
        return found[0]

    def usable(self, viewer: Viewer) -> tuple[str, ...]:
        """Return the names of the workspace's own models that have an active version."""
        names = {model.name for model in self.trained(viewer)}
        return tuple(name for name in sorted(names) if self.active(name) is not None)

    def is_free(self, name: str, viewer: Viewer) -> bool:
        """Say whether the viewer may train under a name: theirs, or nobody's."""
        query = select(models.c.workspace).where(models.c.name == clean(name)).limit(1)
        with self._database.reading() as connection:
            owner = connection.execute(query).scalar()
        return owner is None or owner == viewer.workspace

    def next_version(self, name: str) -> str:
        """Return the version after the newest that is kept, or ever was."""
        query = select(models.c.version).where(models.c.name == clean(name))
        with self._database.reading() as connection:
            kept = [number_of(version) for version in connection.execute(query).scalars()]
            gone = [number_of(v) for known, v in _deleted(connection) if known == name]
        return str(max([*kept, *gone], default=0) + 1)

    def delete(self, name: str, version: str, viewer: Viewer) -> None:
        """Erase a version with all it carries: its file, here and as a training left it.

        Its number is never given again, and no rollback brings it back. Raises NotFound, and
        ModelAtWork for the active version.
        """
        viewer.require("write")
        model = self.get(name, version, viewer)
        with self._database.writing() as connection:
            self._database.lock_name(connection, f"model {model.name}")
            if _newest(self._rows(connection, model.name)) == model.version:
                raise ModelAtWork(f"version {model.version} of {model.name!r} is at work")
            mine = models.c.name == model.name, models.c.version == model.version
            connection.execute(delete(models).where(*mine, visible(models, viewer)))
            trainings = select(jobs.c.id).where(visible(jobs, viewer))
            packed = job_outputs.c.sha256 == model.sha256, job_outputs.c.job_id.in_(trainings)
            connection.execute(delete(job_outputs).where(*packed))
            detail = {"model": model.name, "version": model.version}
            audit.record(connection, self._database.now(), viewer, DELETED, detail=detail)
        self._originals.discard(model.sha256)

    def deleted(self) -> set[tuple[str, str]]:
        """Return name and version of every model that was deleted. For workers."""
        with self._database.reading() as connection:
            return _deleted(connection)

    def file_of(self, name: str, version: str) -> str | None:
        """Return the sha256 of a version's file, or None: it is not kept here. For workers."""
        query = select(models.c.sha256).where(
            models.c.name == clean(name), models.c.version == clean(version)
        )
        with self._database.reading() as connection:
            sha256: str | None = connection.execute(query).scalar()
        return sha256

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
            gone = {version for known, version in _deleted(connection) if known == name}
            stack = [v for v in _stack(self._rows(connection, name)) if v not in gone]
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


def _deleted(connection: Connection) -> set[tuple[str, str]]:
    """Return what the audit log says was deleted."""
    lines = connection.execute(select(audits.c.detail).where(audits.c.action == DELETED)).scalars()
    return {(str(line["model"]), str(line["version"])) for line in lines}


def _newest(decisions: list[Promotion]) -> str | None:
    return decisions[-1].version if decisions else None


def number_of(version: str) -> int:
    """Return a version as a number; versions are whole numbers, 0 stands for anything else."""
    return int(version) if version.isascii() and version.isdigit() else 0


def insert_model(connection: Connection, database: Database, row: Mapping[str, Any]) -> Model:
    """Insert a model, `row` being all but the time, in a transaction that named its file.

    Raises NameTaken.
    """
    name = str(row["name"])
    database.lock_name(connection, f"model {name}")
    kept = connection.execute(select(models).where(models.c.name == name)).all()
    if any(one.workspace != row["workspace"] for one in kept):
        raise NameTaken(f"the name {name!r} is taken; choose another")
    for one in kept:
        if one.version == row["version"]:
            if one.sha256 == row["sha256"]:
                return Model(**one._mapping)
            raise NameTaken(f"version {one.version} of {name!r} is another model; train again")
    now = database.now()
    model = Model(**{**row, "created_at": to_datetime(now)})
    connection.execute(insert(models), vars(model))
    viewer = Viewer(workspace=model.workspace, actor=model.actor)
    detail = {"model": name, "version": model.version}
    audit.record(connection, now, viewer, "model kept", detail=detail)
    return model


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
