"""Where the broker, the results, the database and the files of this installation are.

An address is either a setting or what `mailroom up` wrote to `data_dir/run/<name>.url` when it
started its own servers; those files are readable by their owner only, for they hold a password.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from settings import Settings

if TYPE_CHECKING:
    from ledger import Ledger


class NoAddress(RuntimeError):
    """Nothing says where the broker or the results are: no setting, and no `mailroom up` ran."""

    code = "no_broker"


def run_folder(data_dir: Path) -> Path:
    """Return the folder of what describes a running installation: addresses, process ids, lock."""
    return data_dir / "run"


def broker_url(settings: Settings) -> str:
    """Return the broker's address with its password; raises NoAddress."""
    if settings.broker_url is not None:
        return settings.broker_url.get_secret_value()
    return _written(settings.data_dir, "broker")


def results_url(settings: Settings) -> str:
    """Return the address where direct tasks leave their results; raises NoAddress."""
    if settings.results_url is not None:
        return settings.results_url.get_secret_value()
    return _written(settings.data_dir, "results")


def database_url(settings: Settings) -> str:
    """Return the ledger's SQLAlchemy address: the setting, or SQLite in the data folder."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{settings.data_dir.expanduser().resolve() / 'ledger.sqlite3'}"


def files_url(settings: Settings) -> str:
    """Return the file store's address: the setting, or a folder in the data folder."""
    if settings.files_url is not None:
        return settings.files_url.get_secret_value()
    return str(settings.data_dir.expanduser().resolve() / "files")


def models_folder(settings: Settings) -> Path:
    """Return the folder where trained models lie, one folder a name and version."""
    return settings.data_dir.expanduser().resolve() / "models"


def open_ledger(settings: Settings) -> Ledger:
    """Return the installation's ledger. It connects when first used; the caller closes it."""
    from ledger import open_ledger as connect  # SQLAlchemy: not for those who only want a URL

    return connect(
        database_url(settings),
        files_url(settings),
        s3_endpoint=settings.s3_endpoint,
        owed_limit=settings.owed_limit,
        attempts_allowed=settings.attempts,
        batches_limit=settings.batches_limit,
    )


def masked(url: str) -> str:
    """Return the address with any password replaced by `***`, fit for logs and screens."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def write_address(data_dir: Path, name: str, url: str) -> None:
    """Leave an address where the installation's other processes look for it, owner only."""
    write_private(run_folder(data_dir) / f"{name}.url", url + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp makes the file 0600 from the start: at no moment can another user read it.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _written(data_dir: Path, name: str) -> str:
    path = run_folder(data_dir) / f"{name}.url"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise NoAddress(
            f"Where is the {name}? Start `mailroom up`, or set MAILROOM_{name.upper()}_URL."
        ) from error
