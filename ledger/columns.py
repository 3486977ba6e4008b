"""How values are kept so that SQLite and PostgreSQL hold, order and compare them alike."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.dialects.postgresql import TEXT as POSTGRESQL_TEXT
from sqlalchemy.types import TypeDecorator

SECOND = 1_000_000  # of the microseconds that the ledger's clock counts
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What PostgreSQL cannot hold (NUL) or no UTF-8 can (lone surrogates)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Byte order on both databases, and an index that range queries can use
Id = Text().with_variant(POSTGRESQL_TEXT(collation="C"), "postgresql")


def new_id() -> str:
    """Return a UUIDv7: unique everywhere, and ordered by time of making."""
    return str(uuid_utils.uuid7())


def is_id(value: object) -> bool:
    """Say whether `value` could be an id of ours."""
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def clean(text: str) -> str:
    """Return `text` with what a database cannot hold replaced, one code point for one."""
    return UNSTORABLE.sub("\ufffd", text)


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970; raises ValueError for a datetime without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a datetime in the ledger needs its time zone")
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(microseconds: int) -> datetime:
    """Return the aware UTC datetime of `microseconds` since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def dump_json(value: Any) -> str:
    """Return compact JSON in plain ASCII; raises ValueError for NaN, TypeError for objects."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds: the same arithmetic on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return what is kept."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return what was meant."""
        return None if value is None else to_datetime(value)


class Json(TypeDecorator[Any]):
    """A JSON value, kept as ASCII text: escapes carry what PostgreSQL's own type refuses."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return what is kept."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return what was meant."""
        return None if value is None else json.loads(value)
