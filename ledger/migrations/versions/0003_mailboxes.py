"""Mailboxes: accounts that are read, how far each folder was read, and where each mail was seen.

Revision 0003, from 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

# Types as they are in the database; what the values mean is said in ledger/columns.py
ID = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "mailboxes",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("described", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("workspace", "account", name=op.f("pk_mailboxes")),
    )
    op.create_table(
        "mailbox_folders",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("lag", sa.BigInteger(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "account", "folder", name=op.f("pk_mailbox_folders")),
    )
    _create_mails()


def downgrade() -> None:
    """Drop the tables and all they hold."""
    op.drop_table("mailbox_mails")
    op.drop_table("mailbox_folders")
    op.drop_table("mailboxes")


def _create_mails() -> None:
    op.create_table(
        "mailbox_mails",
        sa.Column("id", ID, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("document_id", ID, nullable=True),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_mailbox_mails_document_id_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox_mails")),
        sa.UniqueConstraint(
            "workspace",
            "account",
            "folder",
            "uidvalidity",
            "uid",
            name=op.f("uq_mailbox_mails_workspace_account_folder_uidvalidity_uid"),
        ),
    )
    op.create_index("ix_mailbox_mails_workspace_id", "mailbox_mails", ["workspace", "id"])
    op.create_index("ix_mailbox_mails_document_id", "mailbox_mails", ["document_id"])
    op.create_index("ix_mailbox_mails_workspace_mark", "mailbox_mails", ["workspace", "mark"])
    op.create_index(
        "ix_mailbox_mails_aside",
        "mailbox_mails",
        ["workspace", "account", "id"],
        sqlite_where=sa.text("document_id IS NULL"),
        postgresql_where=sa.text("document_id IS NULL"),
    )
