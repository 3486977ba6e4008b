"""What is set, what runs, and what is wrong with it: `mailroom doctor`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ledger.errors import LedgerError
from settings import Settings
from workers import devices, wiring
from workers.addresses import (
    NoAddress,
    broker_url,
    database_url,
    files_url,
    masked,
    models_folder,
    open_ledger,
    results_url,
)
from workers.app import hard_limit
from workers.client import Client
from workers.doorbell import WORK_QUEUES
from workers.embedded import ServerFailed, server_binary
from workers.reading import NOT_INSTALLED

_PACKAGES = ("openmailroom", "celery", "kombu", "redis", "sqlalchemy", "flask", "torch", "spacy")
_LITTLE_SPACE = 500_000_000  # bytes


@dataclass(frozen=True)
class Finding:
    """Something wrong: an `error` keeps Mailroom from working, a `warning` may."""

    level: str
    code: str
    message: str


def addresses(settings: Settings) -> dict[str, str]:
    """Return where producers of direct tasks send and fetch, passwords included.

    Raises NoAddress when nothing says where.
    """
    return {"broker": broker_url(settings), "results": results_url(settings)}


def effective(settings: Settings) -> dict[str, Any]:
    """Return every setting as it is in force, secrets masked."""
    shown: dict[str, Any] = {}
    for name, value in settings:
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            shown[name] = masked(secret) if "://" in secret else "***"
        elif isinstance(value, int | float | str | bool) or value is None:
            shown[name] = value
        else:
            shown[name] = str(value)
    derived: dict[str, Callable[[Settings], str]] = {
        "broker_url": broker_url,
        "results_url": results_url,
        "database_url": database_url,
        "files_url": files_url,
    }
    for name, find in derived.items():
        try:
            shown[name] = masked(find(settings))
        except NoAddress:
            shown[name] = None
    return shown


def versions() -> dict[str, str]:
    """Return the versions of what matters, without importing any of it."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def examine(settings: Settings) -> list[Finding]:
    """Return what is wrong, errors first. Every model is loaded, as a worker would."""
    findings = [
        *_settings(settings),
        *_data_folder(settings),
        *_broker(settings),
        *_ledger(settings, WORK_QUEUES, "warning"),
        *_models(settings),
        *(Finding(*fault) for fault in wiring.faults(settings)),
    ]
    return sorted(findings, key=lambda finding: finding.level)


def examine_pulses(settings: Settings, queues: Iterable[str]) -> list[Finding]:
    """Return an error for each of these queues that is not consumed: for a health check."""
    return list(_ledger(settings, queues, "error"))


def report(settings: Settings, findings: list[Finding]) -> dict[str, Any]:
    """Return everything as one JSON-able object."""
    return {
        "settings": effective(settings),
        "versions": versions(),
        "cores": devices.cores(),
        "cards": devices.cards(settings.device),
        "findings": [asdict(finding) for finding in findings],
        "ok": not any(finding.level == "error" for finding in findings),
    }


def _settings(settings: Settings) -> Iterator[Finding]:
    known = {f"MAILROOM_{name.upper()}" for name in Settings.model_fields}
    others = {"MAILROOM_TEST_DATA"}
    for name in sorted(set(os.environ) - known - others):
        if name.startswith("MAILROOM_") and not name.endswith("_KEY"):
            yield Finding("warning", "unknown_setting", f"{name} is not a setting of Mailroom.")
    if settings.lease_seconds <= settings.task_seconds:
        yield Finding(
            "warning",
            "lease_too_short",
            "MAILROOM_LEASE_SECONDS should be longer than MAILROOM_TASK_SECONDS.",
        )
    if settings.behind_proxy and not settings.public_url:
        yield Finding(
            "warning", "no_public_url", "MAILROOM_BEHIND_PROXY is set, MAILROOM_PUBLIC_URL is not."
        )
    if settings.device == "cuda" and not devices.cards("cuda"):
        yield Finding("error", "no_card", "MAILROOM_DEVICE is cuda, and there is no card.")


def _data_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.expanduser()
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Finding("error", "data_dir_not_writable", f"{there} cannot be written.")
    free = shutil.disk_usage(there).free
    if free < _LITTLE_SPACE:
        yield Finding("warning", "little_space", f"{free // 1_000_000} MB are free in {there}.")


def _broker(settings: Settings) -> Iterator[Finding]:
    for name, find in (("broker", broker_url), ("results", results_url)):
        try:
            url = find(settings)
        except NoAddress as error:
            yield Finding("error", f"no_{name}", str(error))
            continue
        client = Client(url)
        if not client.answers():
            sentence = f"No {name} server at {masked(url)}. Is `mailroom up` running?"
            yield Finding("error", f"{name}_unreachable", sentence)
        client.close()
    if settings.broker_url is None or settings.results_url is None:
        try:
            server_binary()
        except ServerFailed as error:
            yield Finding("error", error.code, str(error))


def _models(settings: Settings) -> Iterator[Finding]:
    from nlp import kinds
    from nlp.reader import load_reader

    ledger = open_ledger(settings)
    for kind in kinds.names():
        version = None
        with contextlib.suppress(LedgerError):  # said already, under its own code
            version = ledger.models.active(kind) if _has_ledger(settings) else None
        try:
            load_reader(kind, models_dir=models_folder(settings), version=version, device="cpu")
        except Exception as error:
            name = f"{kind} {version or ''}".rstrip()
            if getattr(error, "code", "") in NOT_INSTALLED:
                sentence = f"There is no model for {name}: its documents cannot be read."
                yield Finding("warning", "no_reader", sentence)
            else:
                sentence = f"The model of {name} cannot be loaded: {error}"
                yield Finding("error", getattr(error, "code", "model_unusable"), sentence)
    ledger.close()


def _ledger(settings: Settings, queues: Iterable[str], level: str) -> Iterator[Finding]:
    if not _has_ledger(settings):  # looking must not make one
        yield Finding("error", "no_ledger", "There is no ledger yet: run `mailroom up`.")
        return
    ledger = open_ledger(settings)
    try:
        if not ledger.is_current():
            sentence = "The ledger's tables are not current: run `mailroom migrate`."
            yield Finding("error", "not_migrated", sentence)
            return
        ages, bound = ledger.pulses.ages(), pulse_bound(settings)
    except LedgerError as error:
        sentence = f"The ledger at {masked(database_url(settings))}: {error}"
        yield Finding("error", error.code, sentence)
        return
    finally:
        ledger.close()
    for queue in queues:
        age = ages.get(queue)
        if age is None:
            yield Finding(level, "no_pulse", f"Nothing ever went through the queue {queue}.")
        elif age > bound:
            sentence = f"Nothing went through the queue {queue} for {age:.0f} seconds."
            yield Finding(level, "pulse_stale", sentence)


def _has_ledger(settings: Settings) -> bool:
    path = database_url(settings).removeprefix("sqlite:///")
    return "://" in path or Path(path).exists()


def pulse_bound(settings: Settings) -> float:
    """Return after how many seconds without a pulse a queue is not consumed any more."""
    return hard_limit(settings) + 3 * settings.pulse_seconds
