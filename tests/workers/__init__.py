"""Tests of the workers: real broker, real worker processes, a real ledger."""
