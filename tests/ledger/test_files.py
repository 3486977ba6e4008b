"""The file store, a folder and an S3-compatible server: all of a file or nothing."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from ledger import Viewer, open_ledger, s3
from ledger.errors import BodyDamaged, BodyMissing, LedgerUnreachable
from ledger.files import Files
from ledger.schema import documents

BODY = os.urandom(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3-compatible server on a free port, with the bucket `mailroom`."""
    from botocore.session import get_session
    from moto.server import ThreadedMotoServer

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = get_session().create_client("s3", "us-east-1", endpoint_url=address)
    client.create_bucket(Bucket="mailroom")
    client.close()
    yield address
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An empty file store of each sort."""
    if request.param == "folder":
        return Files(str(tmp_path / "files"))
    prefix = request.node.name.replace("[", "-").replace("]", "")
    endpoint = request.getfixturevalue("s3_endpoint")
    return Files(f"s3://mailroom/{prefix}", s3_endpoint=endpoint)


def test_put_and_get(files: Files) -> None:
    """What was put comes back, once however often it was put, until it is deleted."""
    assert files.put(BODY) == SHA256
    assert files.put(BODY) == SHA256
    empty = files.put(b"")

    assert files.get(SHA256) == BODY
    assert files.get(empty) == b""
    assert {(kept.sha256, kept.size) for kept in files.list()} == {
        (SHA256, len(BODY)),
        (empty, 0),
    }

    files.delete(SHA256)
    files.delete(SHA256)
    assert not files.has(SHA256)
    with pytest.raises(BodyMissing):
        files.get(SHA256)


def test_streams(files: Files) -> None:
    """A large body can be read piece by piece, in any sizes."""
    files.put(BODY)
    with files.open(SHA256) as stream:
        pieces = [stream.read(1), stream.read(70_000), stream.read()]
    assert b"".join(pieces) == BODY
    with pytest.raises(BodyMissing):
        files.open("0" * 64).close()


def test_only_hashes_are_names(files: Files, tmp_path: Path) -> None:
    """No name leads out of the store."""
    (tmp_path / "secret").write_bytes(b"x")
    for name in ("../secret", str(tmp_path / "secret"), "", SHA256.upper(), SHA256 + "\n", None):
        for call in (files.get, files.open, files.has, files.delete):
            with pytest.raises(BodyMissing):
                call(name)  # type: ignore[arg-type]
    assert (tmp_path / "secret").exists()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Somebody who reads while the same bytes are put again and again gets all of them."""
    files = Files(str(tmp_path))
    files.put(BODY)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [files.put(BODY) for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        for _ in range(50):
            assert files.get(SHA256) == BODY
    finally:
        stop.set()
        thread.join()


def test_damage_is_noticed(tmp_path: Path) -> None:
    """A byte that changed on the disk is said, not read."""
    files = Files(str(tmp_path))
    files.put(BODY)
    path = tmp_path / SHA256[:2] / SHA256
    path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    with pytest.raises(BodyDamaged):
        files.get(SHA256)


def test_what_an_interrupted_put_left_is_swept(tmp_path: Path) -> None:
    """A killed process leaves no file that looks whole, and its rest goes with time."""
    files = Files(str(tmp_path))
    files.put(BODY)
    rest = tmp_path / ".incoming" / "tmpabc"
    rest.write_bytes(BODY[:100])
    assert [kept.sha256 for kept in files.list()] == [SHA256]

    files.sweep(3600)
    assert rest.exists()
    os.utime(rest, (0, 0))
    files.sweep(3600)
    assert not rest.exists()
    assert files.get(SHA256) == BODY


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Other accounts of the machine do not read people's mail."""
    files = Files(str(tmp_path / "files"))
    files.put(BODY)
    for path in (tmp_path / "files").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_store_that_is_away_is_said_plainly(tmp_path: Path, s3_endpoint: str) -> None:
    """No bucket, or a folder that is a file: an error of ours that says which."""
    with pytest.raises(LedgerUnreachable, match="no bucket"):
        Files("s3://nobody/x", s3_endpoint=s3_endpoint).put(BODY)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerUnreachable):
        Files(str(tmp_path / "file")).put(BODY)


def test_a_fork_after_use_is_refused_not_hung(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's threads stay in the parent; the child is told so at once."""
    files = Files("s3://mailroom/forked", s3_endpoint=s3_endpoint)
    files.put(BODY)
    monkeypatch.setattr(s3, "_used_in", os.getppid())  # as it is in a child
    with pytest.raises(LedgerUnreachable, match="forked"):
        files.get(SHA256)


def test_a_ledger_over_s3(tmp_path: Path, s3_endpoint: str) -> None:
    """Accept, read, delete and collect work over S3 as over a folder."""
    ledger = open_ledger(
        f"sqlite:///{tmp_path}/ledger.sqlite3", "s3://mailroom/over", s3_endpoint=s3_endpoint
    )
    ledger.migrate()
    viewer = Viewer()
    document = ledger.documents.accept(BODY, viewer=viewer, source="api")
    orphan = ledger.files.put(b"orphan")

    assert ledger.documents.original(document.id, viewer)[1] == BODY
    assert ledger.tidy(orphan_seconds=-3600) == 1
    assert not ledger.files.has(orphan)
    ledger.documents.delete(document.id, viewer)
    assert list(ledger.files.list()) == []
    with ledger.database.reading() as connection:
        assert connection.execute(select(documents.c.id)).all() == []
    ledger.close()
