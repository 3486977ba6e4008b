"""A PostgreSQL server of the tests' own: on a free port of this machine, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = "apt-get install postgresql"


def find_programs() -> Path | None:
    """Return the folder that holds initdb and postgres, the newest version first."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def running_server(programs: Path) -> Iterator[str]:
    """Start a server in a temporary folder and yield its address without a database's name."""
    folder = Path(tempfile.mkdtemp(prefix="mailroom-pg-"))
    account = _unprivileged_account()
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    user = account.pw_uid if account else None
    data, port = folder / "data", _free_port()
    _run(
        [programs / "initdb", "-D", data, "-U", "mailroom", "-A", "trust", "-N", "-E", "UTF8"], user
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        _run(
            [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"],
            user,
        )
        yield f"127.0.0.1:{port}"
    finally:
        _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def create_database(address: str) -> str:
    """Make an empty database on the server at `address` and return its SQLAlchemy address."""
    import psycopg

    name = f"mailroom_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(
        f"postgresql://mailroom@{address}/postgres", autocommit=True
    ) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql+psycopg://mailroom@{address}/{name}"


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _unprivileged_account() -> pwd.struct_passwd | None:
    # PostgreSQL refuses to run as root
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _run(command: list[object], user: int | None, *, check: bool = True) -> None:
    finished = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # not a pipe: the server would inherit and hold it open
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if check and finished.returncode:
        raise RuntimeError(f"{command[0]} ended with {finished.returncode}")
