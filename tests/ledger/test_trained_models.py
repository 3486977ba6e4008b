"""Trained models: whose they are, that their files stay, and that no version is two models."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import Ledger, Viewer
from ledger.errors import BodyMissing, Forbidden, ModelAtWork, NameTaken, NotFound

ME, OTHER = Viewer(), Viewer(workspace="elsewhere")


def keep(ledger: Ledger, version: str = "1", *, viewer: Viewer = ME, body: bytes = b"w" * 2000):  # type: ignore[no-untyped-def]
    return ledger.models.keep(
        viewer,
        name="wishes",
        version=version,
        sha256=ledger.files.put(body),
        size=len(body),
        facts={"scores": {"wish": {"accuracy": 0.9}}},
    )


def test_a_model_is_its_workspaces_alone(ledger: Ledger) -> None:
    """Labels and scores say what a workspace trained on: nobody else sees or takes the name."""
    keep(ledger)
    assert [model.version for model in ledger.models.trained(ME)] == ["1"]
    assert ledger.models.trained(OTHER) == []
    with pytest.raises(NotFound):
        ledger.models.get("wishes", "1", OTHER)
    assert ledger.models.is_free("wishes", ME)
    assert not ledger.models.is_free("wishes", OTHER)
    with pytest.raises(NameTaken):
        keep(ledger, "2", viewer=OTHER)
    ledger.models.promote("wishes", "1", ME)
    assert ledger.models.usable(ME) == ("wishes",)
    assert ledger.models.usable(OTHER) == ()


def test_versions_count_up_and_none_is_two_models(ledger: Ledger) -> None:
    """A version that is put to work is the one whose scores were read."""
    assert ledger.models.next_version("wishes") == "1"
    for version in ("1", "2", "10"):
        keep(ledger, version, body=f"weights {version}".encode() * 300)
    assert keep(ledger, "2", body=b"weights 2" * 300).version == "2"  # twice is once
    with pytest.raises(NameTaken):
        keep(ledger, "2", body=b"other weights" * 300)
    assert ledger.models.next_version("wishes") == "11"
    assert [model.version for model in ledger.models.trained(ME, "wishes")] == ["10", "2", "1"]
    assert ledger.models.file_of("wishes", "3") is None


def test_a_models_file_outlives_its_job_and_comes_along_in_a_backup(
    ledger: Ledger, tmp_path: Path
) -> None:
    """A model at work does not vanish because somebody tidied the list of trainings."""
    body = b"packed weights" * 500
    sha256 = ledger.files.put(body)
    job = ledger.jobs.add(ME, queue="training", task="train", name="wishes", options={})
    assert ledger.jobs.claim("training", holder="me", lease_seconds=60)
    model = {"name": "wishes", "version": "1", "facts": {"languages": ["en"]}}
    outputs = {"model.tar": sha256}
    assert ledger.jobs.finish(job.id, holder="me", result={}, outputs=outputs, model=model)
    ledger.jobs.delete(job.id, ME)
    ledger.tidy(orphan_seconds=0)

    kept = ledger.models.get("wishes", "1", ME)
    assert (kept.sha256, kept.size, kept.facts) == (sha256, len(body), {"languages": ["en"]})
    assert ledger.files.get(sha256) == body
    made = ledger.backup(tmp_path / "backup.tar")
    assert made.files == 1
    assert not made.missing


def test_a_deleted_version_is_gone_with_its_file(ledger: Ledger) -> None:
    """Texts that a model carries can be erased; its number and its place at work never return."""
    for version in ("1", "2", "3"):
        keep(ledger, version, body=f"weights {version}".encode() * 300)
        ledger.models.promote("wishes", version, ME)
    with pytest.raises(ModelAtWork):
        ledger.models.delete("wishes", "3", ME)
    with pytest.raises(NotFound):
        ledger.models.delete("wishes", "2", OTHER)
    with pytest.raises(Forbidden):
        ledger.models.delete("wishes", "2", Viewer(scopes=frozenset({"read"})))
    sha256 = ledger.models.get("wishes", "2", ME).sha256
    ledger.models.delete("wishes", "2", ME)
    assert [model.version for model in ledger.models.trained(ME)] == ["3", "1"]
    assert ledger.models.deleted() == {("wishes", "2")}
    with pytest.raises(BodyMissing):
        ledger.files.get(sha256)
    with pytest.raises(NotFound):
        ledger.models.delete("wishes", "2", ME)
    assert ledger.models.rollback("wishes", ME).version == "1"  # not the one that is gone
    ledger.models.delete("wishes", "3", ME)
    assert ledger.models.next_version("wishes") == "4"
    assert ledger.models.rollback("wishes", ME).version is None


def test_a_deleted_version_is_not_kept_by_its_training(ledger: Ledger) -> None:
    """The packed model that a training left goes with the version; its report stays."""
    body = b"packed weights" * 500
    outputs = {"model.tar": ledger.files.put(body), "report.html": ledger.files.put(b"<p>" * 900)}
    job = ledger.jobs.add(ME, queue="training", task="train", name="wishes", options={})
    assert ledger.jobs.claim("training", holder="me", lease_seconds=60)
    model = {"name": "wishes", "version": "1", "facts": {}}
    assert ledger.jobs.finish(job.id, holder="me", result={}, outputs=outputs, model=model)
    ledger.models.delete("wishes", "1", ME)
    assert set(ledger.jobs.get(job.id, ME).outputs) == {"report.html"}
    with pytest.raises(BodyMissing):
        ledger.files.get(outputs["model.tar"])
