"""Documents of our own to try Mailroom with; people, firms and events in them are invented.

`python -m service.samples.make` writes them anew, byte for byte the same. Beside them lies a table
to try a training with, and that is not ours: 600 messages of 12 intents, drawn from BANKING77
(Casanueva et al. 2020; PolyAI; CC BY 4.0), for a model learns nothing worth seeing from what
somebody made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "files"
TABLE = Path(__file__).parent / "tables" / "bank-messages.csv"


@dataclass(frozen=True)
class Sample:
    """A file that a newcomer can hand in with one click."""

    name: str
    title: str
    note: str
    type: str

    def body(self) -> bytes:
        """Return the file's bytes."""
        return (FOLDER / self.name).read_bytes()


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

SAMPLES = {
    sample.name: sample
    for sample in (
        Sample("hotel-review.txt", "A hotel review", "Text: is the guest happy?", "text/plain"),
        Sample("refund-ticket.txt", "A support ticket", "Text: who should take it?", "text/plain"),
        Sample(
            "broken-chairs.eml",
            "A customer's mail",
            "Mail with an attachment: how urgent is it?",
            "message/rfc822",
        ),
        Sample("spring-offer.eml", "An HTML mail", "Mail: does anybody want it?", "message/rfc822"),
        Sample("nda.docx", "A non-disclosure agreement", "Word: parties and clauses", _WORD),
        Sample(
            "consulting-agreement.pdf",
            "A consulting agreement",
            "PDF, two pages: parties and clauses",
            "application/pdf",
        ),
    )
}
