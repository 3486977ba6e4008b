"""The doorbell: a Celery message that says "there is work on this queue", never the work itself.

At most one bell is ringing on a queue: a key in the broker says so. The worker clears the key
before it claims, so a row committed before a ring that was held back is seen by that claim. A bell
that is lost (a crash between two steps, a flushed broker) is made good by the key's expiry and
the scheduler, which rings every queue from time to time.
"""

from __future__ import annotations

import weakref
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

# What waits in the ledger, and Celery's default queue for direct calls
WORK_QUEUES = ("interactive", "bulk", "series", "delivery", "training")
DIRECT_QUEUE = "celery"
QUEUES = (*WORK_QUEUES, DIRECT_QUEUE)
WORK = "mailroom.work"

# Errors of a broker that is away, restarting or loading; the caller goes on without it
BROKER_ERRORS = (OperationalError, redis.RedisError, OSError)

# Direct calls wait on their queue too: there a bell joins them unless very many are waiting
_clients: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_MESSAGES_ALLOWED = {DIRECT_QUEUE: 1000}


def ring(app: Celery, connection: Any, queue: str, *, expiry_seconds: float) -> bool:
    """Ring a queue's bell unless it is ringing; return whether one rings now.

    Raises one of BROKER_ERRORS when the broker does not answer.
    """
    client = _client(connection)
    if not client.set(_key(queue), 1, nx=True, px=int(expiry_seconds * 1000)):
        return True
    # With nobody to answer, the key expires again and again: do not pile bells up.
    if client.llen(queue) > _MESSAGES_ALLOWED.get(queue, 0):
        return True
    try:
        app.send_task(
            WORK,
            kwargs={"queue": queue},
            queue=queue,
            connection=connection,
            ignore_result=True,
            retry=False,
        )
    except BROKER_ERRORS:
        client.delete(_key(queue))
        raise
    return True


def clear(connection: Any, queue: str) -> None:
    """Say that the bell was heard; call it before the claim. Raises one of BROKER_ERRORS."""
    _client(connection).delete(_key(queue))


def waiting(connection: Any, queue: str) -> int:
    """Return how many messages wait on a queue. Raises one of BROKER_ERRORS."""
    return int(_client(connection).llen(queue))


def transport_options(*, visibility_timeout: float) -> dict[str, Any]:
    """Return the options every process that shares the broker must agree on."""
    return {
        # The shortest among the processes wins, so all get this one.
        "visibility_timeout": visibility_timeout,
        "socket_connect_timeout": 3,
        "socket_timeout": 30,
        "socket_keepalive": True,
        # A consumer whose broker went away in the wrong moment waits for an answer that never
        # comes; kombu looks for that, and after twice this long it asks anew.
        "health_check_interval": 4,
        # Without a bound the first use of a connection waits for the broker for ever.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    }


def _client(connection: Any) -> Any:
    """Return the broker's client of a connection; to make one costs more than a question to it."""
    channel = connection.default_channel
    client = _clients.get(channel)
    if client is None or client.connection_pool is not channel.pool:
        with channel.conn_or_acquire() as client:
            _clients[channel] = client
    return client


def _key(queue: str) -> str:
    return f"mailroom:bell:{queue}"
