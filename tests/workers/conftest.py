"""A broker of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.installation import Installation
from workers.embedded import EmbeddedServer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A running broker in a data folder of its own."""
    server = EmbeddedServer(tmp_path, "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mailroom(tmp_path: Path) -> Iterator[Installation]:
    """An installation without workers yet."""
    installation = Installation(tmp_path)
    yield installation
    installation.close()
