"""`mailroom train` from end to end, in its own memory-capped process."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from commands.evaluate import command as evaluate
from commands.models import command as models
from commands.predict import command as predict
from nlp import training_process
from nlp.errors import NotEnoughData, TrainingFailed, VectorsError
from nlp.examples import split
from nlp.trainer import Job, train_file
from nlp.vectors import read_vectors
from tests.nlp.conftest import SMALL, made

QUICK = replace(SMALL, epochs=2)


def test_a_file_becomes_a_model_that_commands_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_file: Callable[..., Path]
) -> None:
    """Trained in a child, listed, evaluated with every key the design names, and asked."""
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAILROOM_THREADS", "1")
    monkeypatch.setenv("MAILROOM_DEVICE", "cpu")
    file = rows_file(made(200, seed=0), "rows.jsonl.gz")
    dev = rows_file(made(60, seed=1), "dev.jsonl")
    said: list[dict] = []
    job = Job(
        name="wishes",
        file=file,
        dev=dev,
        models_dir=(tmp_path / "data" / "models").resolve(),
        device="cpu",
        recipe=QUICK,
    )
    result = training_process.run(job, memory_bytes=6_000_000_000, threads=1, said=said.append)

    assert result.version == "1"
    assert {"epoch", "loss"} <= set(said[-1])
    page = (result.folder / "report.html").read_text()
    assert "Worst mistakes" in page
    assert "http" not in page, "a report loads nothing"
    assert "wishes" in (result.folder / "README.md").read_text()

    run = CliRunner().invoke
    listed = json.loads(run(models, ["--json"]).stdout)["models"]
    assert [m["active"] for m in listed if m["name"] == "wishes"] == [True]
    scored = run(evaluate, ["wishes", str(dev), "--json"])
    assert scored.exit_code == 0, scored.output
    figures = json.loads(scored.stdout)
    assert list(figures) == [
        *("model", "version", "rows", "rows_left_out", "rows_per_second", "accuracy"),
        *("macro_f1", "nll", "ece", "ece_if_perfect", "needs_review_rate"),
        *("coverage_at_95_precision", "coverage_at_98_precision"),
    ]
    assert figures["accuracy"] > 0.9
    asked = run(predict, ["wishes", "--text", "please refund the payment", "--json"])
    assert asked.exit_code == 0, asked.output
    (read,) = json.loads(asked.stdout)["results"]
    assert read["outcome"]["labels"]["label"]["value"] == "refund"


def test_a_training_does_not_wait_as_the_worker_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_file: Callable[..., Path]
) -> None:
    """Two threads that sleep at once take twice as long as one: so a worker's reader waits."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    found: set[bytes] = set()

    def look(_: object) -> None:
        for child in Path("/proc/self/task").glob("*/children"):
            for pid in child.read_text().split():
                with contextlib.suppress(OSError):  # another child, gone meanwhile
                    words = Path("/proc", pid, "environ").read_bytes().split(b"\0")
                    found.update(word for word in words if word.startswith(b"GOMP_SPINCOUNT"))

    file = rows_file(made(60, seed=0), "rows.jsonl")
    job = Job(name="quick", file=file, models_dir=tmp_path, device="cpu", recipe=QUICK)
    training_process.run(job, memory_bytes=6_000_000_000, threads=1, said=look)

    assert found == {b"GOMP_SPINCOUNT=1000"}


def test_out_of_scope_rows_add_their_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_file: Callable[..., Path]
) -> None:
    """Four more keys, and the label keeps the name the file has for it."""
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    file = rows_file(made(240, seed=0, outside=True))
    recipe = replace(QUICK, out_of_scope="elsewhere")
    folder = (tmp_path / "data" / "models").resolve()
    train_file(Job(name="scoped", file=file, models_dir=folder, device="cpu", recipe=recipe))

    figures = json.loads(CliRunner().invoke(evaluate, ["scoped", str(file), "--json"]).stdout)

    assert {"accuracy_in_scope", "recall_out_of_scope", "false_rejection"} <= set(figures)
    assert figures["auroc_out_of_scope"] > 0.9


def test_a_second_training_is_a_second_version(
    tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    """Nothing is overwritten, and a tenth is kept aside, by seed and label, without --dev."""
    examples = made(200, seed=0)
    job = Job(name="w", file=rows_file(examples), models_dir=tmp_path, device="cpu", recipe=QUICK)
    assert [train_file(job).version for _ in range(2)] == ["1", "2"]
    labels = [str(v) for v in examples.labels["wish"]]
    train_rows, dev_rows = split(labels)
    assert (len(dev_rows), sorted(train_rows + dev_rows)) == (20, list(range(200)))
    assert split(labels) == split(labels)
    assert set(np.array(labels)[dev_rows]) == set(labels)


def test_rows_without_a_label_teach_too(tmp_path: Path, rows_file: Callable[..., Path]) -> None:
    """A teacher reads them; the card counts them; what dev is asked is never among them."""
    pytest.importorskip("sklearn", reason="needs the extra train")
    examples, dev = made(60, seed=0), made(40, seed=1)
    free = made(200, seed=2)
    rows = [
        *(
            {"text": t, "label": v}
            for t, v in zip(examples.texts, examples.labels["wish"], strict=True)
        ),
        *({"text": t, "label": None} for t in [*free.texts, *dev.texts]),
    ]
    file = tmp_path / "half.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = Job(
        name="half",
        file=file,
        dev=rows_file(dev, "dev.jsonl"),
        models_dir=tmp_path,
        device="cpu",
        recipe=replace(QUICK, teacher="linear"),
    )

    result = train_file(job)

    fresh = {*free.texts} - {*examples.texts, *dev.texts}
    assert f"also on {len(fresh)}" in result.way
    assert f"{len(fresh)} without a label" in (result.folder / "README.md").read_text()
    assert result.warnings == ("only 40 rows to measure on: the figures will be rough",)
    alone = train_file(replace(job, recipe=QUICK))
    assert any("240 rows have no label" in warning for warning in alone.warnings)


def test_too_little_memory_is_a_sentence(tmp_path: Path, rows_file: Callable[..., Path]) -> None:
    """The process ends, not the machine; what it may have is said, and nothing is left behind."""
    job = Job(name="w", file=rows_file(made(200, seed=0)), models_dir=tmp_path, recipe=QUICK)
    with pytest.raises(TrainingFailed, match="GB"):
        training_process.run(job, memory_bytes=120_000_000, threads=1)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_the_child_finds_wrong_is_raised_here(
    tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    """The error of the other process is the same class with the same words."""
    job = Job(name="w", file=rows_file(made(6, seed=0)), models_dir=tmp_path, recipe=QUICK)
    with pytest.raises(NotEnoughData, match="rows"):
        training_process.run(job, memory_bytes=6_000_000_000, threads=1)


def test_vectors_of_ones_own_in_both_formats(tmp_path: Path) -> None:
    """A text file as GloVe has it, and an array beside its words, give the same vectors."""
    listed = ["the", "refund", "zzz"]
    matrix = np.arange(9, dtype=np.float32).reshape(3, 3)
    rows = [f"{w} {' '.join(map(str, row))}" for w, row in zip(listed, matrix, strict=True)]
    (tmp_path / "v.txt").write_text("\n".join(rows) + "\n")
    np.save(tmp_path / "v.npy", matrix.astype(np.float16))
    (tmp_path / "v.words.txt").write_text("\n".join(listed) + "\n")

    text = read_vectors(tmp_path / "v.txt", words=["zzz"], frequent=1)
    pair = read_vectors(tmp_path / "v.npy", words=["zzz"], frequent=1)

    assert text.words == pair.words == ["the", "zzz"]
    assert text.matrix.tolist() == pair.matrix.tolist() == matrix[[0, 2]].tolist()
    assert not list(tmp_path.glob("*.pt")), "no pickle is left beside the file"
    (tmp_path / "bad.txt").write_text("the 1 2\nrefund 1\n")
    for name, says in (("none.txt", "no file"), ("bad.txt", "cannot be read")):
        with pytest.raises(VectorsError, match=says):
            read_vectors(tmp_path / name)
    np.save(tmp_path / "w.npy", matrix)
    with pytest.raises(VectorsError, match="words beside it"):
        read_vectors(tmp_path / "w.npy")


def test_versions_are_promoted_and_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_folder: Path
) -> None:
    """A version goes to work and back; one that is damaged or not there never does."""
    data = (tmp_path / "data").resolve()
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(data))
    for version in ("1", "2", "3"):
        shutil.copytree(weights_folder, data / "models" / "wishes" / version)
    with (data / "models" / "wishes" / "3" / "model.safetensors").open("ab") as damaged:
        damaged.write(b"x")

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(models, [*arguments])
        return done.exit_code, done.stdout

    assert run("promote", "wishes", "2", "--json") == (0, '{"name": "wishes", "version": "2"}\n')
    assert run("promote", "wishes", "1")[0] == 0
    assert run("promote", "wishes", "3")[0] == 2, "its hash differs"
    assert run("promote", "nobody")[0] == 2
    listed = json.loads(run("--json")[1])["models"]
    assert [m["version"] for m in listed if m["name"] == "wishes" and m["active"]] == ["1"]
    assert run("rollback", "wishes", "--json") == (0, '{"name": "wishes", "version": "2"}\n')
