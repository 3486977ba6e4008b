"""Quotas: what each token may hand in, and what it did.

Revision 0005, from 0004.
"""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop the tables and all they hold."""
