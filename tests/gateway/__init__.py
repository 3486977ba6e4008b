"""Tests of the mail gateway, over the wire."""
