"""`mailroom.read(kind, items)`: the models for any Celery producer, without the ledger's life."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from celery import Celery

from intake import TooLarge
from workers.context import Context
from workers.errors import BadItem, Fault, TooSlow
from workers.reading import Incoming, Reading

MOST_ITEMS = 10_000  # of one call: its answer must fit into the results store


def register(app: Celery, context: Context) -> None:
    """Register the task."""

    @app.task(name="mailroom.read", ignore_result=False)
    def read(kind: str | None, items: list[Any]) -> list[dict[str, Any]]:
        """Return one outcome an item, in order; `{"error": {"code", "message"}}` for a bad one.

        An item is a text, `{"text": ...}`, or `{"raw": ...}`: a whole message or file, as a
        string, or in base64 with `"encoding": "base64"` beside it. A `kind` of None is
        recognised, item by item. Running it twice is harmless: it reads its arguments and
        writes only its answer.
        """
        if not isinstance(items, list):
            raise TypeError("items is a list")
        return read_items(context, kind, items)


def read_items(context: Context, kind: str | None, items: list[Any]) -> list[dict[str, Any]]:
    """Read the items of one call in batches; those that time does not allow say so."""
    if len(items) > MOST_ITEMS:
        error = TooLarge(f"At most {MOST_ITEMS:,} items a call: send more calls.").to_json()
        return [{"error": error} for _ in items]
    answers: list[dict[str, Any]] = []
    until = time.monotonic() + context.settings.task_seconds
    size = context.settings.batch_items
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        if time.monotonic() > until:
            answers += [{"error": TooSlow().to_json()} for _ in batch]
        else:
            answers += _read_batch(context, kind, batch)
    return answers


def _read_batch(context: Context, kind: str | None, items: list[Any]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{} for _ in items]
    documents: dict[int, Incoming] = {}
    for index, item in enumerate(items):
        try:
            documents[index] = _incoming(kind, item, context.settings.text_characters)
        except (Fault, TooLarge) as error:
            answers[index] = {"error": error.to_json()}
    readings = context.readers.read(list(documents.values()))
    for index, reading in zip(documents, readings, strict=True):
        answers[index] = _answer(reading)
    return answers


def _incoming(kind: str | None, item: Any, most_characters: int) -> Incoming:
    if kind is not None and not isinstance(kind, str):
        raise BadItem("The kind is a string, or null to have it recognised.")
    body: Any = item
    if isinstance(item, dict):
        body = item.get("text")
        if "raw" in item:
            return Incoming(_raw(item), kind)
    if not isinstance(body, str):
        raise BadItem
    if len(body) > most_characters:
        raise TooLarge(f"A text has at most {most_characters:,} characters: send it in parts.")
    return Incoming(body, kind)


def _raw(item: dict[str, Any]) -> bytes:
    raw = item["raw"]
    if not isinstance(raw, str):
        raise BadItem
    if item.get("encoding") != "base64":
        # A lone surrogate is how Python's own readers of mail show a byte that is not text.
        try:
            return raw.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return raw.encode("utf-8", "replace")
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error as error:
        raise BadItem("This is not base64.") from error


def _answer(reading: Reading | None) -> dict[str, Any]:
    if reading is None:
        return {"error": TooSlow().to_json()}
    if reading.outcome is not None:
        return reading.outcome
    return {"error": reading.error or Fault().to_json()}
