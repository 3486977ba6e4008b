"""Zammad: the decision on a mail becomes its ticket's group, priority, tags and an internal note.

Speaks Zammad's documented REST API (docs.zammad.org, REST API: tickets, articles, tags) with an
access token of an agent. The ticket is the one that the parcel names, else the one that holds the
mail's Message-ID, else a new one with the mail's text. The note carries the delivery's id, and a
ticket that has it is left alone: a second attempt does no harm.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

from connectors.parts.errors import BadSettings, Transient
from connectors.parts.http import Http, raise_for_status
from connectors.parts.parcel import Parcel, Receipt

_PRIORITIES = {"low": "1 low", "normal": "2 normal", "high": "3 high", "urgent": "3 high"}
_ADDRESS = re.compile(r"[^\s<>@,;:\"]{1,200}@[^\s<>@,;:\"]{1,200}")
_FOUND = 10  # tickets looked through for one mail


@dataclass(frozen=True)
class Zammad:
    """Writes to the Zammad at `url`; `groups` maps queues to groups as `queue=Group`."""

    url: str
    token: str = field(repr=False)
    group: str = "Users"  # for queues that `groups` does not name
    groups: tuple[str, ...] = ()
    create: bool = True  # a ticket for a mail that has none
    article: Literal["note", "email"] = "note"  # what a created ticket's first article is
    allow: tuple[str, ...] = ()
    ca_file: str = ""
    seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check everything that can be checked without connecting."""
        if not all("=" in pair for pair in self.groups):
            raise BadSettings('`groups` takes pairs such as "billing=Billing Team".')
        self._http()

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver; the receipt names the ticket's number."""
        ticket = self._find(parcel)
        if ticket is None:
            if not self.create:
                raise Transient("Zammad has no ticket for this mail yet.")
            ticket = self._create(parcel)
            how = "created"
        elif self._has_note(ticket, parcel):
            return Receipt(str(ticket.get("number", ticket["id"])), "It was there already.")
        else:
            how = "changed"
        self._tag(ticket, parcel)
        # the note last: a ticket that has it has everything
        self._change(ticket, parcel)
        return Receipt(str(ticket.get("number", ticket["id"])), f"The ticket was {how}.")

    def _find(self, parcel: Parcel) -> dict[str, Any] | None:
        """Return the ticket of this mail, or None."""
        named = parcel.content.get("ticket")
        if named is not None:
            found = self._call("GET", f"/api/v1/tickets/{quote(str(named), safe='')}")
            return dict(found)
        query = {"query": f"article.message_id:{_quoted(_message_id(parcel))}", "limit": _FOUND}
        found = self._call("GET", f"/api/v1/tickets/search?{urlencode(query | {'expand': 'true'})}")
        tickets = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return min(tickets, key=lambda one: int(one["id"]), default=None)

    def _has_note(self, ticket: dict[str, Any], parcel: Parcel) -> bool:
        articles = self._call("GET", f"/api/v1/ticket_articles/by_ticket/{int(ticket['id'])}")
        return any(_mark(parcel) in str(article.get("body", "")) for article in articles)

    def _create(self, parcel: Parcel) -> dict[str, Any]:
        content = parcel.content
        subject = str(content.get("subject") or "(no subject)")[:250]
        article = {
            "subject": subject,
            "body": str(content.get("text") or "(no text)"),
            "content_type": "text/plain",
            "type": self.article,
            "sender": "Customer",
            "from": str(content.get("from") or ""),
            "message_id": _message_id(parcel),  # by which a second attempt finds the ticket
            "internal": False,
        }
        return dict(
            self._call(
                "POST",
                "/api/v1/tickets",
                {
                    "title": subject,
                    "group": self._group(parcel),
                    "customer_id": f"guess:{_address(content.get('from'))}",
                    "article": article,
                },
            )
        )

    def _change(self, ticket: dict[str, Any], parcel: Parcel) -> None:
        """Set group and priority and add the internal note, in one request."""
        content = parcel.content
        changes: dict[str, Any] = {
            "article": {
                "subject": "Mailroom",
                "body": _note(parcel),
                "content_type": "text/plain",
                "type": "note",
                "internal": True,
            }
        }
        if content.get("queue"):
            changes["group"] = self._group(parcel)
        if content.get("priority") in _PRIORITIES:
            changes["priority"] = _PRIORITIES[content["priority"]]
        self._call("PUT", f"/api/v1/tickets/{int(ticket['id'])}", changes)

    def _tag(self, ticket: dict[str, Any], parcel: Parcel) -> None:
        for tag in parcel.content.get("tags") or ():
            body = {"object": "Ticket", "o_id": int(ticket["id"]), "item": str(tag)}
            self._call("POST", "/api/v1/tags/add", body)

    def _group(self, parcel: Parcel) -> str:
        pairs = dict(pair.split("=", 1) for pair in self.groups)
        return pairs.get(str(parcel.content.get("queue")), self.group)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer's JSON; raises for every status but 2xx."""
        headers = {"authorization": f"Token token={self.token}", "content-type": "application/json"}
        sent = b"" if body is None else json.dumps(body).encode()
        answer = self._http().request(method, path, headers=headers, body=sent)
        raise_for_status(answer, "Zammad")
        try:
            return json.loads(answer.body or b"null")
        except ValueError as error:
            raise Transient("Zammad's answer was not JSON.") from error

    def _http(self) -> Http:
        base = self.url.rstrip("/")
        return Http(base, allow=self.allow, seconds=self.seconds, ca_file=self.ca_file)


def _mark(parcel: Parcel) -> str:
    """Return what a note is known by."""
    return f"mailroom-{parcel.id}"


def _message_id(parcel: Parcel) -> str:
    """Return the mail's Message-ID, or one made of the delivery's id where it has none."""
    return str(parcel.content.get("message_id") or f"<{_mark(parcel)}@mailroom.invalid>")


def _address(sender: object) -> str:
    """Return the address of `Name <address>`; one that goes nowhere where there is none."""
    found = _ADDRESS.search(str(sender or ""))
    return found[0] if found else "unknown@mailroom.invalid"


def _quoted(text: str) -> str:
    """Return a phrase for Zammad's search, with nothing in it that the search would read."""
    return '"' + text.replace("\\", "").replace('"', "") + '"'


def _note(parcel: Parcel) -> str:
    content = parcel.content
    lines = [str(content.get("reason") or "Mailroom read this mail.")]
    for name in ("queue", "priority"):
        if content.get(name):
            lines.append(f"{name}: {content[name]}")
    if content.get("tags"):
        lines.append(f"tags: {', '.join(map(str, content['tags']))}")
    return "\n".join([*lines, "", _mark(parcel)])


CONNECTOR = Zammad
