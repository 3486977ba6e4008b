"""What is carried, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Parcel:
    """One delivery's content. `id` is the same at every attempt: receivers know a repeat by it.

    Keys of `content` that connectors look at, all optional: `subject`, `from` (an address),
    `message_id`, `text`, `queue`, `priority` (urgent, high, normal, low), `tags`, `reason`,
    `mailbox` (`{"folder", "uidvalidity", "uid"}`), `action` (what to do there), `null_sender`.
    `original` fetches the document's bytes, for connectors that need them.
    """

    id: str
    document_id: str
    content: Mapping[str, Any]
    created_at: str  # ISO 8601
    original: Callable[[], bytes] = field(repr=False)
    # of a mail that is sent: its Message-ID to the value of its loop header
    loop_mark: Callable[[str], str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Receipt:
    """That it was delivered: what the other system calls it, and how it went, in a sentence."""

    reference: str = ""
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        """Return what the delivery's log keeps."""
        return {"reference": self.reference, "detail": self.detail}


class Connector(Protocol):
    """Carries parcels to one destination."""

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver, or raise Transient or Permanent.

        Called again after a crash whose outcome nobody saw: a second call must do no harm.
        """
