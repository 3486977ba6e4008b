"""Quotas: what each token may hand in, and what it did.

Revision 0005, from 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

# Types as they are in the database; what the values mean is said in ledger/columns.py
ID = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
LIMITS = ("documents_a_minute", "bytes_a_minute", "documents_a_day", "bytes_a_day")


def upgrade() -> None:
    """Make the table, and the limits beside each token."""
    for name in LIMITS:
        op.add_column("tokens", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("batches", sa.Column("token_id", ID, nullable=True))
    op.create_table(
        "token_uses",
        sa.Column("token_id", ID, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["tokens.id"],
            name=op.f("fk_token_uses_token_id_tokens"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_id", "period", name=op.f("pk_token_uses")),
    )


def downgrade() -> None:
    """Drop the table and the limits."""
    op.drop_table("token_uses")
    op.drop_column("batches", "token_id")
    for name in LIMITS:
        op.drop_column("tokens", name)
