"""Mailboxes: accounts that are read, how far each folder was read, and what was set aside.

Revision 0003, from 0002.
"""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop the tables and all they hold."""
