"""Why a delivery was not made.

ConnectorError
├── Transient           trying again later may work
└── Permanent           it will not, until a person changes something
    ├── BadSettings     a setting is missing or wrong
    └── RefusedAddress  the address is private and was not allowed

Sentences name the other system's answer, never its words: those may hold secrets, and the log of
deliveries is shown to people.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """A delivery was not made; `code` is for programs and never changes."""

    code = "not_delivered"


class Transient(ConnectorError):
    """Trying again may work; `retry_after` is the other side's wish in seconds, if it had one."""

    code = "not_delivered_yet"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Permanent(ConnectorError):
    """Trying again changes nothing."""

    code = "refused"


class BadSettings(Permanent):
    """The connector's settings cannot work."""

    code = "bad_settings"


class RefusedAddress(Permanent):
    """The address is one that this installation does not connect to."""

    code = "refused_address"
