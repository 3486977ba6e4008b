"""Trainings ordered from a terminal: owed as a job, as those of the page are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ledger import Viewer
from settings import Settings
from workers.addresses import NoAddress, broker_url, open_ledger
from workers.client import Client


def hand_in(settings: Settings, name: str, file: Path, options: Mapping[str, Any]) -> str:
    """Owe a training of a file as a job, ring for a worker, and return the job's id.

    Raises `nlp.errors.BadName` or NameTaken, LedgerError, and OSError for a file that cannot be
    read.
    """
    from nlp.weights import check_name
    from workers.jobs.train import RECIPE

    check_name(name)
    ledger = open_ledger(settings)
    try:
        ledger.migrate()
        kept = ledger.files.put_file(file)
        wanted = {field: options[field] for field in ("text", "label", *RECIPE) if options[field]}
        if options.get("no_examples"):
            wanted["examples"] = False
        wanted["least_version"] = int(ledger.models.next_version(name))
        job = ledger.jobs.add(
            Viewer(),
            queue="training",
            task="train",
            name=name,
            options=wanted,
            input=kept.sha256,
            input_size=kept.size,
            input_name=file.name,
        )
    finally:
        ledger.close()
    with suppress(NoAddress):  # no Mailroom runs here yet: its scheduler rings
        client = Client(broker_url(settings))
        client.ring("training")
        client.close()
    return job.id
