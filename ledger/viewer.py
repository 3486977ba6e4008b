"""Who looks at the ledger, and the one filter that every read on their behalf goes through."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Table, bindparam

from ledger.errors import Forbidden
from ledger.quota import Quota

SCOPES = frozenset({"read", "write", "admin"})  # admin covers the other two
DEFAULT_WORKSPACE = "default"


@dataclass(frozen=True)
class Viewer:
    """Somebody with a workspace and scopes; `actor` is the name the audit log keeps.

    Who came with a token has its id, and its quota where it has one.
    """

    workspace: str = DEFAULT_WORKSPACE
    actor: str = "command"
    scopes: frozenset[str] = SCOPES
    token_id: str | None = field(default=None, compare=False)
    quota: Quota | None = field(default=None, compare=False)

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the viewer has `scope` (admin has them all)."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Forbidden(f"this needs the scope {scope!r}")

    def require_operator(self) -> None:
        """Raise Forbidden unless the viewer runs the whole installation.

        That is an admin of the default workspace: what they decide (which model is
        active, who gets a token for another workspace) touches every workspace.
        """
        self.require("admin")
        if self.workspace != DEFAULT_WORKSPACE:
            raise Forbidden("this is decided by an admin of the default workspace")


def visible(table: Table, viewer: Viewer) -> ColumnElement[bool]:
    """Return the condition that leaves only rows the viewer may see.

    Every read on somebody's behalf, of any table, has this in its WHERE.
    """
    return table.c.workspace == viewer.workspace


def visible_to_whom(table: Table) -> ColumnElement[bool]:
    """Return the same condition for a statement that is made once; `who` says who looks."""
    return table.c.workspace == bindparam("viewers_workspace")


def who(viewer: Viewer) -> dict[str, str]:
    """Return the parameters of such a statement."""
    return {"viewers_workspace": viewer.workspace}
