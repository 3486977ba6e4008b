"""The workers' room: queues, claims, batches, retries, time limits, and the processes that do it.

`workers.client` is the door for the other rooms and loads no torch; `workers.app` builds the
Celery application; `workers.supervisor` runs everything on one machine for `mailroom up`.
"""
