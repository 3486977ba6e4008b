"""Logs: one line an event, on standard error, for a person or as JSON; never a document's text.

Every command calls `configure` once, at its door. Celery's own messages that would carry
arguments, results or the body of a message are cut here.
"""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from settings import Settings

# These say at INFO what came in and what went out, arguments and results included.
_SPEAKS_OF_CONTENT = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
# And these only of themselves.
_TALKATIVE = ("alembic",)
# Libraries that quote messages, arguments and results in what they complain of.
_LIBRARIES = ("celery", "kombu", "billiard")


class FirstLineOnly(logging.Filter):
    """Lets only the first line of Celery's messages pass, and no exception's own words."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the record down; always True."""
        if not record.name.startswith(_LIBRARIES):
            return True
        whole = str(record.msg).strip()
        first = whole.split("\n", 1)[0]
        if first != whole:  # what follows shows headers and body; so do the arguments
            record.msg, record.args = first.split("%", 1)[0].rstrip(" :"), None
        if record.exc_info and record.exc_info[0] is not None:
            record.msg = first.split("%", 1)[0].rstrip(" :")
            record.args = None
        return True


class NeverBlocking(io.RawIOBase):
    """Writes to a descriptor as long as somebody takes it, and drops what nobody does.

    A program that starts Mailroom and reads only its first line must not bring it to a halt
    when the pipe is full.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take the bytes, all of them, whatever becomes of them."""
        view = memoryview(data).cast("B")
        # A pipe that select calls writable takes that many bytes without waiting.
        for start in range(0, len(view), select.PIPE_BUF):
            try:
                _, ready, _ = select.select([], [self._descriptor], [], 0)
                if ready:
                    os.write(self._descriptor, view[start : start + select.PIPE_BUF])
            except OSError:  # whoever read it is gone
                break
        return len(view)


def without_words(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its class and where it was raised (a structlog processor).

    Its words may quote a document: `could not convert string to float: 'Dear Mr ...'`.
    """
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        event["error_class"] = type(error).__name__
        event["raised_at"] = " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)
        )
    return event


def configure(
    settings: Settings | None = None,
    *,
    log_format: str = "console",
    log_level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send structlog's and the standard library's messages to standard error in one form.

    The settings say which form and from which level on; the two arguments do without them.
    `stream` takes the place of standard error.
    """
    if settings is not None:
        log_format, log_level = settings.log_format, settings.log_level
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                without_words,
                renderer,
            ],
        )
    )
    handler.addFilter(FirstLineOnly())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    _quieten()


def _quieten() -> None:
    for name in (*_SPEAKS_OF_CONTENT, *_TALKATIVE):
        logging.getLogger(name).setLevel(logging.WARNING)
