"""Fixtures every room's tests share: a real PostgreSQL and the folder of real data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import postgresql


@pytest.fixture(scope="session")
def postgresql_address() -> Iterator[str]:
    """The host and port of a real server that ends with the tests."""
    programs = postgresql.find_programs()
    if programs is None:
        pytest.fail(f"no PostgreSQL server here; install one: {postgresql.INSTALL}")
    with postgresql.running_server(programs) as address:
        yield address


@pytest.fixture(scope="session")
def new_postgresql_database(postgresql_address: str) -> Callable[[], str]:
    """Return a function that makes a fresh database and returns its address."""
    return lambda: postgresql.create_database(postgresql_address)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; unset is the one permitted skip, and the run says so."""
    folder = os.environ.get("MAILROOM_TEST_DATA")
    if not folder:
        pytest.skip("MAILROOM_TEST_DATA is not set: real data sets are not at hand")
    return Path(folder)
