"""Mails as a worker leaves them: read, decided by the rules on disk, their deliveries owed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger import Ledger, Viewer
from ledger.mailboxes import Seen
from tests.service import outcomes
from workers.decisions import Decider, deliveries

VIEWER = Viewer()
RULES = """# ours
[triage]
queue = "triage"
confidence = 0.7

[[rule]]
name = "Refunds"
when.label.team = "billing"
when.text = "refund"
then.queue = "billing"
then.send = ["hook"]

[[rule]]
name = "Sales"
when.label.team = "sales"
then.queue = "sales"
"""


def mail(
    ledger: Ledger,
    folder: Path,
    text: str = "About my order\n\nI want a refund.",
    *,
    team: str = "billing",
    confidence: float = 0.9,
    people: str | None = None,
    uid: int = 1,
) -> str:
    """Return the id of a mail that was read; `people` put it in the folder of that name."""
    document = ledger.documents.accept(text.encode(), viewer=VIEWER, source="imap", kind="email")
    label = {"value": team, "confidence": confidence, "needs_review": confidence < 0.6}
    label["evidence"] = outcomes.evidence(text, {text.split()[-1]: 1.0})
    outcome = outcomes.outcome("email", text, labels={"team": label})
    made: dict[str, Any] = {"subject": text.split("\n")[0], "from": "Ann <ann@example.com>"}
    made |= {"date": "2026-03-04T09:30:00+00:00", "text": text, "message_id": f"<{uid}@x>"}
    decision = Decider(folder / "rules.toml").decide(
        outcome, made, text, envelope=None, source="imap"
    )
    owed = deliveries(decision) if decision else ()
    if decision:
        outcome["decision"] = decision.to_json()
    outcomes.finish(
        ledger, document.id, outcome=outcome, text=text, type="eml", mail=made, deliveries=owed
    )
    if people:
        seen = [Seen(uid=uid, document_id=document.id)]
        ledger.mailboxes.advance(
            "support", f"INBOX/{people}", VIEWER, uidvalidity=1, last_uid=uid, waiting=0, seen=seen
        )
    return document.id
