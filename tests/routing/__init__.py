"""Tests of `routing/`."""
