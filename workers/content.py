"""What a delivery carries of a document beside what its decision says."""

from __future__ import annotations

from typing import Any

from ledger.document import Document

TEXT_CHARACTERS = 100_000  # of a mail's text that travels in a delivery


def content_of(document: Document) -> dict[str, Any]:
    """Return what connectors may want to know of a document, where it is known."""
    mail, envelope = document.mail or {}, document.envelope or {}
    text = str(mail.get("reply_text") or mail.get("text") or "")
    return {
        "subject": mail.get("subject") or document.name,
        "from": mail.get("from") or envelope.get("mail_from"),
        "message_id": mail.get("message_id"),
        "text": text[:TEXT_CHARACTERS],
        "mailbox": envelope.get("mailbox"),
        "null_sender": document.source == "smtp" and envelope.get("mail_from") == "",
    }
