"""A disk that is really full: an error that says so, and nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ledger import Finished, Ledger, Viewer, open_ledger
from ledger.errors import StorageFull
from tests import postgresql
from tests.ledger.conftest import OUTCOME, SMALL, claim

DISK_BYTES = 4_000_000
CAN_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None
# Without the right to mount a small disk, a limit on the size of files stands in for it
WAYS = ["disk", "limit"] if CAN_MOUNT else ["limit"]


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def file_limit(size: int) -> Iterator[Callable[[], None]]:
    """No file of this process may grow past `size`, until the yielded function is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def scarce(way: str, folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder where space runs out, and what makes room in it."""
    if way == "disk":
        with small_disk(folder, DISK_BYTES) as disk:
            ballast = disk / "ballast"
            ballast.write_bytes(b"0" * (DISK_BYTES // 2))
            yield disk, ballast.unlink
    else:
        folder.mkdir()
        with file_limit(DISK_BYTES // 4) as lift:
            yield folder, lift


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body_bytes", [SMALL, 200_000], ids=["in the row", "in a file"])
def test_full_disk(tmp_path: Path, viewer: Viewer, way: str, body_bytes: int) -> None:
    """What was accepted before stays whole and readable, and with room again all goes on."""
    with scarce(way, tmp_path / "disk") as (folder, make_room):
        url = f"sqlite:///{folder}/ledger.sqlite3"
        ledger = open_ledger(url, str(folder / "files"), small_body_bytes=SMALL)
        ledger.migrate()
        _, secret = ledger.tokens.issue(viewer, name="t", scopes=["read"])
        if way == "limit" and body_bytes > SMALL:
            body_bytes = DISK_BYTES  # no single file may grow so large
        accepted = accept_until_full(ledger, viewer, body_bytes)

        assert ledger.tokens.verify(secret).workspace == viewer.workspace
        check_whole(ledger, viewer, accepted)
        assert list((folder / "files" / ".incoming").glob("*")) == []
        make_room()
        more = ledger.documents.accept(b"again", viewer=viewer, source="api")
        accepted[more.id] = b"again"
        check_whole(ledger, viewer, accepted)
        finish_all(ledger)
        assert ledger.documents.counts(viewer)["done"] == len(accepted)
        with ledger.database.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        ledger.close()


@pytest.mark.parametrize("way", WAYS)
def test_full_disk_while_finishing(tmp_path: Path, viewer: Viewer, way: str) -> None:
    """A batch that finds no room is not finished at all, and can be finished later."""
    with scarce(way, tmp_path / "disk") as (folder, make_room):
        url = f"sqlite:///{folder}/ledger.sqlite3"
        ledger = open_ledger(url, str(folder / "files"), small_body_bytes=SMALL)
        ledger.migrate()
        for _ in range(5):
            ledger.documents.accept(b"x", viewer=viewer, source="api")
        claimed = claim(ledger)
        wide = [Finished(one.id, outcome=OUTCOME, text="y" * DISK_BYTES) for one in claimed]

        with pytest.raises(StorageFull):
            ledger.owed.finish(wide, holder="worker")

        assert ledger.documents.counts(viewer)["running"] == 5
        make_room()
        narrow = [Finished(one.id, outcome=OUTCOME, text="y") for one in claimed]
        assert len(ledger.owed.finish(narrow, holder="worker")) == 5
        ledger.close()


@pytest.mark.parametrize("way", WAYS)
def test_full_disk_while_backing_up(
    ledger: Ledger, viewer: Viewer, tmp_path: Path, way: str
) -> None:
    """A backup that finds no room leaves no archive that looks like one."""
    for i in range(4):
        ledger.documents.accept(os.urandom(DISK_BYTES // 4 + i), viewer=viewer, source="api")
    with scarce(way, tmp_path / "disk") as (folder, _):
        with pytest.raises(StorageFull):
            ledger.backup(folder / "backup.tar")
        assert [path.name for path in folder.iterdir() if path.name != "ballast"] == []


if CAN_MOUNT:  # only root can make the server's disk small

    @pytest.mark.postgresql
    def test_full_postgresql(
        new_postgresql_database: Callable[[], str], tmp_path: Path, viewer: Viewer
    ) -> None:
        """The same of a PostgreSQL server whose disk is full."""
        url = new_postgresql_database()
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        with small_disk(tmp_path / "disk", 14_000_000) as disk, admin.connect() as connection:
            for folder in [disk, *list(tmp_path.parents)[:-2], tmp_path]:
                folder.chmod(0o755)
            space = disk / "space"
            space.mkdir()
            account = postgresql._unprivileged_account()
            assert account is not None
            os.chown(space, account.pw_uid, account.pw_gid)
            ballast = disk / "ballast"
            ballast.write_bytes(b"0" * 3_000_000)
            connection.execute(text(f"CREATE TABLESPACE small LOCATION '{space}'"))
            connection.execute(text("CREATE DATABASE small TABLESPACE small"))
            small = admin.url.set(database="small").render_as_string(hide_password=False)
            ledger = open_ledger(small, str(tmp_path / "files"))
            ledger.migrate()
            accepted = accept_until_full(ledger, viewer, 60_000)
            check_whole(ledger, viewer, accepted)
            ballast.unlink()
            accepted[ledger.documents.accept(b"again", viewer=viewer, source="api").id] = b"again"
            check_whole(ledger, viewer, accepted)
            ledger.close()
            connection.execute(text("DROP DATABASE small"))
            connection.execute(text("DROP TABLESPACE small"))
        admin.dispose()


def accept_until_full(ledger: Ledger, viewer: Viewer, body_bytes: int) -> dict[str, bytes]:
    """Hand in documents until there is no room; return those that were accepted."""
    accepted = {}
    for _ in range(10_000):
        body = os.urandom(body_bytes)
        try:
            document = ledger.documents.accept(body, viewer=viewer, source="api")
        except StorageFull:
            return accepted
        accepted[document.id] = body
    raise AssertionError("it never was full")


def check_whole(ledger: Ledger, viewer: Viewer, accepted: dict[str, bytes]) -> None:
    """Exactly what was accepted is there, and all of it can be read."""
    seen, after = set(), None
    while True:
        page = ledger.documents.list(viewer, limit=200, after=after)
        seen |= {document.id for document in page.items}
        after = page.after
        if after is None:
            break
    assert seen == set(accepted)
    assert ledger.owed.status().get("interactive", {"owed": 0})["owed"] == len(accepted)
    for document_id, body in accepted.items():
        assert ledger.documents.original(document_id, viewer)[1] == body


def finish_all(ledger: Ledger) -> None:
    while claimed := claim(ledger, characters=10**9):
        finished = [Finished(one.id, outcome=OUTCOME, text="x") for one in claimed]
        ledger.owed.finish(finished, holder="worker")
