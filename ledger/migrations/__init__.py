"""How the ledger's tables came to be: one file a change, applied in order by Alembic."""
