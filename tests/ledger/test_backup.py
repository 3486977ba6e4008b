"""A backup of a running system holds everything, and a restore gives it back."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger import Finished, Ledger, Viewer
from ledger.errors import BackupError, TargetNotEmpty
from ledger.restore import restore
from tests.ledger.conftest import OUTCOME, Clock, Place, claim


def fill(ledger: Ledger, viewer: Viewer) -> str:
    """Put something into every table and return a token's secret."""
    parent = ledger.documents.accept(b"mail", viewer=viewer, source="smtp", idempotency_key="k")
    ledger.documents.accept(b"a" * 5000, viewer=viewer, source="attachment", parent_id=parent.id)
    ledger.documents.accept(b"a" * 5000, viewer=viewer, source="web", name="the same bytes")
    owed = claim(ledger, items=1)
    delivery = {"connector": "webhook", "payload": {"é": "\x00"}}
    mail = {"subject": "s", "text": "t", "reply_text": "r"}
    finished = Finished(
        owed[0].id, outcome=OUTCOME, text="Grüße 😀", mail=mail, deliveries=(delivery,)
    )
    ledger.owed.finish([finished], holder="worker")
    ledger.corrections.add(parent.id, "team", ["sales"], viewer)
    ledger.models.promote("m", "1", Viewer())
    ledger.pulses.beat("interactive", "worker", 1)
    return ledger.tokens.issue(viewer, name="t", scopes=["read"])[1]


def contents(ledger: Ledger, viewer: Viewer) -> list[Any]:
    """Everything that can be seen of a ledger."""
    documents = ledger.documents.list(viewer, limit=200).items
    seen: list[Any] = [ledger.documents.get(document.id, viewer) for document in documents]
    seen += [ledger.documents.original(document.id, viewer)[1] for document in documents]
    seen += [ledger.documents.results(document.id, viewer) for document in documents]
    seen += [ledger.deliveries.list(viewer), ledger.corrections.list(viewer)]
    seen += [ledger.audit.list(viewer), ledger.tokens.list(viewer), ledger.models.history("m")]
    return [*seen, ledger.pulses.totals(), ledger.owed.status(), ledger.documents.counts(viewer)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_all_of_it_comes_back(
    ledger: Ledger,
    viewer: Viewer,
    clock: Clock,
    new_place: Callable[[str], Place],
    tmp_path: Path,
    kind: str,
) -> None:
    """From either database to either: documents, files, results, tokens, the log, the leases."""
    secret = fill(ledger, viewer)
    before = contents(ledger, viewer)
    archive = tmp_path / "backup.tar"

    made = ledger.backup(archive)
    place = new_place(kind)
    came = restore(archive, place.database_url, place.files_url)

    assert (made.documents, made.files, made.deleted, made.missing) == (3, 1, (), ())
    assert came == made
    assert archive.stat().st_mode & 0o077 == 0
    restored = place.open(clock=clock)
    assert contents(restored, viewer) == before
    assert restored.is_current()
    assert restored.tokens.verify(secret).workspace == viewer.workspace
    assert restored.documents.accept(
        b"mail", viewer=viewer, source="smtp", idempotency_key="k"
    ).repeated
    assert len(claim(restored)) == 2
    restored.close()


@pytest.mark.slow
def test_under_load(
    place: Place, viewer: Viewer, new_place: Callable[[str], Place], tmp_path: Path
) -> None:
    """While documents are accepted, read and deleted, a backup is of one moment and whole."""
    ledger = place.open()
    stop = threading.Event()
    known: list[str] = []

    def load(seed: int) -> None:
        own = place.open()
        number = 0
        while not stop.is_set():
            number += 1
            body = f"{seed} {number} ".encode() * (400 if number % 2 else 4)
            document = own.documents.accept(body, viewer=viewer, source="api")
            known.append(document.id)
            claimed = claim(own, f"worker-{seed}", items=3)
            finished = [Finished(one.id, outcome=OUTCOME, text="x") for one in claimed]
            own.owed.finish(finished, holder=f"worker-{seed}")
            if number % 5 == 0:
                own.documents.delete(document.id, viewer)
        own.close()

    threads = [threading.Thread(target=load, args=[seed]) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        summaries = []
        for i in range(3):
            goal = len(known) + 12
            while len(known) < goal:
                stop.wait(0.01)
            accepted_before = set(known)
            kept_before = {d.id for d in ledger.documents.list(viewer, limit=200).items}
            archive = tmp_path / f"backup-{i}.tar"
            summaries.append((archive, ledger.backup(archive), accepted_before & kept_before))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    ledger.close()

    for i, (archive, made, kept_before) in enumerate(summaries):
        assert made.missing == ()
        target = new_place("sqlite" if i % 2 else "postgresql")
        restore(archive, target.database_url, target.files_url)
        restored = target.open()
        documents = restored.documents.list(viewer, limit=200).items
        # What was there before is there, but for what was deleted while the backup began
        assert len(kept_before - {document.id for document in documents}) <= 2
        owed = restored.owed.status().get("interactive", {"owed": 0})["owed"]
        assert owed == sum(one.state in {"waiting", "running"} for one in documents)
        for document in documents:
            results = restored.documents.results(document.id, viewer)
            assert len(results) == (document.state == "done")
            if document.sha256 not in made.deleted:
                restored.documents.original(document.id, viewer)
        restored.close()


def test_a_lost_file_is_said_and_the_rest_saved(
    ledger: Ledger, viewer: Viewer, tmp_path: Path, new_place: Callable[[str], Place]
) -> None:
    """Damage to one file is no reason to have no backup of the others."""
    lost = ledger.documents.accept(b"1" * 5000, viewer=viewer, source="api")
    whole = ledger.documents.accept(b"2" * 5000, viewer=viewer, source="api")
    ledger.files.delete(lost.sha256)

    made = ledger.backup(tmp_path / "backup.tar")

    assert (made.files, made.missing) == (1, (lost.sha256,))
    place = new_place("sqlite")
    assert restore(tmp_path / "backup.tar", place.database_url, place.files_url) == made
    restored = place.open()
    assert restored.documents.original(whole.id, viewer)[1] == b"2" * 5000
    restored.close()


def test_nothing_is_overwritten(
    ledger: Ledger, viewer: Viewer, tmp_path: Path, new_place: Callable[[str], Place]
) -> None:
    """Neither an archive that is there nor a ledger that holds anything."""
    fill(ledger, viewer)
    archive = tmp_path / "backup.tar"
    ledger.backup(archive)
    before = archive.read_bytes()
    with pytest.raises(BackupError):
        ledger.backup(archive)
    assert archive.read_bytes() == before

    place = new_place("sqlite")
    busy = place.open()
    busy.migrate()
    token, _ = busy.tokens.issue(Viewer(), name="t", scopes=["read"])
    with pytest.raises(TargetNotEmpty):
        restore(archive, place.database_url, place.files_url)
    assert busy.tokens.list(Viewer()) == [token]
    assert busy.documents.list(viewer).items == []
    busy.close()


@pytest.fixture
def archive(ledger: Ledger, viewer: Viewer, tmp_path: Path) -> Path:
    fill(ledger, viewer)
    path = tmp_path / "good.tar"
    ledger.backup(path)
    return path


def read_members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        return {one.name: tar.extractfile(one).read() for one in members}  # type: ignore[union-attr]


def write_members(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, body in members:
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return path


def change(name: str, body: bytes) -> Callable[[dict[str, bytes]], list[tuple[str, bytes]]]:
    """Return a function that puts `body` at `name` of an archive's members."""
    return lambda members: list((members | {name: body}).items())


def drop(start: str) -> Callable[[dict[str, bytes]], list[tuple[str, bytes]]]:
    """Return a function that leaves out the first member whose name begins so."""

    def without(members: dict[str, bytes]) -> list[tuple[str, bytes]]:
        gone = next(name for name in members if name.startswith(start))
        return [(name, body) for name, body in members.items() if name != gone]

    return without


def repeat(members: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the members with one of them twice."""
    return [*members.items(), ("manifest.json", members["manifest.json"])]


def flip_file(members: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the members with one byte of a file changed."""
    return [(n, b"!" + b[1:] if n.startswith("files/") else b) for n, b in members.items()]


def set_manifest(**changes: Any) -> Callable[[dict[str, bytes]], list[tuple[str, bytes]]]:
    """Return a function that changes the manifest."""

    def changed(members: dict[str, bytes]) -> list[tuple[str, bytes]]:
        manifest = json.loads(members["manifest.json"]) | changes
        return list((members | {"manifest.json": json.dumps(manifest).encode()}).items())

    return changed


SPOILT = {
    "a table changed": change("tables/documents.jsonl.gz", gzip.compress(b"{}\n")),
    "a file changed": flip_file,
    "a file is gone": drop("files/"),
    "a table is gone": drop("tables/"),
    "the manifest is gone": drop("manifest"),
    "no manifest at all": change("manifest.json", b"[]"),
    "a manifest of a newer version": set_manifest(format=2),
    "a revision of a newer version": set_manifest(revision="9999"),
    "a name that leads out": change("../escape", b"x"),
    "an absolute name": change("/tmp/escape", b"x"),
    "a name of nothing of ours": change("files/x", b"x"),
    "a name twice": repeat,
}


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_spoilt_archives(
    archive: Path,
    new_place: Callable[[str], Place],
    viewer: Viewer,
    tmp_path: Path,
    spoil: Callable[[dict[str, bytes]], list[tuple[str, bytes]]],
) -> None:
    """What is damaged or made to harm is refused before anything is written."""
    spoilt = write_members(tmp_path / "spoilt.tar", spoil(read_members(archive)))
    place = new_place("sqlite")

    with pytest.raises(BackupError):
        restore(spoilt, place.database_url, place.files_url)

    assert not Path(place.files_url).exists()
    assert not (tmp_path / "escape").exists()
    restore(archive, place.database_url, place.files_url)  # the place is as good as new


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_links_and_broken_archives(
    archive: Path, new_place: Callable[[str], Place], tmp_path: Path
) -> None:
    """A link in an archive, half an archive, or no archive: refused."""
    link = tmp_path / "link.tar"
    with tarfile.open(link, "w") as tar:
        member = tarfile.TarInfo("files/" + "0" * 64)
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    half = tmp_path / "half.tar"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    noise = tmp_path / "noise.tar"
    noise.write_bytes(os.urandom(20_000))
    for path in (link, half, noise, tmp_path / "none.tar"):
        place = new_place("sqlite")
        with pytest.raises(BackupError):
            restore(path, place.database_url, place.files_url)


def test_needs_current_tables(new_place: Callable[[str], Place], tmp_path: Path) -> None:
    """A ledger without tables is not backed up as an empty one."""
    ledger = new_place("sqlite").open()
    with pytest.raises(BackupError):
        ledger.backup(tmp_path / "backup.tar")
    assert list(tmp_path.glob("*.tar")) == []
    ledger.close()
