"""Tests of the durable record, on SQLite and on PostgreSQL."""
