"""How much the gateway takes on at a time, and the counters that hold it to that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one gateway process; past one of them a sender is asked to come back."""

    message_bytes: int = 45_000_000  # announced as SIZE; a 30 MB attachment is 41 MB in base64
    memory_bytes: int = 180_000_000  # of messages on their way in, together
    connections: int = 200
    connections_a_peer: int = 50
    recipients: int = 500  # RFC 5321 4.5.3.1.8 asks for a hundred at least
    hops: int = 100  # Received lines past which a mail goes in circles: RFC 5321 6.3
    command_seconds: float = 300.0  # of silence: RFC 5321 4.5.3.2.7
    data_seconds: float = 1200.0  # for one whole message, however slowly it trickles
    stop_seconds: float = 10.0  # for messages in hand; whoever stops us kills soon after


class Memory:
    """Bytes that messages on their way in may hold together."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, count: int) -> bool:
        """Reserve so many bytes, or return False and reserve none."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def release(self, count: int) -> None:
        """Give bytes back."""
        self._left += count


class Connections:
    """Who is connected, counted by peer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """Count a connection in, or return False where there are too many."""
        if self._peers.total() >= self._limits.connections:
            return False
        if self._peers[peer] >= self._limits.connections_a_peer:
            return False
        self._peers[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Count a connection out that was counted in."""
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]
