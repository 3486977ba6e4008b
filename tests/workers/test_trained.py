"""Trained versions between folder, ledger and store: the one at work, whole, on every machine."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import main
from ledger import Ledger, Viewer
from nlp.errors import BadName, BadParcel, NameTaken
from settings import Settings
from tests.workers.test_train_job import SMALL, table
from workers import orders, trained
from workers.client import open_ledger

ME = Viewer()
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which `wishes` was trained, where no ledger was set up yet."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "wishes.jsonl").write_bytes(table(40))
    options = {"text": "words", "label": "wish", "epochs": 2, "hidden-size": 4, "teacher": "none"}
    said = [f"--{name}={value}" for name, value in options.items()]
    done = typed(folder, "train", "wishes", str(folder / "wishes.jsonl"), *said, "--json")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def data(folder: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(folder, tmp_path / "data"))


@pytest.fixture
def settings(data: Path) -> Settings:
    """Its settings."""
    return Settings(data_dir=data)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """Its ledger, set up."""
    ledger = open_ledger(settings)
    ledger.migrate()
    yield ledger
    ledger.close()


def typed(folder: Path, *arguments: str) -> Result:
    """Run a command over a data folder as somebody types it."""
    environment = {"MAILROOM_DATA_DIR": str(folder), "MAILROOM_DATABASE_URL": None}
    return CliRunner().invoke(main, list(arguments), env=environment)


def listed(folder: Path) -> dict[str, dict]:
    """Return what `mailroom models --json` says of models of one's own, by NAME@VERSION."""
    done = typed(folder, "models", "--json")
    assert done.exit_code == 0, done.output
    models = json.loads(done.stdout)["models"]
    return {f"{m['name']}@{m['version']}": m for m in models if not m["shipped"]}


def second(data: Path) -> None:
    """Make version 2 of `wishes` out of the first."""
    shutil.copytree(data / "models/wishes/1", data / "models/wishes/2")


def test_at_work_is_what_was_promoted(settings: Settings, data: Path, ledger: Ledger) -> None:
    """`evaluate` and `predict` measure what workers read with, and not the newest by chance."""
    assert trained.at_work(settings, "wishes") == "wishes"  # nothing promoted: the newest
    second(data)
    ledger.models.promote("wishes", "2", ME)
    ledger.models.promote("wishes", "1", ME)
    assert trained.at_work(settings, "wishes") == "wishes@1"
    ledger.models.rollback("wishes", ME)
    assert trained.at_work(settings, "wishes") == "wishes@2"
    ledger.models.rollback("wishes", ME)
    assert trained.at_work(settings, "wishes") == "wishes"
    ledger.models.promote("wishes", "1", ME)
    # what says already what it means is left as it is
    for model in ("wishes@2", str(data / "models/wishes/2"), "review", "nobody"):
        assert trained.at_work(settings, model) == model


def test_before_there_is_a_ledger_a_name_is_its_newest_version(settings: Settings) -> None:
    """Training and reading on the command line need no set-up."""
    assert trained.at_work(settings, "wishes") == "wishes"
    assert trained.least_version(settings, "wishes") == 1


def test_the_version_at_work_is_fetched_where_it_is_not(
    settings: Settings, data: Path, ledger: Ledger
) -> None:
    """A machine that trained nothing reads with the same bytes; what it has it keeps."""
    trained.keep(ledger, "wishes", data / "models/wishes/1", ME)
    before = {f.name: f.read_bytes() for f in (data / "models/wishes/1").iterdir()}
    shutil.rmtree(data / "models")
    ledger.models.promote("wishes", "1", ME)
    said = ("--text", "words", "--label", "wish", "--json")
    done = typed(data, "evaluate", "wishes", str(data / "wishes.jsonl"), *said)
    assert json.loads(done.stdout)["version"] == "1"  # and nothing else is said there
    assert {f.name: f.read_bytes() for f in (data / "models/wishes/1").iterdir()} == before
    shutil.rmtree(data / "models")
    assert trained.at_work(settings, "wishes") == "wishes@1"
    assert (data / "models/wishes/1").is_dir()


def test_models_lists_what_only_the_file_store_has(data: Path, ledger: Ledger) -> None:
    """Whoever looks sees every version there is, and which of them another machine trained."""
    trained.keep(ledger, "wishes", data / "models/wishes/1", ME)
    second(data)
    trained.keep(ledger, "wishes", data / "models/wishes/2", ME)
    assert [one["active"] for one in listed(data).values()] == [False, True]  # the newest
    shutil.rmtree(data / "models/wishes/1")
    ledger.models.promote("wishes", "1", ME)
    models = listed(data)
    assert list(models) == ["wishes@2", "wishes@1"]
    assert [(one["here"], one["active"]) for one in models.values()] == [
        (True, False),
        (False, True),
    ]
    assert models["wishes@1"]["heads"] == models["wishes@2"]["heads"] == {"wish": 2}
    assert models["wishes@1"]["scores"] == models["wishes@2"]["scores"]
    assert models["wishes@1"]["examples"] == 36
    said = typed(data, "models").output
    assert "wishes 1  active" in said
    assert "trained on another machine" in said
    other = trained.open_ledger(Settings(data_dir=data))
    assert other.models.trained(Viewer(workspace="elsewhere")) == []
    other.close()


def test_a_training_is_handed_to_a_worker(data: Path, ledger: Ledger) -> None:
    """`--queue` owes the same training that the page would, and trains nothing here."""
    file = data / "wishes.jsonl"
    said = ("--text", "words", "--label", "wish", "--teacher", "none", "--no-examples", "--queue")
    trained.keep(ledger, "wishes", data / "models/wishes/1", ME)
    done = typed(data, "train", "wishes", str(file), *said, "--json")
    assert done.exit_code == 0, done.output
    (job,) = ledger.jobs.list(ME, task="train").items
    assert json.loads(done.stdout) == {"job": job.id}
    assert (job.queue, job.name, job.input_name) == ("training", "wishes", "wishes.jsonl")
    assert ledger.files.get(job.input_sha256 or "") == file.read_bytes()
    wanted = {"text": "words", "label": "wish", "teacher": "none", "examples": False}
    assert wanted.items() <= job.options.items()
    assert job.options["least_version"] == 2  # the ledger has the first
    assert sorted(path.name for path in (data / "models/wishes").iterdir()) == ["1"]


def test_what_a_queue_cannot_take_is_said_at_once(data: Path) -> None:
    """Nothing is owed that would fail hours later."""
    file = str(data / "wishes.jsonl")
    for extra in (["--dev", file], ["--vectors", file]):
        assert typed(data, "train", "wishes", file, "--queue", *extra).exit_code == 2
    lost = typed(data, "train", "wishes", str(data / "lost.csv"), "--queue", "--json")
    assert lost.exit_code == 2
    for name, code in (("review", "name_taken"), ("../up", "bad_name")):
        refused = typed(data, "train", name, file, "--queue", "--json")
        assert refused.exit_code == 2
        assert json.loads(refused.stdout)["error"]["code"] == code
    ledger = open_ledger(Settings(data_dir=data))
    ledger.migrate()
    assert ledger.jobs.list(ME).items == []
    ledger.close()


def test_a_deleted_version_is_erased_on_every_machine(
    data: Path, ledger: Ledger, tmp_path: Path
) -> None:
    """What people wrote does not stay behind in a folder that nobody looks into."""
    second(data)
    for version in ("1", "2"):
        trained.keep(ledger, "wishes", data / f"models/wishes/{version}", ME)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(data / "models", elsewhere)
    ledger.models.promote("wishes", "2", ME)
    assert typed(data, "models", "delete", "wishes", "2").exit_code == 2  # at work
    done = typed(data, "models", "delete", "wishes", "1", "--json")
    assert json.loads(done.stdout) == {"name": "wishes", "version": "1", "deleted": True}
    assert [path.name for path in (data / "models/wishes").iterdir()] == ["2"]
    assert list(listed(data)) == ["wishes@2"]
    trained.sweep(ledger, elsewhere)  # as a worker there does when it starts
    assert [path.name for path in (elsewhere / "wishes").iterdir()] == ["2"]


HOSTILE = ["../up", "/tmp/up", "a/b", ".hidden", "", "a\x00b", "a" * 65, "-x", "..", "ä"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(
    name: str, settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    """A name is a folder on every worker: none may lead elsewhere, whoever wrote it down."""
    file = tmp_path / "rows.jsonl"
    file.write_bytes(table(20))
    options = {"text": "words", "label": "wish"} | dict.fromkeys(trained_options(), None)
    with pytest.raises(BadName) as refused:
        orders.hand_in(settings, name, file, options)
    assert refused.value.code == "bad_name"
    assert ledger.jobs.list(ME).items == []
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadName):
        trained.fetch(ledger, name, "1", tmp_path / "models")
    assert sorted(tmp_path.rglob("*")) == before


def trained_options() -> tuple[str, ...]:
    """Return the names of the options that a job takes over."""
    from workers.jobs.train import RECIPE

    return tuple(name for name in RECIPE if name not in SMALL)


def test_a_shipped_name_is_not_handed_in(settings: Settings, tmp_path: Path) -> None:
    """A worker would refuse it after the wait; said at once instead."""
    file = tmp_path / "rows.jsonl"
    file.write_bytes(table(20))
    with pytest.raises(NameTaken):
        orders.hand_in(settings, "ticket", file, {"text": "words", "label": "wish"})


@pytest.mark.parametrize("member", ["../../evil", "/tmp/mailroom-evil", "a/evil", ".evil", "link"])
def test_a_hostile_packed_model_is_refused(member: str, ledger: Ledger, tmp_path: Path) -> None:
    """What comes out of the store is written in the version's own folder or not at all."""
    parcel = io.BytesIO()
    with tarfile.open(fileobj=parcel, mode="w") as packed:
        entry = tarfile.TarInfo(member)
        if member == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        else:
            entry.size = 4
        packed.addfile(entry, io.BytesIO(b"evil"))
    sha256 = ledger.files.put(parcel.getvalue())
    kept = {"sha256": sha256, "size": len(parcel.getvalue()), "facts": {}}
    ledger.models.keep(ME, name="bad", version="1", **kept)  # type: ignore[arg-type]
    models = tmp_path / "machine" / "models"
    with pytest.raises(BadParcel) as refused:
        trained.fetch(ledger, "bad", "1", models)
    assert refused.value.code == "bad_parcel"
    assert [path for path in (tmp_path / "machine").rglob("*") if path.is_file()] == []
    assert not Path("/tmp/mailroom-evil").exists()
