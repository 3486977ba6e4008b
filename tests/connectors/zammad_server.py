"""The part of Zammad's documented REST API that the connector uses, with its errors.

Tickets, articles, tags, search by an article's Message-ID, `guess:` customers, groups and
priorities that must exist, tokens, and a limit on requests.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.connectors.conftest import Received, Receiver

TOKEN = "zammad-token"
GROUPS = ("Users", "Billing Team")
PRIORITIES = ("1 low", "2 normal", "3 high")

Answer = tuple[int, dict[str, Any] | list[Any] | bool]


class ZammadServer:
    """Answers a receiver's requests as Zammad does."""

    def __init__(self, receiver: Receiver) -> None:
        self.tickets: dict[int, dict[str, Any]] = {}
        self.articles: list[dict[str, Any]] = []
        self.tags: dict[int, list[str]] = {}
        self.requests_left = 1000
        self.fail_next: list[int] = []  # statuses of the next requests that change something
        self.lose_next = 0  # so many changes are made, and their answers lost
        self.url = receiver.url
        receiver.answer = self.answer

    def answer(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        """Answer one request."""
        headers = {"content-type": "application/json; charset=utf-8"}
        if request.headers.get("authorization") != f"Token token={TOKEN}":
            return 401, headers, b'{"error":"Invalid token!"}'
        if self.requests_left <= 0:
            return 429, headers | {"retry-after": "60"}, b'{"error":"Too many requests"}'
        self.requests_left -= 1
        if request.method != "GET" and self.fail_next:
            return self.fail_next.pop(0), headers, b'{"error":"on purpose"}'
        status, body = self._route(request)
        if request.method != "GET" and self.lose_next:
            self.lose_next -= 1
            return 504, headers, b"<html>gateway timeout</html>"
        return status, headers, json.dumps(body).encode()

    def _route(self, request: Received) -> Answer:
        parts = urlsplit(request.path)
        path = parts.path.removeprefix("/api/v1/").split("/")
        body = json.loads(request.body or b"{}")
        if path == ["tickets", "search"]:
            return 200, self._search(parse_qs(parts.query))
        if path == ["tickets"] and request.method == "POST":
            return self._create(body)
        if path[0] == "tickets":
            ticket = self.tickets.get(int(path[1]))
            if ticket is None:
                return 404, {"error": "No such ticket"}
            return (200, ticket) if request.method == "GET" else self._update(ticket, body)
        if path[:2] == ["ticket_articles", "by_ticket"]:
            return 200, [one for one in self.articles if one["ticket_id"] == int(path[2])]
        if path == ["tags", "add"]:
            tags = self.tags.setdefault(int(body["o_id"]), [])
            if body["item"] not in tags:
                tags.append(body["item"])
            return 201, True
        return 404, {"error": "No route matches"}

    def _search(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        name, _, phrase = query["query"][0].partition(":")
        assert name == "article.message_id"
        wanted = phrase.strip('"')
        found = [one["ticket_id"] for one in self.articles if one.get("message_id") == wanted]
        return [self.tickets[number] for number in dict.fromkeys(found)]

    def _create(self, body: dict[str, Any]) -> Answer:
        if not str(body.get("customer_id", "")).startswith("guess:"):
            return 422, {"error": "Missing required value for field 'customer_id'!"}
        ticket: dict[str, Any] = {"id": len(self.tickets) + 1, "title": body["title"]}
        ticket |= {"number": f"220{ticket['id']:02}", "priority": "2 normal"}
        ticket |= {"customer": body["customer_id"].removeprefix("guess:"), "state": "new"}
        status, error = self._update(ticket, {key: body[key] for key in ("group", "article")})
        if status != 200:
            return status, error
        self.tickets[ticket["id"]] = ticket
        return 201, ticket

    def _update(self, ticket: dict[str, Any], body: dict[str, Any]) -> Answer:
        if body.get("group", "Users") not in GROUPS:
            return 422, {"error": f"No lookup value found for 'group': {body['group']!r}"}
        if body.get("priority", "1 low") not in PRIORITIES:
            return 422, {"error": f"No lookup value found for 'priority': {body['priority']!r}"}
        ticket |= {key: body[key] for key in ("group", "priority") if key in body}
        if "article" in body:
            self.articles.append({"ticket_id": ticket["id"], **body["article"]})
        return 200, ticket
