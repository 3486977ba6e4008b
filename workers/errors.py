"""What can go wrong with a document in a worker, beside what intake and the models refuse.

Fault
├── NoReader        there are no weights for this kind here
├── UnknownKind     nobody reads documents of this kind
├── TooSlow         reading took longer than a batch may, alone too
├── WorkerLost      the process that read it died, more than once
└── InternalError   our own mistake; tried again before it was given up

`code` is for programs and never changes; the sentence is for people, says what to do, and may.
`transient` faults are tried again, after a while, as often as the settings allow.
"""

from __future__ import annotations


class Fault(Exception):
    """A document that a worker could not finish."""

    code = "internal_error"
    sentence = "Mailroom made a mistake while reading this. Try again; if it stays, report it."
    transient = True

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)

    def to_json(self) -> dict[str, str]:
        """Return `{"code", "message"}`, as a document of the API keeps it."""
        return {"code": self.code, "message": str(self)}


class NoReader(Fault):
    """There are no weights for this kind here."""

    code = "no_reader"
    sentence = (
        "No model for this kind of document is installed. Install one (`mailroom models` lists "
        "what is there), then retry."
    )
    transient = False


class UnknownKind(Fault):
    """Nobody reads documents of this kind."""

    code = "unknown_kind"
    sentence = "There is no such kind of document."
    transient = False


class BadItem(Fault):
    """An item of a direct call that is neither a string nor an object with `text` or `raw`."""

    code = "bad_item"
    sentence = 'An item is a string, {"text": ...} or {"raw": ...}.'
    transient = False


class TooSlow(Fault):
    """Reading took longer than a batch may."""

    code = "too_slow"
    sentence = (
        "Reading this took longer than allowed and was stopped. Split it and send the parts, or "
        "raise MAILROOM_TASK_SECONDS and retry."
    )


class WorkerLost(Fault):
    """The process that read this document died before it was done."""

    code = "worker_lost"
    sentence = (
        "The process that read this document died, every time it was tried. "
        "The original is kept: save it in a simpler form and send that, or retry."
    )


class InternalError(Fault):
    """Our own mistake."""
