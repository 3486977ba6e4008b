"""Where a read document lies among the labelled examples of the model that read it.

Revision 0007, from 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; results from before have no vector."""
    op.add_column("results", sa.Column("vector", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("results", "vector")
