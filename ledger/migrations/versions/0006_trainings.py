"""Trainings: what is being trained, how far it is, and how it ended.

Revision 0006, from 0005.
"""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop the tables and all they hold."""
