"""The bell: one at a time, never lost for good, never in anybody's way."""

from __future__ import annotations

import redis

from workers.client import Client
from workers.embedded import EmbeddedServer


def bells(server: EmbeddedServer, queue: str) -> int:
    """Return how many messages wait on a queue."""
    with redis.Redis.from_url(server.url) as connection:
        return int(connection.llen(queue))


def test_many_rings_are_one_bell(broker: EmbeddedServer) -> None:
    """A thousand documents must not become a thousand messages."""
    client = Client(broker.url)
    assert all(client.ring("interactive") for _ in range(50))
    assert bells(broker, "interactive") == 1
    client.close()


def test_bells_do_not_pile_up_while_nobody_answers(broker: EmbeddedServer) -> None:
    """After a night without workers, one bell waits, not one for every ten seconds."""
    client = Client(broker.url)
    with redis.Redis.from_url(broker.url) as connection:
        for _ in range(5):
            client.ring("bulk")
            connection.delete("mailroom:bell:bulk")  # as when its time is over
    assert bells(broker, "bulk") == 1
    client.close()


def test_a_flushed_broker_is_rung_again(broker: EmbeddedServer) -> None:
    """Whatever the broker forgot, the next ring goes through."""
    client = Client(broker.url)
    client.ring("interactive")
    with redis.Redis.from_url(broker.url) as connection:
        connection.flushall()
    client.ring("interactive")
    assert bells(broker, "interactive") == 1
    client.close()


def test_a_ring_without_a_broker_is_false_and_not_an_error(broker: EmbeddedServer) -> None:
    """A document is accepted while the broker is away: its bell rings later."""
    client = Client(broker.url)
    broker.stop()
    assert client.ring("interactive") is False
    broker.start()
    client = Client(broker.url)
    assert client.ring("interactive") is True
    client.close()
