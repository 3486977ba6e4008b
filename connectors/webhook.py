"""A signed webhook after the Standard Webhooks specification (standardwebhooks.com), version 1.

The request's `webhook-id` is the delivery's id, the same at every attempt; `webhook-signature` is
`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret, so that a secret
can be changed while both are in use.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field

from connectors.parts.errors import BadSettings, Permanent
from connectors.parts.http import Http, raise_for_status
from connectors.parts.parcel import Parcel, Receipt

_SECRET_BYTES = (24, 64)  # as the specification wants them


@dataclass(frozen=True)
class Webhook:
    """Posts JSON to `url`, signed with each of `secrets` (`whsec_` and base64), newest first."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    allow: tuple[str, ...] = ()  # networks beyond the public ones: "10.1.0.0/16"
    ca_file: str = ""
    seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check everything that can be checked without connecting."""
        if not self.secrets:
            raise BadSettings("`secrets` needs one secret at least.")
        for secret in self.secrets:
            key(secret)
        self._http()

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver; a receiver that has seen the id before answers 2xx and does nothing."""
        body = json.dumps(
            {
                "type": str(parcel.content.get("type", "document.decided")),
                "timestamp": parcel.created_at,
                "data": {"document": parcel.document_id, **parcel.content},
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode("utf-8", "replace")
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": parcel.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(
                signature(secret, parcel.id, timestamp, body) for secret in self.secrets
            ),
        }
        answer = self._http().request("POST", "", headers=headers, body=body)
        if answer.status == 410:
            raise Permanent("The receiver answered 410: it wants no more deliveries.")
        raise_for_status(answer, "The receiver")
        return Receipt(reference=parcel.id, detail=f"The receiver answered {answer.status}.")

    def _http(self) -> Http:
        return Http(self.url, allow=self.allow, seconds=self.seconds, ca_file=self.ca_file)


def key(secret: str) -> bytes:
    """Return a secret's bytes; raises BadSettings when it is not one of the specification's."""
    try:
        if not secret.startswith("whsec_"):
            raise ValueError
        decoded = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadSettings("A secret is `whsec_` followed by base64.") from error
    if not _SECRET_BYTES[0] <= len(decoded) <= _SECRET_BYTES[1]:
        raise BadSettings("A secret has 24 to 64 bytes.")
    return decoded


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of one request with one secret."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


CONNECTOR = Webhook
