"""A parser for all of a session's tests: its zygote starts once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from intake import Mail, Parser


@pytest.fixture(scope="session")
def parser() -> Iterator[Parser]:
    """A parser with the limits that the product has."""
    with Parser() as found:
        yield found


@pytest.fixture(scope="session")
def read(parser: Parser):
    """Return a function that reads a mail and returns its parts."""

    def read(raw: bytes | str) -> Mail:
        body = raw.encode() if isinstance(raw, str) else raw
        mail = parser.parse(body, media_type="message/rfc822").mail
        assert mail is not None
        return mail

    return read
