"""Which addresses this gateway takes mail for. It keeps mail and never passes it on."""

from __future__ import annotations


class Recipients:
    """The filter that `MAILROOM_SMTP_RECIPIENTS` describes.

    A comma-separated list of addresses (`help@example.com`), domains (`@example.com`) or `*` for
    any. Upper and lower case are the same; `+tag` after the local part is ignored. `postmaster`
    is taken with and without a taken domain, as RFC 5321 4.5.1 wants.
    """

    def __init__(self, described: str) -> None:
        entries = {entry.strip().casefold() for entry in described.split(",")} - {""}
        self._any = "*" in entries
        self._domains = {_ascii(entry[1:]) for entry in entries if entry.startswith("@")}
        addresses = (entry.rpartition("@") for entry in entries if entry.find("@") > 0)
        self._addresses = {(local, _ascii(domain)) for local, _, domain in addresses}

    def take(self, address: str) -> bool:
        """Return whether mail to that address is taken."""
        if self._any:
            return True
        local, _, domain = address.strip().casefold().rpartition("@")
        if not local:
            return domain == "postmaster"
        local, domain = local.strip('"'), _ascii(domain.rstrip("."))
        if domain in self._domains or (local, domain) in self._addresses:
            return True
        if (local.partition("+")[0], domain) in self._addresses:
            return True
        return local == "postmaster" and any(domain == known for _, known in self._addresses)


def _ascii(domain: str) -> str:
    """Return a domain in the one form in which two spellings of it are equal."""
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
