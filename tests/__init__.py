"""Tests mirror the rooms: `tests/ledger` holds what would be lost if the ledger were wrong."""
