"""What can go wrong at the front, and the status each stable code is answered with.

ServiceError
├── MissingToken          nobody is signed in
├── CrossSite             a form that did not come from our own page
├── UntrustedHost         a host name this server does not answer to
├── IncompleteBody        a body that broke off
├── MalformedJson         a body that is not JSON
├── InvalidRequest        a field that is missing, wrong or too long
├── UnknownKind           a document kind that does not exist
├── EmptyDocument         nothing to read
├── TooLarge              more bytes than this server takes
├── UnsupportedMediaType  a body in a form this address does not take
├── RulesWrong            routing rules with mistakes, each with its line
├── StaleRules            routing rules that somebody else changed meanwhile
└── RulesNotWritable      the rules' file cannot be read or written here

Every error of the API is a problem document (RFC 9457): `code` is for programs and never
changes, `detail` is for people and may.
"""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """A request that cannot be served; `str()` of it is a sentence that says what to do."""

    code = "bad_request"

    def __init__(self, detail: str, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors


class MissingToken(ServiceError):
    """Nobody is signed in, and the address is not open to everyone."""

    code = "missing_token"


class CrossSite(ServiceError):
    """A state-changing request that does not carry our page's own mark."""

    code = "cross_site"


class UntrustedHost(ServiceError):
    """The request names a host that this server does not answer to."""

    code = "untrusted_host"


class IncompleteBody(ServiceError):
    """The body broke off before its announced end, or its chunks are malformed."""

    code = "incomplete_body"


class MalformedJson(ServiceError):
    """The body says it is JSON and is not."""

    code = "malformed_json"


class InvalidRequest(ServiceError):
    """A field is missing, of the wrong type, too long or not valid Unicode."""

    code = "invalid_request"


class UnknownKind(ServiceError):
    """The named document kind does not exist here."""

    code = "unknown_kind"


class EmptyDocument(ServiceError):
    """The document has no bytes."""

    code = "empty_file"


class TooLarge(ServiceError):
    """The document has more bytes than this server takes."""

    code = "too_large"


class UnsupportedMediaType(ServiceError):
    """The body is in a form that this address does not take."""

    code = "unsupported_media_type"


class RulesWrong(ServiceError):
    """Routing rules with mistakes; `errors` names each with its line."""

    code = "wrong_rules"


class StaleRules(ServiceError):
    """The rules in force are not those that the change began with."""

    code = "rules_changed"


class RulesNotWritable(ServiceError):
    """The rules' file cannot be read or written by this server."""

    code = "rules_not_writable"


# code -> (status, title). Codes of the ledger stand beside our own: a client sees one list.
PROBLEMS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "incomplete_body": (400, "The request did not arrive whole"),
    "malformed_json": (400, "The body is not valid JSON"),
    "untrusted_host": (400, "This server does not answer to that host name"),
    "missing_token": (401, "A token is needed"),
    "invalid_token": (401, "The token is not valid"),
    "forbidden": (403, "This token may not do that"),
    "cross_site": (403, "The request did not come from Mailroom's own page"),
    "not_found": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This address does not take that method"),
    "not_acceptable": (406, "This address has no such form"),
    "request_timeout": (408, "The request took too long to arrive"),
    "not_read": (409, "There is nothing to read yet"),
    "not_retryable": (409, "The document cannot be read again now"),
    "not_cancellable": (409, "It cannot be cancelled now"),
    "not_pausable": (409, "The batch cannot be paused now"),
    "not_resumable": (409, "The batch cannot be resumed now"),
    "name_taken": (409, "A model has that name already"),
    "model_at_work": (409, "The version is at work"),
    "rules_changed": (409, "The rules were changed meanwhile"),
    "rules_not_writable": (409, "The rules' file cannot be used here"),
    "body_missing": (410, "The original is gone from the file store"),
    "body_damaged": (410, "The original was changed in the file store"),
    "too_large": (413, "The document is too large"),
    "uri_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "This address does not take that content type"),
    "invalid_request": (422, "A field is missing or wrong"),
    "invalid_cursor": (422, "The place to go on from is not one of this list"),
    "unknown_kind": (422, "There is no such document kind"),
    "wrong_rules": (422, "The rules have mistakes"),
    "empty_file": (422, "The document is empty"),
    "idempotency_conflict": (422, "The idempotency key was used for another document"),
    "too_much_owed": (429, "Too many documents are waiting"),
    "quota_exceeded": (429, "This token handed in as much as it may for now"),
    "headers_too_large": (431, "The request's headers are too large"),
    "internal_error": (500, "Something went wrong on our side"),
    "ledger_busy": (503, "The ledger is busy"),
    "ledger_unreachable": (503, "The ledger cannot be reached"),
    "not_ready": (503, "Not ready"),
    "storage_full": (507, "The disk is full"),
}

# The codes that werkzeug's own exceptions are answered with.
BY_STATUS: dict[int, str] = {
    400: "bad_request",
    401: "missing_token",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "invalid_request",
    431: "headers_too_large",
}


def status_of(code: str) -> int:
    """Return the status for a code; one that this table lacks is a fault of ours: 500."""
    return PROBLEMS.get(code, PROBLEMS["internal_error"])[0]
